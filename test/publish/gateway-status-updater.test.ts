import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { ApiRequest } from '../../src/kubernetes/api-request.ts';
import { snapshotOf } from '../../src/model/snapshot.ts';
import { GatewayStatusUpdater } from '../../src/publish/gateway-status-updater.ts';
import { Leadership } from '../../src/publish/leadership.ts';
import { createLogOnce } from '../../src/publish/log-once.ts';
import { type Compilation, compile } from '../../src/routing/compile/compile.ts';
import { CASE_SETTINGS, parseManifests } from '../support/cases.ts';
import { FakeClock } from '../watch/fake-clock.ts';

const MANIFESTS = `kind: GatewayClass
metadata: { name: portico }
spec: { controllerName: portico.dev/gateway-controller }
---
kind: Gateway
metadata: { name: main, namespace: shop }
spec:
  gatewayClassName: portico
  listeners: [{ name: http, port: 80, protocol: HTTP }]
---
kind: HTTPRoute
metadata: { name: web, namespace: shop }
spec: { parentRefs: [{ name: main }] }
`;
const facts = { nodeAddresses: [], ports: null };

/** An updater that leads, and what it writes. */
function startUpdater() {
  const clock = new FakeClock();
  const written: ApiRequest[] = [];
  const leadership = new Leadership({
    call: async (request) => {
      written.push(request);
      return { status: 200, body: {}, retryAfterMs: 0 };
    },
    clock,
    leftMs: () => 60_000,
    callTimeoutMs: 10_000,
    onLost() {},
  });
  let compilation: Compilation | null = null;
  const updater = new GatewayStatusUpdater({
    leadership,
    clock,
    random: () => 0.5,
    logOnce: createLogOnce(() => {}),
    compilation: () => compilation,
    now: () => clock.wallMs(),
    fieldManager: 'portico-portico',
  });
  return {
    updater,
    written,
    advance(manifests: string): void {
      compilation = compile(snapshotOf(parseManifests(manifests)), CASE_SETTINGS);
      updater.advance(compilation);
    },
    /** Lets the queue do all that it can do now. */
    async settled(): Promise<void> {
      for (let turn = 0; turn < 20; turn++) await nextTurn();
    },
    [Symbol.dispose]: () => leadership.end(),
  };
}

const objectOf = ({ path }: ApiRequest): string | undefined =>
  path.replace(/^.*\/v1\/(?:namespaces\/shop\/)?/, '').split('?')[0];

it.each(['before', 'after'])('writes every status when the nodes are known %s the routes', async (when) => {
  using updating = startUpdater();
  const { updater, written, settled } = updating;
  if (when === 'before') updater.setFacts(facts);
  updating.advance(MANIFESTS);
  await settled();
  if (when === 'after') {
    expect(written).toEqual([]);
    updater.setFacts(facts);
    await settled();
  }
  expect(written.map(objectOf).toSorted()).toEqual([
    'gatewayclasses/portico/status',
    'gateways/main/status',
    'httproutes/web/status',
  ]);
});

it('tells a route of an Ingress that has its host, and when it is gone', async () => {
  const ingress = `---
kind: IngressClass
metadata: { name: portico }
spec: { controller: portico.dev/ingress-controller }
---
kind: Ingress
metadata: { name: old, namespace: shop }
spec:
  ingressClassName: portico
  rules: [{ http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: web, port: { number: 80 } } } }] } }]
`;
  using updating = startUpdater();
  const { updater, written, settled } = updating;
  updater.setFacts(facts);
  updating.advance(MANIFESTS);
  await settled();
  for (const [manifests, isTold] of [
    [MANIFESTS + ingress, true],
    [MANIFESTS, false],
  ] as const) {
    written.length = 0;
    updating.advance(manifests);
    await settled();
    const told = written.filter((request) => objectOf(request) === 'httproutes/web/status');
    expect(told).toHaveLength(1);
    expect(JSON.stringify(told[0]?.body).includes('HostServedByIngress')).toBe(isTold);
  }
});
