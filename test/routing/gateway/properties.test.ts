import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decide } from '../../../src/routing/decide.ts';
import { type Compilation, compile, listProblems } from '../../../src/routing/compile/compile.ts';
import { EMPTY_SNAPSHOT, type ObjectChange, applyChanges, snapshotOf } from '../../../src/model/snapshot.ts';
import { applyTableUpdate, tableUpdate } from '../../../src/routing/table-update.ts';
import { portKey } from '../../../src/routing/table.ts';
import type { Kind } from '../../../src/model/objects.ts';
import { CASE_SETTINGS } from '../../support/cases.ts';
import { describeStatuses } from '../../support/status-text.ts';
import { examples } from '../../support/examples.ts';

const SETTINGS = { ...CASE_SETTINGS, gatewayAddresses: ['192.0.2.1', '192.0.2.2'] };
/** Ports for Services that are soon taken. */
const SERVICES = {
  ...CASE_SETTINGS,
  gatewayAddresses: [],
  gatewayServicePorts: { first: 20_000, last: 20_003 },
};

const CERTIFICATES = new URL('../../support/certificates/', import.meta.url);
const inBase64 = (file: string): string => readFileSync(new URL(file, CERTIFICATES)).toString('base64');
const CERTIFICATE = { 'tls.crt': inBase64('api-server.crt'), 'tls.key': inBase64('api-server.key') };

const namespaces = fc.constantFrom('a', 'b');
const hostnames = fc.constantFrom('', '*.x.com', 'a.x.com', '*.a.x.com', 'b.com');
const names = fc.constantFrom('one', 'two');
const created = fc.constantFrom('2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z', '2026-03-01T00:00:00Z');

function object(
  kind: Kind,
  namespace: string | null,
  name: string,
  created: string,
  more: object,
): ObjectChange {
  const metadata = {
    name,
    ...(namespace !== null && { namespace }),
    creationTimestamp: created,
    generation: 1,
  };
  const key = namespace === null ? name : `${namespace}/${name}`;
  return { kind, key, object: { metadata, ...more } } as unknown as ObjectChange;
}

const from = fc.constantFrom('Same', 'All', { from: 'Selector', selector: { matchLabels: { team: 'x' } } });

const listener = fc
  .record({
    name: fc.constantFrom('l1', 'l2', 'l3'),
    port: fc.constantFrom(80, 443, 8080),
    protocol: fc.constantFrom('HTTP', 'HTTP', 'HTTPS', 'TLS', 'TCP', 'UDP', 'QUIC'),
    hostname: hostnames,
    namespaces: from,
  })
  .map(({ namespaces: allowed, hostname, ...each }) => ({
    ...each,
    ...(hostname !== '' && { hostname }),
    ...(each.protocol === 'TLS' && { tls: { mode: 'Passthrough' } }),
    allowedRoutes: { namespaces: typeof allowed === 'string' ? { from: allowed } : allowed },
  }));

const listeners = fc.uniqueArray(listener, { minLength: 1, maxLength: 3, selector: ({ name }) => name });

const parentRef = fc.record(
  {
    kind: fc.constantFrom('Gateway', 'Gateway', 'ListenerSet'),
    name: names,
    namespace: namespaces,
    sectionName: fc.constantFrom('l1', 'l2'),
  },
  { requiredKeys: ['name'] },
);

const backendRefs = fc.array(
  fc.record(
    {
      name: fc.constantFrom('web', 'gone'),
      namespace: namespaces,
      port: fc.constantFrom(80, 81),
      weight: fc.nat(3),
    },
    { requiredKeys: ['name', 'port'] },
  ),
  { maxLength: 2 },
);

const match = fc.record(
  {
    path: fc.record({
      type: fc.constantFrom('Exact', 'PathPrefix', 'RegularExpression', 'None'),
      value: fc.constantFrom('/', '/a', '/a/b', '/a/', '/c.*', '/a//'),
    }),
    method: fc.constantFrom('GET', 'POST'),
    headers: fc.constantFrom(
      [{ name: 'X-One', value: '1' }],
      [{ name: 'x-two', value: '2.*', type: 'RegularExpression' }],
    ),
  },
  { requiredKeys: [] },
);

const filters = fc.constantFrom(
  [],
  [],
  [{ type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'X', value: 'y' }] } }],
  [{ type: 'Unknown' }],
  [
    {
      type: 'ExternalAuth',
      externalAuth: { protocol: 'HTTP', backendRef: { name: 'web', namespace: 'a', port: 80 } },
    },
  ],
);

const rules = fc.array(fc.record({ matches: fc.array(match, { maxLength: 2 }), backendRefs, filters }), {
  maxLength: 2,
});

/** What no schema allows. */
const nonsense = fc.constantFrom<unknown>(
  null,
  7,
  'text',
  [],
  [null],
  { rules: 'x' },
  { listeners: [null, { name: 3 }] },
);

const anyGatewayObject: fc.Arbitrary<ObjectChange> = fc.oneof(
  fc.constant(
    object('GatewayClass', null, 'portico', '2026-01-01T00:00:00Z', {
      spec: { controllerName: 'portico.dev/gateway-controller' },
    }),
  ),
  fc
    .tuple(
      namespaces,
      names,
      created,
      listeners,
      from,
      fc.constantFrom([], [{ value: '192.0.2.1' }], [{ value: '198.51.100.1' }]),
      fc.constantFrom('', 'TCP 80 at 20001', 'TCP 80 at 20002, TCP 443 at 20001, UDP 80 at 99'),
    )
    .map(([namespace, name, at, list, allowed, addresses, message]) =>
      object('Gateway', namespace, name, at, {
        metadata: { namespace, name, creationTimestamp: at, generation: 1, uid: 'uid' },
        status: { conditions: [{ type: 'portico.dev/ServicePorts', message }] },
        spec: {
          gatewayClassName: 'portico',
          listeners: list,
          addresses,
          allowedListeners: { namespaces: typeof allowed === 'string' ? { from: allowed } : allowed },
        },
      }),
    ),
  fc
    .tuple(namespaces, names, created, listeners, namespaces, names)
    .map(([namespace, name, at, list, gateway, of]) =>
      object('ListenerSet', namespace, name, at, {
        spec: { parentRef: { name: of, namespace: gateway }, listeners: list },
      }),
    ),
  fc
    .tuple(
      fc.constantFrom<Kind>('HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute', 'UDPRoute'),
      namespaces,
      names,
      created,
    )
    .chain(([kind, namespace, name, at]) =>
      fc
        .tuple(
          fc.array(parentRef, { minLength: 1, maxLength: 2 }),
          fc.uniqueArray(hostnames, { maxLength: 2 }),
          rules,
        )
        .map(([parentRefs, hosts, list]) =>
          object(kind, namespace, name, at, {
            spec: { parentRefs, hostnames: hosts.filter((host) => host !== ''), rules: list },
          }),
        ),
    ),
  fc
    .tuple(namespaces, names, created, hostnames, fc.constantFrom([], ['a.x.com'], ['*.x.com', 'b.com']))
    .map(([namespace, name, at, host, tlsHosts]) => {
      const backend = { service: { name: 'web', port: { number: 80 } } };
      const rule = { http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } };
      const tls = tlsHosts.length === 0 ? [] : [{ hosts: tlsHosts, secretName: 'cert' }];
      return object('Ingress', namespace, name, at, {
        spec: { ingressClassName: 'portico', rules: [{ ...rule, ...(host !== '' && { host }) }], tls },
      });
    }),
  fc
    .tuple(namespaces, fc.constantFrom({}, CERTIFICATE))
    .map(([namespace, data]) =>
      object('Secret', namespace, 'cert', '2026-01-01T00:00:00Z', { type: 'kubernetes.io/tls', data }),
    ),
  fc.tuple(namespaces, namespaces).map(([namespace, other]) =>
    object('ReferenceGrant', namespace, 'grant', '2026-01-01T00:00:00Z', {
      spec: {
        from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: other }],
        to: [{ group: '', kind: 'Service' }],
      },
    }),
  ),
  fc
    .tuple(namespaces, fc.constantFrom('x', 'y'))
    .map(([name, team]) =>
      object('Namespace', null, name, '2026-01-01T00:00:00Z', { metadata: { name, labels: { team } } }),
    ),
  fc
    .tuple(namespaces, fc.constantFrom(80, 81))
    .map(([namespace, port]) =>
      object('Service', namespace, 'web', '2026-01-01T00:00:00Z', { spec: { ports: [{ port }] } }),
    ),
  fc
    .tuple(namespaces, names, fc.constantFrom('uid', 'another'), fc.constantFrom('portico', 'other'))
    .map(([namespace, name, uid, className]) =>
      object('Service', namespace, `${name}-portico`, '2026-01-01T00:00:00Z', {
        metadata: {
          ...{ namespace, name: `${name}-portico` },
          ownerReferences: [{ kind: 'Gateway', name, controller: true, uid }],
          annotations: { 'portico.dev/infrastructure': '{}' },
          labels: { 'gateway.networking.k8s.io/gateway-class-name': className },
        },
        status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } },
      }),
    ),
  fc
    .tuple(
      fc.constantFrom<Kind>('Gateway', 'ListenerSet', 'HTTPRoute', 'TLSRoute', 'ReferenceGrant'),
      namespaces,
      names,
      nonsense,
    )
    .map(([kind, namespace, name, spec]) => object(kind, namespace, name, '2026-01-01T00:00:00Z', { spec })),
);

const anyChange = fc.tuple(anyGatewayObject, fc.nat(4)).map(([change, die]): ObjectChange => {
  return die === 0 ? { ...change, object: undefined } : change;
});

/** What the first step always has: enough for routes to be attached. */
const GROUND: readonly ObjectChange[] = [
  object('IngressClass', null, 'portico', '2026-01-01T00:00:00Z', {
    spec: { controller: CASE_SETTINGS.controllerName },
  }),
  object('GatewayClass', null, 'portico', '2026-01-01T00:00:00Z', {
    spec: { controllerName: 'portico.dev/gateway-controller' },
  }),
  object('Gateway', 'a', 'one', '2026-01-01T00:00:00Z', {
    spec: {
      gatewayClassName: 'portico',
      listeners: [
        { name: 'l1', port: 80, protocol: 'HTTP', allowedRoutes: { namespaces: { from: 'All' } } },
        {
          name: 'l2',
          port: 80,
          protocol: 'HTTP',
          hostname: '*.x.com',
          allowedRoutes: { namespaces: { from: 'Selector', selector: { matchLabels: { team: 'x' } } } },
        },
      ],
      allowedListeners: { namespaces: { from: 'All' } },
    },
  }),
  object('HTTPRoute', 'b', 'one', '2026-01-01T00:00:00Z', {
    spec: {
      parentRefs: [{ name: 'one', namespace: 'a' }],
      hostnames: ['a.x.com', '*.a.x.com', 'b.com'],
      rules: [{ backendRefs: [{ name: 'web', port: 80 }] }],
    },
  }),
];

function result(compilation: Compilation): unknown {
  return {
    table: { ...compilation.table, generation: 0 },
    problems: listProblems(compilation),
    statuses: describeStatuses(compilation),
  };
}

describe('Gateways compiled step by step', () => {
  it('are as if compiled from scratch, and threads that follow have the same table', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(anyChange, { minLength: 1, maxLength: 4 }), { minLength: 2, maxLength: 12 }),
        // With addresses of their own, on the ports that Ingresses are served on, or with Services.
        fc.constantFrom(SETTINGS, CASE_SETTINGS, SERVICES),
        (steps, settings) => {
          let snapshot = EMPTY_SNAPSHOT;
          let last: Compilation | undefined;
          let followed = compile(EMPTY_SNAPSHOT, settings).table;
          for (const changes of [GROUND, ...steps]) {
            snapshot = applyChanges(snapshot, changes);
            const next: Compilation = compile(snapshot, settings, last);
            if (next.table !== followed)
              followed = applyTableUpdate(
                followed,
                structuredClone(tableUpdate(last?.table ?? followed, next.table)),
              );
            last = next;
          }
          const scratch = compile({ ...snapshot, generation: snapshot.generation }, settings);
          expect(last?.faults).toEqual([]);
          expect(last && result(last)).toEqual(result(scratch));
          expect({ ...followed, generation: 0 }).toEqual({ ...scratch.table, generation: 0 });
        },
      ),
      { numRuns: examples(75) },
    );
  });

  it('decide about every request without throwing', () => {
    fc.assert(
      fc.property(
        fc.array(anyGatewayObject, { minLength: 4, maxLength: 12 }),
        fc.constantFrom('a.x.com', 'q.a.x.com', 'b.com', 'other', ''),
        fc.constantFrom('/', '/a', '/a/b/c', '/c9', '/%zz'),
        fc.constantFrom(80, 443, 8080),
        (changes, host, target, port) => {
          const { table } = compile(snapshotOf(changes), SETTINGS);
          for (const address of ['', '192.0.2.1', '192.0.2.2']) {
            const connectionInfo = { tls: port === 443, portKey: portKey(address, port), serverName: host };
            const request = { method: 'GET', target, host, connectionInfo, value: () => '1' };
            expect(['forward', 'refuse', 'redirect']).toContain(decide(table, request).kind);
          }
        },
      ),
      { numRuns: examples(38) },
    );
  });
});
