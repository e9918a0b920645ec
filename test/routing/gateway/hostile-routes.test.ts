import { describe, expect, it } from 'vitest';
import { type CompileSettings, compile, listProblems } from '../../../src/routing/compile/compile.ts';
import { snapshotOf } from '../../../src/model/snapshot.ts';
import { decide } from '../../../src/routing/decide.ts';
import { portKey } from '../../../src/routing/table.ts';
import { get, values } from '../../../src/model/sharded-map.ts';
import { CASE_SETTINGS, changesOf } from '../../support/cases.ts';

const SETTINGS: CompileSettings = { ...CASE_SETTINGS, gatewayController: 'portico.dev/gateway-controller' };
const apiVersion = 'gateway.networking.k8s.io/v1';
const CLASS = {
  apiVersion,
  kind: 'GatewayClass',
  metadata: { name: 'portico' },
  spec: { controllerName: 'portico.dev/gateway-controller' },
};

function gateway(listeners: readonly object[]) {
  const open = { namespaces: { from: 'All' } };
  return {
    apiVersion,
    kind: 'Gateway',
    metadata: { name: 'main', namespace: 'infra' },
    spec: {
      gatewayClassName: 'portico',
      listeners: listeners.map((each) => ({ allowedRoutes: open, ...each })),
    },
  };
}

interface RouteSpec {
  readonly [field: string]: unknown;
}

function route(
  kind: string,
  namespace: string,
  name: string,
  year: number,
  spec: RouteSpec,
  annotations = {},
) {
  const creationTimestamp = `${year}-01-01T00:00:00Z`;
  const parentRefs = [{ name: 'main', namespace: 'infra' }];
  return {
    apiVersion,
    kind,
    metadata: { name, namespace, creationTimestamp, annotations },
    spec: { parentRefs, ...spec },
  };
}

function read(objects: readonly object[]) {
  return snapshotOf(changesOf([CLASS, ...objects]));
}

function compiled(...objects: readonly object[]) {
  return compile(read(objects), SETTINGS);
}

const HTTP = { name: 'http', port: 80, protocol: 'HTTP' };

describe('what routes cost', () => {
  it('lets a younger route take no path of an older one where a host has too many', () => {
    const ours = route('HTTPRoute', 'a', 'ours', 2020, { rules: [{ matches: [{ path: { value: '/a' } }] }] });
    const matches = Array.from({ length: 128 }, (_, n) => ({ path: { value: `/p${n}` }, method: 'GET' }));
    const theirs = Array.from({ length: 40 }, (_, n) =>
      route('HTTPRoute', 'b', `theirs-${n}`, 2021, { rules: [{ matches }] }),
    );
    const compilation = compiled(gateway([HTTP]), ours, ...theirs);
    const { table } = compilation;
    const connectionInfo = { tls: false, portKey: portKey('', 80) };
    const decision = decide(table, { method: 'GET', target: '/a', host: 'x.example', connectionInfo });
    // It names no backend.
    expect(decision).toMatchObject({
      kind: 'refuse',
      reason: 'backend-invalid',
      route: { ingress: 'a/ours' },
    });
    // 5,000 paths are one of ours, 39 times 128 and 7 more.
    const told = listProblems(compilation).filter(({ code }) => code === 'HostTooManyPaths');
    expect(told.map(({ object }) => object?.name)).toEqual(['theirs-9']);
  });

  it('tells the route whose regular expressions are too much for a host, until it is alone there', () => {
    const patterned = (name: string, year: number) => {
      const matches = Array.from({ length: 90 }, (_, n) => ({
        path: { type: 'RegularExpression', value: `/${name}${n}[a-z]{120}` },
      }));
      return route('HTTPRoute', 'b', name, year, { rules: [{ matches }] });
    };
    const told = (compilation: ReturnType<typeof compile>) =>
      listProblems(compilation).filter(({ code }) => code === 'HostPatternsTooLarge');
    const both = compiled(gateway([HTTP]), patterned('old', 2020), patterned('young', 2021));
    expect(told(both).map(({ object }) => object?.name)).toEqual(['young']);
    const alone = read([gateway([HTTP]), patterned('young', 2021)]);
    expect(told(compile(alone, SETTINGS, both))).toEqual([]);
  });

  const matches = Array.from({ length: 128 }, (_, n) => ({ path: { value: `/p${n}` } }));
  const many = (name: string, year: number, place: number) => {
    const hostnames = Array.from({ length: 400 }, (_, n) => `h${n}-${place}.example`);
    return route('HTTPRoute', 'b', name, year, { hostnames, rules: [{ matches }] });
  };

  it('serves the oldest routes of a namespace that has too many, and those of others', () => {
    const other = route('HTTPRoute', 'a', 'other', 2025, { hostnames: ['a.example'] });
    const all = [gateway([HTTP]), many('young', 2022, 1), many('old', 2020, 2), other];
    const full = compiled(...all);
    const served = [...values(full.gateways.attachments)].map(({ route: { name }, hosts }) => [
      name,
      hosts.length,
    ]);
    expect(Object.fromEntries(served)).toEqual({ 'b/young': 0, 'b/old': 400, 'a/other': 1 });
    expect(listProblems(full).map(({ code, object }) => [code, object?.name])).toContainEqual([
      'NamespaceTooManyRoutes',
      'young',
    ]);
    // The place of one that goes is given to the other.
    const fewer = read(all.filter((each) => each !== all[2]));
    const next = compile(fewer, SETTINGS, full);
    expect(get(next.gateways.attachments, 'HTTPRoute b/young')?.hosts).toHaveLength(400);
    expect(next.table.ports).toEqual(compile(fewer, SETTINGS).table.ports);
  });

  it('rejects a route whose hostnames are too many for its listeners', () => {
    const listeners = Array.from({ length: 64 }, (_, n) => ({
      name: `l${n}`,
      port: 1000 + n,
      protocol: 'TLS',
      tls: { mode: 'Passthrough' },
    }));
    const hostnames = Array.from({ length: 1024 }, (_, n) => `h${n}.example`);
    const { gateways } = compiled(gateway(listeners), route('TLSRoute', 'b', 'wide', 2020, { hostnames }));
    const [parent] = get(gateways.attachments, 'TLSRoute b/wide')?.parents ?? [];
    expect(parent?.rejected?.reason).toBe('TooManyHostnames');
  });
});

describe('BackendTLSPolicies of other Services', () => {
  const policy = (service: string) => ({
    apiVersion,
    kind: 'BackendTLSPolicy',
    metadata: { name: `for-${service}`, namespace: 'b' },
    spec: {
      targetRefs: [{ group: '', kind: 'Service', name: service }],
      validation: {
        hostname: 'a.example',
        caCertificateRefs: [{ kind: 'ConfigMap', name: `ca-${service}` }],
      },
    },
  });

  it('are not read for a route, however many there are', () => {
    const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web', namespace: 'b' } };
    const rules = [{ backendRefs: [{ name: 'web', port: 80 }] }];
    const { gateways } = compiled(
      gateway([HTTP]),
      { ...service, spec: { ports: [{ port: 80 }] } },
      policy('web'),
      policy('other'),
      route('HTTPRoute', 'b', 'web', 2020, { rules }),
    );
    const { dependencies = [] } = get(gateways.attachments, 'HTTPRoute b/web')?.route ?? {};
    const read = dependencies.filter((each) => each.startsWith('ConfigMap'));
    expect(read).toEqual(['ConfigMap b/ca-web']);
  });
});

describe('access rules', () => {
  it.for(['TLSRoute', 'TCPRoute', 'UDPRoute'])('serves no %s that nothing could keep to them for', (kind) => {
    const tls = { mode: 'Passthrough' };
    const listener = {
      name: 'x',
      port: 99,
      protocol: kind.replace('Route', ''),
      ...(kind === 'TLSRoute' && { tls }),
    };
    const spec = { ...(kind === 'TLSRoute' && { hostnames: ['a.example'] }), rules: [{}] };
    for (const value of ['10.0.0.0/8', 'wrong']) {
      const restricted = route(kind, 'b', 'db', 2020, spec, { 'portico.dev/allow-from': value });
      const { gateways } = compiled(gateway([listener]), restricted);
      const attachment = get(gateways.attachments, `${kind} b/db`);
      expect([attachment?.parents[0]?.rejected?.reason, attachment?.hosts]).toEqual(['UnsupportedValue', []]);
    }
  });
});

describe('filters', () => {
  it('leaves none out where there are more than are read: the requests get 500', () => {
    const mirror = { type: 'RequestMirror', requestMirror: { backendRef: { name: 'web', port: 80 } } };
    const filters = [...Array.from({ length: 16 }, () => mirror), { type: 'ExternalAuth' }];
    const guarded = route('HTTPRoute', 'b', 'guarded', 2020, {
      rules: [{ filters, backendRefs: [{ name: 'web', port: 80 }] }],
    });
    const { table, gateways } = compiled(gateway([HTTP]), guarded);
    const [parent] = get(gateways.attachments, 'HTTPRoute b/guarded')?.parents ?? [];
    expect(parent?.rejected?.message).toBe(
      'The filter spec.rules[0].filters[16] is more than 16, so requests of this rule get 500: remove some.',
    );
    const connectionInfo = { tls: false, portKey: portKey('', 80) };
    const decision = decide(table, { method: 'GET', target: '/', host: 'x.example', connectionInfo });
    expect(decision).toMatchObject({ kind: 'refuse', reason: 'backend-invalid' });
  });
});

describe('rules and matches', () => {
  const status = (table: ReturnType<typeof compiled>['table'], target: string, host = 'x.example') => {
    const connectionInfo = { tls: false, portKey: portKey('', 80) };
    const decision = decide(table, { method: 'GET', target, host, connectionInfo });
    return decision.kind === 'refuse' && `${decision.route?.ingress}: ${decision.reason}`;
  };
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'b' },
    spec: { ports: [{ port: 80 }] },
  };
  const backendRefs = [{ name: 'web', port: 80 }];
  const rule = (path: string) => ({ matches: [{ path: { value: path } }], backendRefs });
  const beside = route('HTTPRoute', 'b', 'beside', 2021, { rules: [rule('/')] });
  const outcomes = (rules: readonly object[], targets: readonly string[]) => {
    const wide = route('HTTPRoute', 'b', 'wide', 2020, { rules });
    const compilation = compiled(service, gateway([HTTP]), wide, beside);
    return {
      statuses: targets.map((target) => status(compilation.table, target)),
      told: listProblems(compilation).filter(({ object }) => object?.name === 'wide'),
    };
  };

  it('gives 500 for those beyond the limits, tells the author, and serves the others', () => {
    const rules = Array.from({ length: 18 }, (_, n) => rule(`/r${n}`));
    const manyRules = outcomes(rules, ['/r15', '/r16', '/r17', '/other']);
    expect(manyRules.statuses).toEqual([
      'b/wide: backend-unavailable',
      'b/wide: backend-invalid',
      'b/wide: backend-invalid',
      'b/beside: backend-unavailable',
    ]);
    expect(manyRules.told.map(({ message }) => message)).toEqual([
      'The route has 18 rules, and the first 16 are served, so requests of the others get 500: move them to another route.',
    ]);
    const matches = Array.from({ length: 130 }, (_, n) => ({ path: { value: `/m${n}` } }));
    const manyMatches = outcomes([{ matches, backendRefs }, rule('/last')], ['/m127', '/m128', '/last']);
    expect(manyMatches.statuses).toEqual([
      'b/wide: backend-unavailable',
      'b/wide: backend-invalid',
      'b/wide: backend-invalid',
    ]);
    expect(manyMatches.told.map(({ message }) => message)).toEqual([
      'The route has 131 matches, and the first 128 are served, so requests of the others get 500: move them to another route.',
    ]);
  });

  it('gives 500 for all requests where there are too many to be read', () => {
    const matches = Array.from({ length: 1_025 }, (_, n) => ({ path: { value: `/m${n}` } }));
    const { statuses, told } = outcomes([{ matches, backendRefs }], ['/m0', '/m1024', '/other']);
    expect(statuses).toEqual(Array(3).fill('b/wide: backend-invalid'));
    expect(told.map(({ message }) => message)).toEqual([
      'The route has 1025 matches, and at most 1024 are read, so none is served, and requests that no other route takes get 500: split the route.',
    ]);
  });

  it('tells the author of hostnames that are not served beside others that are', () => {
    const many = Array.from({ length: 1_026 }, (_, n) => `h${n}.example`);
    const messages = [['good.example', 'bad_name.example'], many].map((hostnames) => {
      const wide = route('HTTPRoute', 'b', 'wide', 2020, { hostnames, rules: [{ backendRefs }] });
      const compilation = compiled(service, gateway([HTTP]), wide);
      expect(status(compilation.table, '/', hostnames[0])).toBe('b/wide: backend-unavailable');
      return listProblems(compilation)
        .filter(({ object }) => object?.name === 'wide')
        .map(({ message }) => message);
    });
    expect(messages).toEqual([
      [expect.stringMatching(/^The hostname "bad_name.example" .*: correct it.$/)],
      ['The route has 1026 hostnames, and the first 1024 are served: move the others to another route.'],
    ]);
  });

  it('tells a TCPRoute of the rules that get no connections', () => {
    const rules = [{ backendRefs }, { backendRefs }];
    const tcp = { name: 'tcp', port: 99, protocol: 'TCP' };
    const compilation = compiled(service, gateway([tcp]), route('TCPRoute', 'b', 'db', 2020, { rules }));
    const told = listProblems(compilation).filter(({ object }) => object?.name === 'db');
    expect(told.map(({ message }) => message)).toEqual([
      'The first rule of a TCPRoute gets all connections, so the others get none: put their backendRefs into the first.',
    ]);
  });
});

describe('what cannot be understood', () => {
  const labels = { 'kubernetes.io/metadata.name': 'b' };
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'b', labels } };

  it.for([
    undefined,
    null,
    'all',
    { matchLabels: ['team'] },
    { matchLabels: { team: 1 } },
    { matchLabels: 'team' },
    { matchExpressions: { key: 'team' } },
    { matchExpressions: [{ key: 'constructor', operator: 'Exists' }] },
    { matchExpressions: [{ operator: 'DoesNotExist' }] },
  ])('selects no namespace by the selector %j', (selector) => {
    const allowedRoutes = { namespaces: { from: 'Selector', selector } };
    const { gateways } = compiled(
      namespace,
      gateway([{ ...HTTP, allowedRoutes }]),
      route('HTTPRoute', 'b', 'web', 2020, {}),
    );
    const [parent] = get(gateways.attachments, 'HTTPRoute b/web')?.parents ?? [];
    expect(parent?.rejected?.reason).toBe('NotAllowedByListeners');
  });

  it.for([{ sectionName: 5 }, { port: '80' }, { namespace: ['infra'] }])(
    'attaches nothing by %j',
    (wrong) => {
      const parentRefs = [{ name: 'main', namespace: 'infra', ...wrong }];
      const { gateways } = compiled(
        gateway([HTTP]),
        route('HTTPRoute', 'infra', 'web', 2020, { parentRefs }),
      );
      expect(get(gateways.attachments, 'HTTPRoute infra/web')).toBeUndefined();
    },
  );

  it.for([5, ['web'], { web: true }, true])('grants nothing by the name %j', (name) => {
    const grant = {
      apiVersion,
      kind: 'ReferenceGrant',
      metadata: { name: 'grant', namespace: 'a' },
      spec: {
        from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'b' }],
        to: [{ group: '', kind: 'Service', name }],
      },
    };
    const backendRefs = [{ name: 'web', namespace: 'a', port: 80 }];
    const { gateways } = compiled(
      gateway([HTTP]),
      grant,
      route('HTTPRoute', 'b', 'web', 2020, { rules: [{ backendRefs }] }),
    );
    expect(get(gateways.attachments, 'HTTPRoute b/web')?.route.unresolved?.reason).toBe('RefNotPermitted');
  });
});
