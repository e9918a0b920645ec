import { describe, expect, it } from 'vitest';
import { type Compilation, compile, listProblems } from '../../src/routing/compile/compile.ts';
import { match } from '../../src/routing/match.ts';
import { entries, get } from '../../src/model/sharded-map.ts';
import { type ObjectChange, applyChanges, snapshotOf } from '../../src/model/snapshot.ts';
import type { HostRoutes } from '../../src/routing/table.ts';
import { tableUpdate } from '../../src/routing/table-update.ts';
import { TENANT_LIMITS } from '../../src/routing/tenant-limits.ts';
import { CASE_SETTINGS } from '../support/cases.ts';
import { OUR_CLASS } from './arbitrary-cluster.ts';

const GLOBS = 'portico.dev/host-globs';

interface Asked {
  readonly hosts?: readonly string[];
  readonly paths?: readonly string[];
  readonly globs?: readonly string[];
  readonly tls?: readonly object[];
  /** The day of its creation. */
  readonly day?: number;
}

function ingress(
  key: string,
  { hosts = ['a.test'], paths = ['/'], globs = [], tls, day = 1 }: Asked,
): ObjectChange {
  const [namespace, name] = key.split('/');
  const backend = { service: { name: 'web', port: { number: 80 } } };
  const http = { paths: paths.map((path) => ({ path, pathType: 'Prefix', backend })) };
  const creationTimestamp = `2026-01-${String(day).padStart(2, '0')}T00:00:00Z`;
  const annotations = globs.length > 0 ? { [GLOBS]: globs.join(',') } : {};
  const object = {
    metadata: { namespace, name, creationTimestamp, annotations },
    spec: { ingressClassName: 'portico', rules: hosts.map((host) => ({ host, http })), tls },
  };
  return { kind: 'Ingress', key, object } as unknown as ObjectChange;
}

/** The victim is another tenant, younger than all. */
const VICTIM = ingress('victim/web', { hosts: ['victim.test'], day: 31 });

const SERVICES = ['b', 'c', 'd', 'e', 'f', 'g', 'victim'].map((namespace) => {
  const object = { metadata: { namespace, name: 'web' }, spec: { ports: [{ port: 80 }] } };
  return { kind: 'Service', key: `${namespace}/web`, object } as unknown as ObjectChange;
});

function compiled(...objects: readonly ObjectChange[]): Compilation {
  const compilation = compile(snapshotOf([OUR_CLASS, ...SERVICES, ...objects, VICTIM]), CASE_SETTINGS);
  // What is compiled can be sent, and takes nothing from others.
  structuredClone(tableUpdate(null, compilation.table));
  expect(match(compilation.table, 'victim.test', '/')).toMatchObject({ ingress: 'victim/web' });
  return compilation;
}

/** By object: what it is told. To list and sort all problems again for each of hundreds of objects takes seconds. */
const toldByCompilation = new WeakMap<Compilation, ReadonlyMap<string, readonly string[]>>();

function told(compilation: Compilation, key: string): readonly string[] {
  let byKey = toldByCompilation.get(compilation);
  if (!byKey) {
    const found = listProblems(compilation).filter(({ code }) => code !== 'NoEndpoints');
    const grouped = Map.groupBy(found, ({ object }) => `${object.namespace}/${object.name}`);
    byKey = new Map([...grouped].map(([of, all]) => [of, all.map(({ code, field }) => `${code} ${field}`)]));
    toldByCompilation.set(compilation, byKey);
  }
  return byKey.get(key) ?? [];
}

function routesAt(compilation: Compilation, host: string): HostRoutes | undefined {
  return get(compilation.table.hosts, host);
}

const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i);

describe('one Ingress', () => {
  it('may nest paths as deeply as it likes', () => {
    const paths = numbers(TENANT_LIMITS.pathLength - 1).map((i) => `/${'a'.repeat(i)}`);
    const compilation = compiled(ingress('b/nested', { paths }));
    const deepest = paths.at(-1) ?? '';
    expect(match(compilation.table, 'a.test', `${deepest}/x`)?.path).toBe(deepest);
    expect(match(compilation.table, 'a.test', '/aab')?.path).toBe('/');
  });

  it('has a path that is too long or too deep left out', () => {
    const { pathLength, pathSegments } = TENANT_LIMITS;
    const good = [`/${'a'.repeat(pathLength - 1)}`, '/a'.repeat(pathSegments)];
    const compilation = compiled(ingress('b/long', { paths: good.flatMap((path) => [path, `${path}/a`]) }));
    expect(told(compilation, 'b/long')).toEqual([
      'PathTooLong spec.rules[0].http.paths[1].path',
      'PathTooLong spec.rules[0].http.paths[3].path',
    ]);
    for (const path of good) expect(match(compilation.table, 'a.test', path)?.path).toBe(path);
  });

  it('has the paths and rules beyond the limits left out', () => {
    const { pathsPerIngress, rulesPerIngress } = TENANT_LIMITS;
    const paths = compiled(ingress('b/paths', { paths: numbers(pathsPerIngress + 2).map((i) => `/${i}`) }));
    expect(told(paths, 'b/paths')).toEqual([`TooManyPaths spec.rules[0].http.paths[${pathsPerIngress}]`]);
    expect(match(paths.table, 'a.test', `/${pathsPerIngress - 1}`)).not.toBeNull();
    expect(match(paths.table, 'a.test', `/${pathsPerIngress}`)).toBeNull();

    const hosts = numbers(rulesPerIngress + 2).map((i) => `h${i}.test`);
    const rules = compiled(ingress('b/rules', { hosts }));
    expect(told(rules, 'b/rules')).toEqual([`TooManyRules spec.rules[${rulesPerIngress}]`]);
    expect(routesAt(rules, `h${rulesPerIngress - 1}.test`)).toBeDefined();
    expect(routesAt(rules, `h${rulesPerIngress}.test`)).toBeUndefined();
  });

  it('has TLS entries beyond the limit left out: without hosts each stands for all rules', () => {
    const tls = numbers(5_000).map((i) => ({ secretName: `s${i}` }));
    const compilation = compiled(ingress('b/tls', { hosts: numbers(250).map((i) => `h${i}.test`), tls }));
    expect(told(compilation, 'b/tls')).toContain('TooManyTlsHosts spec.tls[40]');
  });

  it('has an entry with more TLS hosts than the limit left out as a whole', () => {
    const hosts = numbers(TENANT_LIMITS.tlsHostsPerIngress + 1).map((i) => `h${i}.test`);
    const compilation = compiled(ingress('b/tls', { hosts: ['*.test'], tls: [{ hosts }] }));
    expect(told(compilation, 'b/tls')).toEqual(['TooManyTlsHosts spec.tls[0]']);
    expect(compilation.table.certificates.size).toBe(0);
  });

  it('costs little memory for problems that nobody will read', () => {
    const paths = numbers(5_000).map((i) => `no-slash-${i}`);
    const tls = [{ hosts: numbers(5_000).map((i) => `h${i}.test`) }];
    const compilation = compiled(ingress('b/wrong', { hosts: ['-bad-'], paths, tls }));
    expect(get(compilation.claims, 'b/wrong')?.problems).toHaveLength(101);
    const problems = told(compilation, 'b/wrong');
    expect(problems).toHaveLength(101);
    expect(problems).toContain('TooManyProblems ');
    expect(problems).toContain('TlsHostWithoutRule spec.tls[0].hosts[0]');
  });

  it('has no time spent on suggestions for thousands of unknown annotations, and none of them open it', () => {
    const change = ingress('b/unknown', {});
    const names = [...numbers(8_000).map((i) => `portico.dev/hash-b${i}`), 'portico.dev/client-ca'];
    const annotations = Object.fromEntries(names.map((name) => [name, '']));
    const object = change.object as { metadata: object };
    const metadata = { ...object.metadata, annotations };
    const compilation = compiled({ ...change, object: { ...object, metadata } } as ObjectChange);
    expect(get(compilation.claims, 'b/unknown')?.problems).toHaveLength(101);
    expect(match(compilation.table, 'a.test', '/')?.policies?.closed).toEqual(['client-certificate']);
  });

  it('has its worst problems listed, and the others counted', () => {
    const paths = numbers(500).map((i) => `no-slash-${i}`);
    const problems = told(compiled(ingress('b/wrong', { paths })), 'b/wrong');
    expect(problems).toHaveLength(101);
    expect(problems.at(-1)).toBe('TooManyProblems ');
  });

  it('has one tree for all its hosts and globs, also in what is sent', () => {
    const globs = numbers(16).map((i) => `*-${i}.b.test`);
    const asked = { hosts: ['a.b.test'], paths: numbers(1_000).map((i) => `/${i}`) };
    const before = compiled(ingress('b/big', { ...asked, globs: globs.slice(1) }));
    const snapshot = applyChanges(before.snapshot, [ingress('b/big', { ...asked, globs })]);
    const after = compile(snapshot, CASE_SETTINGS, before);
    for (const { table } of [before, after]) {
      const bucket = get(table.globs, 'b.test') ?? [];
      const trees = bucket.map(({ routes }) => routes.paths);
      expect(new Set([...trees, get(table.hosts, 'a.b.test')?.paths]).size).toBe(1);
    }
    // One more glob is sent with those that have the same tree, so that a thread keeps no second copy.
    const update = structuredClone(tableUpdate(before.table, after.table));
    const sent = update.kind === 'changes' ? (update.globs[0]?.[1] ?? []) : [];
    expect(sent).toHaveLength(16);
    expect(new Set(sent.map(({ routes }) => routes.paths)).size).toBe(1);
  });
});

describe('several Ingresses', () => {
  it('have as many paths on a host as the limit; the youngest lose', () => {
    const each = TENANT_LIMITS.pathsPerIngress;
    const ingresses = [1, 2, 3].map((day) => {
      return ingress(`b/p${day}`, { paths: numbers(each).map((i) => `/${day}-${i}`), day });
    });
    const compilation = compiled(...ingresses.toReversed());
    const left = TENANT_LIMITS.pathsPerHost - 2 * each;
    expect(['b/p1', 'b/p2'].map((key) => told(compilation, key))).toEqual([[], []]);
    expect(told(compilation, 'b/p3')).toEqual([`HostTooManyPaths spec.rules[0].http.paths[${left}].path`]);
    expect(match(compilation.table, 'a.test', `/3-${left - 1}`)).not.toBeNull();
    expect(match(compilation.table, 'a.test', `/3-${left}`)).toBeNull();
  });

  it('of other namespaces cannot use up the paths of a host', () => {
    const each = TENANT_LIMITS.pathsPerIngress;
    const others = [2, 3, 4].map((day) => {
      return ingress(`c/p${day}`, { paths: numbers(each).map((i) => `/${day}-${i}`), day });
    });
    const [first, late] = [ingress('b/first', { day: 1 }), ingress('b/late', { paths: ['/late'], day: 5 })];
    const compilation = compiled(first, ...others, late);
    expect(told(compilation, 'b/late')).toEqual([]);
    expect(match(compilation.table, 'a.test', '/late')?.ingress).toBe('b/late');
    expect(told(compilation, 'c/p4')).toHaveLength(1);
  });

  it('of a namespace have as many globs as the limit, and as many under one suffix; others keep theirs', () => {
    const { globsPerNamespace, globsPerSuffix, globsPerSuffixAndNamespace } = TENANT_LIMITS;
    const glob = (tenant: string, day: number, i: number, suffix: string): ObjectChange => {
      return ingress(`${tenant}/g${day}-${i}`, {
        globs: [`${tenant}${i}-*.${suffix}`],
        hosts: [`${tenant}${i}.test`],
        day,
      });
    };
    const own = numbers(globsPerNamespace + 1).map((i) => glob('b', i < 9 ? 1 : 2, i, `s${i}.test`));
    const byNamespace = compiled(...own);
    const without = own.filter(({ key }) => told(byNamespace, key).length > 0);
    expect(without).toHaveLength(1);
    expect(told(byNamespace, without[0]?.key ?? '')).toEqual([
      `TooManyHostGlobs metadata.annotations[${GLOBS}]`,
    ]);

    const tenants = ['c', 'd', 'e', 'f', 'g'];
    const shared = tenants.flatMap((tenant, index) => {
      return numbers(globsPerSuffixAndNamespace + 1).map((i) => glob(tenant, index + 1, i, 'shared.test'));
    });
    const bySuffix = compiled(...shared);
    expect(get(bySuffix.table.globs, 'shared.test')).toHaveLength(globsPerSuffix);
    const losers = shared
      .filter(({ key }) => told(bySuffix, key).length > 0)
      .map(({ key }) => key.split('/')[0]);
    // One of each, and all of the youngest.
    expect(tenants.map((tenant) => losers.filter((each) => each === tenant).length)).toEqual([
      1, 1, 1, 1, 65,
    ]);
  });

  it('of a namespace have as many routes as the limit; what frees some lets the next one in', () => {
    const before = compiled(...large, ingress('b/r4', largeOf(4)));
    const isLeftOut = (compilation: Compilation, key: string): boolean =>
      told(compilation, key).includes('NamespaceTooManyRoutes spec.rules');
    expect([1, 2, 3, 4].filter((day) => isLeftOut(before, `b/r${day}`))).toEqual([4]);
    expect(routesAt(before, 'r4.test')).toBeUndefined();

    const gone = [{ ...large[0], object: undefined } as ObjectChange];
    const after = compile(applyChanges(before.snapshot, gone), CASE_SETTINGS, before);
    expect(routesAt(after, 'r4.test')).toBeDefined();
    expect(isLeftOut(after, 'b/r4')).toBe(false);
    expect(listProblems(after)).toEqual(listProblems(compile(after.snapshot, CASE_SETTINGS)));
  });

  it('have TLS hosts counted like routes, so that a wildcard or a rule without a host does not make them free', () => {
    const left = TENANT_LIMITS.routesPerNamespace - large.length * ROUTES_OF_LARGE;
    const withTls = (count: number): ObjectChange => {
      const hosts = numbers(count).map((i) => `h${i}.w.test`);
      return ingress('b/tls', { hosts: ['*.w.test'], tls: [{ hosts }], day: 5 });
    };
    // The rule has a host and a path.
    const most = compiled(...large, withTls(left - 2));
    expect(told(most, 'b/tls')).toEqual([]);
    expect(most.table.certificates.size).toBe(left - 2);
    const beyond = compiled(...large, withTls(left - 1));
    expect(told(beyond, 'b/tls')).toEqual(['NamespaceTooManyRoutes spec.rules']);
    expect(beyond.table.certificates.size).toBe(0);
  });
});

/** Each path counts for its host and its globs, of which it shares one with the others. */
function largeOf(day: number): Asked {
  const globs = numbers(15).map((i) => `*-${i}.b${day}.test`);
  return {
    hosts: [`r${day}.test`],
    paths: numbers(1_900).map((i) => `/${i}`),
    globs: ['*.b.test', ...globs],
    day,
  };
}
const ROUTES_OF_LARGE = 17 * 1_901;

/** Three of which the limit has room for. */
const large = [1, 2, 3].map((day) => ingress(`b/r${day}`, largeOf(day)));

describe('the endpoints of a namespace', () => {
  const ports = numbers(30).map((i) => ({ name: `p${i}`, port: 1_000 + i }));
  const named = (key: string): { metadata: object } => {
    const [namespace, name] = key.split('/');
    return { metadata: { namespace, name, creationTimestamp: `2026-01-0${name?.at(-1)}T00:00:00Z` } };
  };
  const servicePorts = (key: string, endpoints: number): readonly ObjectChange[] => {
    const { metadata } = named(key);
    const [namespace, name] = key.split('/');
    const labels = { 'kubernetes.io/service-name': name };
    const slice = {
      metadata: { namespace, name, labels },
      addressType: 'IPv4',
      ports,
      // An endpoint may have several addresses.
      endpoints: [{ addresses: numbers(endpoints).map((i) => `10.0.${i >> 8}.${i & 255}`) }],
    };
    const paths = ports.map(({ port }, i) => {
      return { path: `/${i}`, pathType: 'Prefix', backend: { service: { name, port: { number: port } } } };
    });
    const rules = [{ host: `${name}.test`, http: { paths } }];
    const spec = { ingressClassName: 'portico', rules };
    return [
      { kind: 'Service', key, object: { metadata, spec: { ports } } },
      { kind: 'EndpointSlice', key, object: slice },
      { kind: 'Ingress', key, object: { metadata, spec } },
    ] as unknown as readonly ObjectChange[];
  };
  const left = ({ table }: Compilation): readonly string[] =>
    [...entries(table.backends)]
      .filter(([, { unavailable }]) => unavailable === 'too-many-endpoints')
      .map(([key]) => key)
      .sort();

  it('count for each port of a Service that an Ingress names; the oldest Services keep theirs', () => {
    const each = Math.floor(TENANT_LIMITS.endpointsPerNamespace / ports.length / 2);
    const [first, second, third] = ['b/s1', 'b/s2', 'b/s3'].map((key) => servicePorts(key, each));
    const before = compiled(...first!, ...second!);
    expect(left(before)).toEqual([]);

    const after = compile(applyChanges(before.snapshot, third!), CASE_SETTINGS, before);
    expect(left(after)).toEqual(ports.map(({ port }) => `b/s3:${port}`));
    expect(told(after, 'b/s3')[0]).toBe(
      'NamespaceTooManyEndpoints spec.rules[0].http.paths[0].backend.service',
    );
    const fewer = compile(applyChanges(after.snapshot, servicePorts('b/s1', 1)), CASE_SETTINGS, after);
    expect(left(fewer)).toEqual([]);
    expect(get(fewer.table.backends, 'b/s3:1000')?.endpoints).toHaveLength(each);
    for (const { snapshot, table, endpointsByNamespace } of [after, fewer]) {
      const scratch = compile(snapshot, CASE_SETTINGS);
      // As text: half a million endpoints are compared in no time.
      const text = (backends: typeof table.backends) =>
        [...entries(backends)].map((each) => JSON.stringify(each)).sort();
      expect(text(table.backends)).toEqual(text(scratch.table.backends));
      expect([...entries(endpointsByNamespace)]).toEqual([...entries(scratch.endpointsByNamespace)]);
    }
  });
});

describe('an object that we fail on', () => {
  /** No API server has such an object; it stands for any fault of ours. */
  const failing = (change: ObjectChange): ObjectChange => {
    const object = new Proxy(change.object ?? {}, {
      get(target, name) {
        if (name === 'spec') throw new RangeError('Maximum call stack size exceeded');
        return Reflect.get(target, name) as unknown;
      },
    });
    return { ...change, object } as ObjectChange;
  };

  it('is left out, and the others are served', () => {
    const service = { metadata: { namespace: 'b', name: 'web' } };
    const objects = [
      failing(ingress('b/bad', { hosts: ['bad.test'] })),
      failing({ kind: 'Service', key: 'b/web', object: service } as unknown as ObjectChange),
      ingress('b/good', { hosts: ['good.test'] }),
    ];
    const compilation = compiled(...objects);
    expect(told(compilation, 'b/bad')).toEqual(['InternalError ']);
    expect(told(compilation, 'b/web')).toEqual(['InternalError ']);
    expect(compilation.faults.map(({ object }) => `${object.kind} ${object.name}`)).toEqual([
      'Ingress bad',
      'Service web',
    ]);
    expect(routesAt(compilation, 'bad.test')).toBeUndefined();
    expect(get(compilation.table.backends, 'b/web:80')).toMatchObject({ unavailable: 'internal-error' });

    const repaired = applyChanges(compilation.snapshot, [ingress('b/bad', { hosts: ['bad.test'] })]);
    const after = compile(repaired, CASE_SETTINGS, compilation);
    expect(routesAt(after, 'bad.test')).toBeDefined();
    expect(told(after, 'b/bad')).toEqual([]);
  });
});
