import { describe, expect, it } from 'vitest';
import { type CompileSettings, compile, listProblems } from '../../../src/routing/compile/compile.ts';
import { snapshotOf } from '../../../src/model/snapshot.ts';
import { get } from '../../../src/model/sharded-map.ts';
import { asArray, asObject } from '../../../src/model/untyped.ts';
import {
  type ClientPort,
  type ServicePorts,
  assignServicePorts,
  readServicePorts,
} from '../../../src/routing/gateway/service-ports.ts';
import { wantedStatus } from '../../../src/publish/wanted-status.ts';
import { CASE_SETTINGS, parseManifests } from '../../support/cases.ts';

const SETTINGS: CompileSettings = {
  ...CASE_SETTINGS,
  gatewayController: 'portico.dev/gateway-controller',
  gatewayAddresses: [],
  gatewayServicePorts: { first: 20_000, last: 20_063 },
};

const CLASS = `kind: GatewayClass
metadata: { name: portico }
spec: { controllerName: portico.dev/gateway-controller }
---
`;

function gateway(
  name: string,
  more = '',
  listeners = '[{ name: http, port: 80, protocol: HTTP }]',
  status = '',
): string {
  return `kind: Gateway
metadata: { name: ${name}, namespace: shop, uid: uid-${name}, generation: 1, creationTimestamp: 2026-01-01T00:00:00Z }
spec: { gatewayClassName: portico, listeners: ${listeners}, ${more} }
${status}
---
`;
}

function service(gatewayName: string, spec: string, status = '{}', owner = `uid-${gatewayName}`): string {
  return `kind: Service
metadata: { name: ${gatewayName}-portico, namespace: shop, ownerReferences: [{ kind: Gateway, name: ${gatewayName}, uid: ${owner}, controller: true }] }
spec: ${spec}
status: ${status}
---
`;
}

function compiled(...manifests: readonly string[]) {
  return compile(snapshotOf(parseManifests(CLASS + manifests.join(''))), SETTINGS);
}

function statusOf(compilation: ReturnType<typeof compile>, name: string) {
  const facts = { nodeAddresses: [], ports: null };
  const status = asObject(wantedStatus(`Gateway shop/${name}`, compilation, facts, '2026-06-01T00:00:00Z'));
  const conditions = asArray(status['conditions']).map(asObject);
  return {
    addresses: asArray(status['addresses']).map((each) => asObject(each)['value']),
    listeners: asArray(status['listeners']).map((each) => asObject(each)['name']),
    conditions: Object.fromEntries(
      conditions.map(({ type, status: is, reason, message }) => [
        type,
        `${String(is)}/${String(reason)} ${String(message)}`,
      ]),
    ),
  };
}

const READY = '{ loadBalancer: { ingress: [{ ip: 192.0.2.7 }] } }';

describe('a Gateway with a Service', () => {
  it('has a port of the nodes for each of its own, so that two may have port 80', () => {
    const compilation = compiled(gateway('one'), gateway('two'), service('one', '{}', READY));
    const ports = [...compilation.gateways.plan.ports.values()];
    expect(ports.map(({ address, clientPort }) => [address, clientPort])).toEqual([
      ['', 80],
      ['', 80],
    ]);
    const [first, second] = ports.map(({ port }) => port);
    expect(first).not.toBe(second);
    expect(get(compilation.table.ports, `:${first}`)).toMatchObject({ port: first, clientPort: 80 });
    const one = statusOf(compilation, 'one');
    expect(one.addresses).toEqual(['192.0.2.7']);
    expect(one.conditions['Programmed']).toMatch(/^True/);
    expect(one.conditions['portico.dev/ServicePorts']).toBe(`True/Assigned TCP 80 at ${first}`);
    expect(statusOf(compilation, 'two').conditions['Programmed']).toMatch(/^False\/AddressNotAssigned/);
  });

  it('keeps the port that its status names, even when others come, and gives none to two', () => {
    const kept = (port: number) =>
      `status: { conditions: [{ type: portico.dev/ServicePorts, message: TCP 80 at ${port} }] }`;
    const two = compiled(
      gateway('b', '', undefined, kept(20_007)),
      gateway('a', '', undefined, kept(20_007)),
    );
    const portsOf = (name: string) =>
      two.gateways.plan.gateways.get(`shop/${name}`)?.servicePorts?.get('TCP 80');
    // The older has it; of two that are as old, the one whose name comes first.
    expect(portsOf('a')).toBe(20_007);
    expect(portsOf('b')).not.toBe(20_007);
  });

  it('counts TCP and UDP apart, and says where there are too many ports', () => {
    const range = { first: 20_000, last: 20_003 };
    const needs = new Set(['TCP 53', 'UDP 53', 'TCP 80'] as const);
    const assigned = assignServicePorts([{ gateway: 'shop/one', needs, kept: new Map() }], range, []);
    expect([...(assigned.get('shop/one')?.ports.keys() ?? [])]).toEqual(['TCP 53', 'UDP 53']);
    // Those that want more than there are cost nothing.
    const all: ReadonlySet<ClientPort> = new Set(
      Array.from({ length: 128 }, (_, index): ClientPort => `TCP ${index + 1}`),
    );
    const many = Array.from({ length: 2_000 }, (_, index) => {
      return { gateway: `shop-${index}/g`, needs: all, kept: new Map() };
    });
    const given = [...assignServicePorts(many, { first: 1, last: 65_535 }, [80, 443]).values()];
    expect(given.reduce((sum, { ports }) => sum + ports.size, 0)).toBe(65_533);
    // What Portico listens on itself is given to nobody.
    expect(
      assignServicePorts(
        [{ gateway: 'shop/one', needs, kept: new Map() }],
        range,
        [20_000, 20_001, 20_002, 20_003],
      ).get('shop/one'),
    ).toEqual({ ports: new Map(), shortage: { of: 'range' } });
  });

  it('leaves ports to other namespaces, the older Gateways first, and says so', () => {
    const range = { first: 20_000, last: 20_063 };
    const needsOf = (count: number): ReadonlySet<ClientPort> =>
      new Set(Array.from({ length: count }, (_, index): ClientPort => `TCP ${index + 1}`));
    const asked = (gateway: string, count: number, kept: ServicePorts = new Map()) => {
      return { gateway, needs: needsOf(count), kept };
    };
    const greedy = ['a', 'b', 'c', 'd'].map((name) => asked(`greedy/${name}`, 20));
    const others = ['one', 'two'].map((name) => asked(`${name}/g`, 20));
    const first = assignServicePorts([...greedy, ...others], range, []);
    const counts = (assigned: typeof first) => [...assigned.values()].map(({ ports }) => ports.size);
    expect(counts(first)).toEqual([20, 12, 0, 0, 8, 8]);
    expect(first.get('greedy/b')?.shortage).toEqual({ of: 'namespace', count: 32 });
    expect(first.get('two/g')?.shortage).toEqual({ of: 'namespace', count: 8 });
    // What statuses say is taken stays, and a namespace keeps no more than half whatever they say.
    const keptBy = new Map([...first].map(([gateway, { ports }]) => [gateway, ports]));
    const again = [...greedy, ...others].map((each) => ({
      ...each,
      kept: keptBy.get(each.gateway) ?? new Map(),
    }));
    expect(assignServicePorts(again, range, [])).toEqual(first);
    const forged = new Map([...needsOf(64)].map((need, index) => [need, 20_000 + index]));
    const bold = assignServicePorts([asked('greedy/a', 64, forged), ...others], range, []);
    expect(counts(bold)).toEqual([32, 8, 8]);
  });

  it('says on the listener what keeps it from a port', () => {
    const listeners = (count: number): string =>
      JSON.stringify(
        Array.from({ length: count }, (_, index) => {
          return { name: `l${index}`, port: 8_000 + index, protocol: 'HTTP' };
        }),
      );
    const compilation = compiled(gateway('one', '', listeners(40)));
    const faults = compilation.gateways.plan.byParent
      .get('Gateway shop/one')
      ?.map(({ conflict }) => conflict);
    expect(faults?.filter((fault) => fault !== null)).toHaveLength(8);
    expect(faults?.[39]).toEqual({
      reason: 'PortUnavailable',
      message:
        'The Gateways of namespace "shop" have 32 ports of --gateway-service-ports, which is the share of a namespace: use fewer, or give a larger range.',
    });
  });

  it.for([
    ['nothing', 'kept: 7', []],
    [
      'TCP 80 at 20000, UDP 53 at 20001',
      'both',
      [
        ['TCP 80', 20_000],
        ['UDP 53', 20_001],
      ],
    ],
  ] as const)('reads its ports from "%s"', ([message, , expected]) => {
    const status = { conditions: [{ type: 'portico.dev/ServicePorts', message }] };
    expect([...readServicePorts({ status })]).toEqual(expected);
  });

  it('leaves a Service alone that is not its own, and says so', () => {
    const compilation = compiled(gateway('one'), service('one', '{}', READY, 'somebody'));
    const { addresses, conditions } = statusOf(compilation, 'one');
    expect(addresses).toEqual([]);
    expect(conditions['Programmed']).toMatch(
      /^False\/AddressNotAssigned There is a Service shop\/one-portico that this Gateway does not own/,
    );
  });

  it.for([
    ['[{ value: 192.0.2.7 }]', READY, 'True/Programmed'],
    ['[{ value: 192.0.2.8 }]', READY, 'False/AddressNotUsable'],
    ['[{ value: 192.0.2.8 }]', '{}', 'False/AddressNotUsable'],
    ['[{ value: 192.0.2.7 }, { value: 192.0.2.8 }]', READY, 'False/AddressNotUsable'],
    ['[{ type: IPAddress }]', READY, 'True/Programmed'],
    ['[{ type: Hostname, value: a.example }]', READY, 'False/Invalid'],
  ] as const)('asks its load balancer for %s', ([addresses, status, programmed]) => {
    const compilation = compiled(gateway('one', `addresses: ${addresses}`), service('one', '{}', status));
    expect(statusOf(compilation, 'one').conditions['Programmed']).toContain(programmed);
  });

  it.for([
    ['{ group: "", kind: ConfigMap, name: good }', 'True/Accepted'],
    [
      '{ group: "", kind: ConfigMap, name: missing }',
      'False/InvalidParameters There is no ConfigMap shop/missing',
    ],
    ['{ group: example.com, kind: Params, name: good }', 'False/InvalidParameters'],
    [
      '{ group: "", kind: ConfigMap, name: unknown }',
      'False/InvalidParameters ConfigMap shop/unknown has the key "size"',
    ],
    ['{ group: "", kind: ConfigMap, name: type }', 'False/InvalidParameters The type in ConfigMap shop/type'],
    [
      '{ group: "", kind: ConfigMap, name: open }',
      'False/InvalidParameters ConfigMap shop/open has loadBalancerSourceRanges, which a Service of type NodePort has not',
    ],
    [
      '{ group: "", kind: ConfigMap, name: line }',
      'False/InvalidParameters ConfigMap shop/line has the line "none"',
    ],
  ] as const)('takes parameters from %s', ([reference, accepted]) => {
    const configMap = (name: string, data: string): string =>
      `kind: ConfigMap\nmetadata: { name: ${name}, namespace: shop }\ndata: ${data}\n---\n`;
    const compilation = compiled(
      gateway('one', `infrastructure: { labels: { team: a }, parametersRef: ${reference} }`),
      configMap(
        'good',
        '{ annotations: "a.example/b: c d", loadBalancerSourceRanges: "10.0.0.0/8, 192.0.2.0/24" }',
      ),
      configMap('unknown', '{ size: large }'),
      configMap('type', '{ type: ExternalName }'),
      configMap('open', '{ type: NodePort, loadBalancerSourceRanges: 10.0.0.0/8 }'),
      configMap('line', '{ annotations: none }'),
      service('one', '{ clusterIPs: [10.96.0.9] }', '{ loadBalancer: { ingress: [{ ip: 192.0.2.9 }] } }'),
    );
    const { conditions, addresses } = statusOf(compilation, 'one');
    expect(conditions['Accepted']).toContain(accepted);
    if (accepted !== 'True/Accepted') return;
    expect(addresses).toEqual(['192.0.2.9']);
    expect(get(compilation.gateways.gateways, 'shop/one')?.service?.parameters).toEqual({
      type: 'LoadBalancer',
      annotations: { 'a.example/b': 'c d' },
      externalTrafficPolicy: 'Local',
      loadBalancerClass: '',
      loadBalancerSourceRanges: ['10.0.0.0/8', '192.0.2.0/24'],
    });
  });

  it('of type ClusterIP has the cluster IPs', () => {
    const compilation = compiled(
      gateway('one', 'infrastructure: { parametersRef: { group: "", kind: ConfigMap, name: inside } }'),
      'kind: ConfigMap\nmetadata: { name: inside, namespace: shop }\ndata: { type: ClusterIP }\n---\n',
      service('one', '{ clusterIPs: [10.96.0.9] }'),
    );
    expect(statusOf(compilation, 'one').addresses).toEqual(['10.96.0.9']);
  });

  it('that it does not need any more is told with the command that deletes it', () => {
    const made = `kind: Service
metadata:
  name: one-portico
  namespace: shop
  annotations: { portico.dev/infrastructure: '[[],[]]' }
  labels: { gateway.networking.k8s.io/gateway-name: one, gateway.networking.k8s.io/gateway-class-name: portico }
  ownerReferences: [{ kind: Gateway, name: one, uid: uid-one, controller: true }]
---
`;
    const toldOf = (compilation: ReturnType<typeof compile>): readonly string[] =>
      listProblems(compilation)
        .filter(({ code }) => code === 'GatewayServiceLeft')
        .map(({ message }) => message);
    const one = gateway('one');
    const snapshot = (...manifests: readonly string[]) =>
      snapshotOf(parseManifests(CLASS + manifests.join('')));
    const withoutFlag = { ...SETTINGS, gatewayServicePorts: null };
    const message =
      'It was made for Gateway shop/one, which does not need it any more; delete it: kubectl --namespace shop delete services,endpointslices --selector gateway.networking.k8s.io/gateway-name=one,gateway.networking.k8s.io/gateway-class-name=portico';
    const needed = compile(snapshot(one, made), SETTINGS);
    expect(toldOf(needed)).toEqual([]);
    expect(toldOf(compile(snapshot(one, made), withoutFlag))).toEqual([message]);
    // Services may be listed before Gateways.
    const early = compile(snapshot(made), withoutFlag);
    expect(toldOf(early)).toEqual([]);
    expect(toldOf(compile(snapshot(one, made), withoutFlag, early))).toEqual([message]);
    // With another class it has another Service.
    const elsewhere = one.replace('gatewayClassName: portico', 'gatewayClassName: other');
    const left = compile(snapshot(elsewhere, made), SETTINGS, needed);
    expect(toldOf(left)).toEqual([message]);
    expect(toldOf(compile(snapshot(elsewhere), SETTINGS, left))).toEqual([]);
    expect(toldOf(compile(snapshot(one, made), SETTINGS, left))).toEqual([]);
    // What was made for a class of another controller is not ours, nor is what Portico did not make.
    const foreign = CLASS.replace('portico.dev/gateway-controller', 'example.com/other');
    expect(toldOf(compile(snapshotOf(parseManifests(foreign + one + made)), withoutFlag))).toEqual([]);
    const plain = made.replace('portico.dev/infrastructure', 'example.com/other');
    expect(toldOf(compile(snapshot(one, plain), withoutFlag))).toEqual([]);
  });
});
