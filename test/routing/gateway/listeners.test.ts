import { describe, expect, it } from 'vitest';
import { decide } from '../../../src/routing/decide.ts';
import { type CompileSettings, compile } from '../../../src/routing/compile/compile.ts';
import { snapshotOf } from '../../../src/model/snapshot.ts';
import { portKey } from '../../../src/routing/table.ts';
import { CASE_SETTINGS, parseManifests } from '../../support/cases.ts';

const SETTINGS: CompileSettings = {
  ...CASE_SETTINGS,
  gatewayController: 'portico.dev/gateway-controller',
  ownPorts: [80, 443],
  ingressPorts: { http: 80, https: 443 },
};

const CLASS = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: portico }
spec: { controllerName: portico.dev/gateway-controller }
`;

const SERVICE = `apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { ports: [{ port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: web-1, namespace: shop, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
ports: [{ port: 8080 }]
endpoints: [{ addresses: [10.0.0.1], conditions: { ready: true } }]
`;

function route(name: string, listener: string, path: string, hostnames: readonly string[] = []): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name}, namespace: shop }
spec:
  parentRefs: [{ name: main, sectionName: ${listener} }]
  hostnames: ${JSON.stringify(hostnames)}
  rules: [{ matches: [{ path: { value: ${path} } }], backendRefs: [{ name: web, port: 80 }] }]
`;
}

function tableOf(...manifests: readonly string[]) {
  const objects = parseManifests([CLASS, SERVICE, ...manifests].join('---\n'));
  return compile(snapshotOf(objects), SETTINGS).table;
}

describe('isolation of listeners', () => {
  const gateway = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: main, namespace: shop }
spec:
  gatewayClassName: portico
  listeners:
    - { name: empty, port: 80, protocol: HTTP }
    - { name: example, port: 80, protocol: HTTP, hostname: "*.example.com" }
    - { name: foo, port: 80, protocol: HTTP, hostname: "*.foo.example.com" }
    - { name: abc, port: 80, protocol: HTTP, hostname: "abc.foo.example.com" }
`;
  const table = tableOf(
    gateway,
    ...['empty', 'example', 'foo', 'abc'].map((name) => route(name, name, `/${name}`)),
  );

  it.for([
    ['bar.com', 'empty'],
    ['bar.example.com', 'example'],
    ['bar.foo.example.com', 'foo'],
    ['abc.foo.example.com', 'abc'],
  ] as const)('gives %s to the listener %s alone', ([host, own]) => {
    for (const name of ['empty', 'example', 'foo', 'abc']) {
      const connectionInfo = { tls: false, portKey: portKey('', 80) };
      const decision = decide(table, { method: 'GET', target: `/${name}`, host, connectionInfo });
      expect([name, decision.kind]).toEqual([name, name === own ? 'forward' : 'refuse']);
    }
  });

  it('serves none of them on another port', () => {
    const connectionInfo = { tls: false, portKey: portKey('', 8080), gatewayOnly: true } as const;
    const decision = decide(table, { method: 'GET', target: '/empty', host: 'bar.com', connectionInfo });
    expect(decision).toMatchObject({ kind: 'refuse', reason: 'no-route' });
  });
});
