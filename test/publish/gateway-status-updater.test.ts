import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { ApiRequest } from '../../src/kubernetes/api-request.ts';
import { snapshotOf } from '../../src/model/snapshot.ts';
import { GatewayStatusUpdater } from '../../src/publish/gateway-status-updater.ts';
import { Leadership } from '../../src/publish/leadership.ts';
import { createLogOnce } from '../../src/publish/log-once.ts';
import { compile } from '../../src/routing/compile/compile.ts';
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

it.each(['before', 'after'])('writes every status when the nodes are known %s the routes', async (when) => {
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
  const compilation = compile(snapshotOf(parseManifests(MANIFESTS)), CASE_SETTINGS);
  const updater = new GatewayStatusUpdater({
    leadership,
    clock,
    random: () => 0.5,
    logOnce: createLogOnce(() => {}),
    compilation: () => compilation,
    now: () => clock.wallMs(),
    fieldManager: 'portico-portico',
  });
  /** Lets the queue do all that it can do now. */
  const settled = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await nextTurn();
  };

  if (when === 'before') updater.setFacts(facts);
  updater.advance(compilation);
  await settled();
  if (when === 'after') {
    expect(written).toEqual([]);
    updater.setFacts(facts);
    await settled();
  }
  const paths = written.map(({ path }) => path.replace(/^.*\/v1\/(?:namespaces\/shop\/)?/, '').split('?')[0]);
  expect(paths.toSorted()).toEqual([
    'gatewayclasses/portico/status',
    'gateways/main/status',
    'httproutes/web/status',
  ]);
  leadership.end();
});
