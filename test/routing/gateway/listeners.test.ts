import { describe, expect, it } from 'vitest';
import { decide } from '../../../src/routing/decide.ts';
import { type CompileSettings, compile } from '../../../src/routing/compile/compile.ts';
import { explain } from '../../../src/routing/explanation.ts';
import { snapshotOf } from '../../../src/model/snapshot.ts';
import { portKey } from '../../../src/routing/table.ts';
import type { Listener } from '../../../src/routing/gateway/listeners.ts';
import { portCertificates } from '../../../src/routing/gateway/port-table.ts';
import { countTable } from '../../../src/routing/table-view.ts';
import { byHostKey } from '../../../src/routing/gateway-routes.ts';
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

  it('counts no host where a listener has none', () => {
    expect(countTable(table)).toMatchObject({ hosts: 4, routes: 4 });
    const hosts = countTable(tableOf(gateway, route('one', 'empty', '/', ['a.test'])));
    expect(hosts).toMatchObject({ hosts: 1, routes: 1 });
  });

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

describe('explain', () => {
  const gateway = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: main, namespace: shop }
spec:
  gatewayClassName: portico
  listeners:
    - { name: web, port: 8080, protocol: HTTP, hostname: "*.example.com" }
`;
  const posts = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: posts, namespace: shop }
spec:
  parentRefs: [{ name: main }]
  rules:
    - matches: [{ method: POST, path: { value: /a } }]
      backendRefs: [{ name: web, port: 80, weight: 1 }, { name: gone, port: 80, weight: 3 }]
    - filters: [{ type: RequestRedirect, requestRedirect: { statusCode: 301, hostname: example.org } }]
`;
  const objects = parseManifests([CLASS, SERVICE, gateway, posts].join('---\n'));
  const compilation = compile(snapshotOf(objects), SETTINGS);
  const ask = (method: string, path: string) =>
    explain(compilation, { scheme: 'http', method, host: 'a.example.com:8080', path });

  it('tells which listener has a host, which routes are passed over, and how requests are split', () => {
    expect(ask('POST', '/a/b').steps).toEqual([
      'Listener "web" of Gateway shop/main has "a.example.com" on port 8080: no listener has a more specific hostname, and its routes for "*.example.com" are asked.',
      'The first route that takes "/a/b" is Prefix "/a" (HTTPRoute shop/posts, spec.rules[0].matches[0]).',
      '1 of 4 requests go to shop/web:80.',
      '3 of 4 requests get 500, since their backend cannot be used.',
    ]);
    const passed = ask('GET', '/a');
    expect(passed.steps[1]).toMatch(/^Prefix "\/a" .* its other conditions do not take the request/);
    expect(passed.outcome).toMatchObject({ kind: 'redirect', status: 301 });
  });

  it('says of a host that no listener has that there is no route', () => {
    const request = { scheme: 'http', host: 'b.test:8080', path: '/' } as const;
    expect(explain(compilation, request).outcome).toMatchObject({ kind: 'refuse', reason: 'no-route' });
  });
});

describe('certificates of a port', () => {
  const listener = (hostname: string, ...certificates: Listener['certificates']): Listener => ({
    ...{
      id: `Gateway shop/main/${hostname}`,
      parent: 'Gateway shop/main',
      namespace: 'shop',
      name: hostname,
    },
    ...{
      field: 'spec.listeners[0]',
      port: 443,
      protocol: 'HTTPS',
      hostname,
      tlsMode: 'Terminate',
      kinds: [],
    },
    ...{ namespaces: { from: 'Same' }, certificates, clients: null, rejected: null, unresolved: null },
  });
  const shown = (listeners: readonly Listener[], name: string): string | null =>
    byHostKey(portCertificates({ listeners }), name);

  it('are of the listener that has the name, whatever names those of others are for', () => {
    const own = listener('a.x.com', { secret: 'bank/a', names: ['nothing.like.it'] });
    const wide = listener(
      '*.x.com',
      { secret: 'evil/wide', names: ['*.x.com'] },
      { secret: 'evil/a', names: ['a.x.com', 'b.x.com', 'other.com', '*.y.x.com', '*.com'] },
    );
    for (const listeners of [
      [own, wide],
      [wide, own],
    ]) {
      expect(shown(listeners, 'a.x.com')).toBe('bank/a');
      expect(shown(listeners, 'b.x.com')).toBe('evil/a');
      expect(shown(listeners, 'c.x.com')).toBe('evil/wide');
      expect(shown(listeners, 'c.y.x.com')).toBe('evil/a');
      for (const name of ['other.com', 'x.com', '']) expect(shown(listeners, name)).toBeNull();
    }
  });

  it('are the first where several are for a name, and where none is', () => {
    const listeners = [
      listener(
        '',
        { secret: 'shop/first', names: ['one.com'] },
        { secret: 'shop/second', names: ['one.com', 'two.com'] },
      ),
    ];
    expect(['one.com', 'two.com', 'three.com', ''].map((name) => shown(listeners, name))).toEqual([
      ...['shop/first', 'shop/second', 'shop/first', 'shop/first'],
    ]);
  });
});
