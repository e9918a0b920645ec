import { describe, expect, it } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { Api, type AdminResponse, type ApiSources, type LiveFigures } from '../../src/admin/api/api.ts';
import type {
  BackendRow,
  CertificateRow,
  Overview,
  Page,
  ProblemPage,
  RouteDetail,
  RouteRow,
} from '../../src/admin/api/answers.ts';
import { formatProblem } from '../../src/model/format-problem.ts';
import { objectKey } from '../../src/model/objects.ts';
import { type ObjectChange, applyChanges, snapshotOf } from '../../src/model/snapshot.ts';
import { values } from '../../src/model/sharded-map.ts';
import { type Compilation, compile, listProblems } from '../../src/routing/compile/compile.ts';
import { CASE_SETTINGS, INGRESS_CLASS, loadCase } from '../support/cases.ts';

function changes(text: string): ObjectChange[] {
  return parseAllDocuments(`${INGRESS_CLASS}---\n${text}`).flatMap((document) => {
    const object = document.toJS() as { kind: ObjectChange['kind'] } | null;
    return object ? [{ kind: object.kind, key: objectKey(object as never), object } as ObjectChange] : [];
  });
}

function compiled(text: string): Compilation {
  return compile(snapshotOf(changes(text)), CASE_SETTINGS);
}

function apiOf(compilation: Compilation | null, more: Partial<ApiSources> = {}): Api {
  return new Api({
    version: '1.2.3',
    pod: '',
    startedAt: 0,
    redirect: null,
    health: null,
    compilation: () => compilation,
    sourceProblems: () => [],
    locate: () => null,
    checks: () => [{ name: 'data-plane', ok: true, detail: 'ok' }],
    watches: () => [],
    threads: async () => [],
    endpointHealth: async () => new Map(),
    requests: null,
    traffic: () => null,
    ...more,
  });
}

async function ask(api: Api, target: string, knownTag = ''): Promise<AdminResponse> {
  const [path = '', query = ''] = target.split('?', 2);
  const signal = new AbortController().signal;
  return await api.answer({ path: path.split('/'), query, knownTag, signal });
}

/** The body of an answer; fails with the reason where there is none. */
async function bodyOf<T>(api: Api, target: string): Promise<T> {
  const answer = await ask(api, target);
  if (answer.kind !== 'answer') throw new Error(JSON.stringify(answer));
  // As the client gets it.
  return JSON.parse(JSON.stringify(answer.body)) as T;
}

function ingress(name: string, host: string, paths: readonly string[], more: object = {}): string {
  const backend = { service: { name: 'web', port: { number: 80 } } };
  return stringify({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name, namespace: 'shop', ...more },
    spec: {
      ingressClassName: 'portico',
      rules: [{ host, http: { paths: paths.map((path) => ({ path, pathType: 'Prefix', backend })) } }],
    },
  });
}

const WEB = `apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { ports: [{ port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: web-1, namespace: shop, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
ports: [{ port: 8080 }]
endpoints: [{ addresses: [10.0.0.1], targetRef: { kind: Pod, name: web-a } }, { addresses: [10.0.0.2] }]
`;

const MANY = [
  WEB,
  ...Array.from({ length: 30 }, (_, i) => ingress(`ing-${i}`, `h${i % 7}.test`, [`/${i}`, `/${i}/deep`])),
].join('---\n');

describe('routes', () => {
  const api = apiOf(compiled(MANY));

  it('come in pages, each once, by host and path', async () => {
    const pages = await Promise.all(
      [0, 25, 50].map((offset) => bodyOf<Page<RouteRow>>(api, `routes?limit=25&offset=${offset}`)),
    );
    expect(pages.map(({ total, items }) => [total, items.length])).toEqual([
      [60, 25],
      [60, 25],
      [60, 10],
    ]);
    const rows = pages.flatMap(({ items }) => items);
    expect(new Set(rows.map(({ id }) => id)).size).toBe(60);
    const order = rows.map(({ host, path }) => `${host} ${path}`);
    expect(order).toEqual(order.toSorted());
    expect(rows[0]).toMatchObject({
      id: 'Ingress/shop/ing-0/spec.rules[0].http.paths[0]',
      source: { kind: 'Ingress', namespace: 'shop', name: 'ing-0', field: 'spec.rules[0].http.paths[0]' },
      backends: [{ key: 'shop/web:80', share: 1, endpoints: 2 }],
    });
  });

  it('are filtered by words in the host, the path, the object or the backend', async () => {
    const found = async (filter: string): Promise<number> =>
      (await bodyOf<Page<RouteRow>>(api, `routes?filter=${encodeURIComponent(filter)}`)).total;
    expect(await found('h3.test')).toBe(8);
    expect(await found('H3.TEST DEEP')).toBe(4);
    expect(await found('shop/web:80')).toBe(60);
    expect(await found('ing-29')).toBe(2);
    expect(await found('nowhere')).toBe(0);
  });

  it('are not sent again to who has them, until the table is another one', async () => {
    let compilation = compiled(MANY);
    const changing = apiOf(compilation, { compilation: () => compilation });
    const first = await ask(changing, 'routes');
    const tag = first.kind === 'answer' ? first.tag : null;
    expect(tag).not.toBeNull();
    expect(await ask(changing, 'routes', `"other", W/${tag}`)).toEqual({ kind: 'not-modified', tag });
    const next = applyChanges(compilation.snapshot, changes(ingress('new', 'new.test', ['/'])));
    compilation = compile(next, CASE_SETTINGS, compilation);
    const second = await ask(changing, 'routes', tag ?? '');
    expect(second.kind === 'answer' && (second.body as Page<RouteRow>).total).toBe(61);
  });

  it('have figures when they are asked for', async () => {
    const rates = { path: '/0', requestsPerSecond: 7 } as LiveFigures['total'] & { path: string };
    const id = 'Ingress/shop/ing-0/spec.rules[0].http.paths[0]';
    const none = { get: () => undefined, busiest: () => [] };
    const routes = { ...none, get: (name: string) => (name === id ? rates : undefined) };
    const live = { seconds: 2, total: rates, routes, backends: none };
    const { items } = await bodyOf<Page<RouteRow>>(
      apiOf(compiled(MANY), { traffic: () => live }),
      'routes?traffic=true&limit=2',
    );
    expect(items.map(({ traffic }) => traffic)).toEqual([rates, null]);
  });

  it('of one object come with its backends and its problems', async () => {
    const detail = await bodyOf<RouteDetail>(
      apiOf(
        compiled(
          `${WEB}---\n${ingress('one', 'a.test', ['/', '/x'])}---\n${ingress('two', 'b.test', ['/'])}`,
        ),
      ),
      'routes/Ingress/shop/one',
    );
    expect(detail.routes.map(({ path }) => path)).toEqual(['/', '/x']);
    expect(detail.backends.map(({ key, endpoints }) => [key, endpoints.map(({ pod }) => pod)])).toEqual([
      ['shop/web:80', ['web-a', null]],
    ]);
    expect(await ask(api, 'routes/Ingress/shop/none')).toMatchObject({ kind: 'refused', status: 404 });
    expect(await ask(api, 'routes/__proto__')).toMatchObject({ kind: 'refused', status: 404 });
  });

  it('show the names of header fields, and no value of one', async () => {
    const annotations = { 'portico.dev/response-headers': 'X-Token: hidden-value' };
    const compilation = compiled(`${WEB}---\n${ingress('one', 'a.test', ['/'], { annotations })}`);
    const answers = await Promise.all(
      ['routes', 'routes/Ingress/shop/one', 'explain?url=a.test', 'problems', 'backends'].map((target) =>
        bodyOf<object>(apiOf(compilation), target),
      ),
    );
    expect(JSON.stringify(answers)).toContain('response-headers: X-Token');
    expect(JSON.stringify(answers)).not.toContain('hidden-value');
  });
});

describe('problems', () => {
  it('are those that everybody shows, by namespace and object, with what is in conflict', async () => {
    const { objects, settings } = loadCase('conflict-name-decides');
    const compilation = compile(snapshotOf(objects), settings);
    const { items, total, namespaces } = await bodyOf<ProblemPage>(apiOf(compilation), 'problems');
    expect(items.map(({ code, field }) => `${code} ${field}`).toSorted()).toEqual(
      listProblems(compilation)
        .map(({ code, field }) => `${code} ${field}`)
        .toSorted(),
    );
    expect(namespaces.reduce((sum, { error, warning, info }) => sum + error + warning + info, 0)).toBe(total);
    const conflicts = await bodyOf<ProblemPage>(apiOf(compilation), 'problems?conflicts=true');
    expect(conflicts.items.map(({ code }) => code)).toContain('PathConflict');
    expect(conflicts.items.every(({ conflict }) => conflict)).toBe(true);
  });

  it('are filtered by namespace, severity, code and text', async () => {
    const compilation = compiled(ingress('one', 'a.test', ['/']));
    const api = apiOf(compilation);
    const total = async (query: string): Promise<number> =>
      (await bodyOf<ProblemPage>(api, `problems?${query}`)).total;
    expect(await total('namespace=shop&severity=error')).toBe(await total(''));
    expect(await total('code=ServiceNotFound&filter=WEB')).toBe(1);
    expect(await total('namespace=other')).toBe(0);
    expect(await total('severity=warning')).toBe(0);
  });
});

it('certificates are shown by what they say, and no byte of a key', async () => {
  const { objects, settings } = loadCase('tls-good');
  const compilation = compile(snapshotOf(objects), settings);
  const { items } = await bodyOf<Page<CertificateRow>>(apiOf(compilation), 'certificates');
  const shown = items.filter(({ secret }) => secret !== null);
  expect(shown.length).toBeGreaterThan(0);
  for (const { host, names, fingerprint, notAfter } of shown) {
    expect(names.length).toBeGreaterThan(0);
    expect(host).not.toBe('');
    expect(fingerprint).toMatch(/^([0-9A-F]{2}:){31}/);
    expect(Date.parse(notAfter ?? '')).toBeGreaterThan(0);
  }
  const keys = [...values(compilation.keys)].map(({ key }) => key.split('\n')[1] ?? '');
  expect(keys.length).toBeGreaterThan(0);
  for (const key of keys) expect(JSON.stringify(items)).not.toContain(key);
});

it('backends have the health that threads tell', async () => {
  const health = { inFlight: 3, latencyMs: 1.5, ejectedBy: 1, threads: 2 };
  const api = apiOf(compiled(`${WEB}---\n${ingress('one', 'a.test', ['/'])}`), {
    endpointHealth: async (keys) => new Map(keys.map((key) => [key, new Map([['10.0.0.2:8080', health]])])),
  });
  const { items } = await bodyOf<Page<BackendRow>>(api, 'backends');
  expect(items[0]?.endpoints.map(({ address, health }) => [address, health])).toEqual([
    ['10.0.0.1:8080', null],
    ['10.0.0.2:8080', health],
  ]);
  expect((await bodyOf<Page<BackendRow>>(api, 'backends?unavailable=true')).total).toBe(0);
});

it('explain says of the running table what the command says', async () => {
  const compilation = compiled(ingress('one', 'a.test', ['/']));
  const [problem] = listProblems(compilation);
  const { explanation } = await bodyOf<{ explanation: { steps: string[]; problems: string[] } }>(
    apiOf(compilation),
    `explain?url=${encodeURIComponent('http://a.test/x')}`,
  );
  expect(explanation.steps[0]).toBe('The rules of host "a.test" own this host.');
  expect(explanation.problems).toEqual([`error: ${formatProblem(problem!, null)}`]);
});

it('the overview counts what is listed, and is there before anything is', async () => {
  expect(await bodyOf<Overview>(apiOf(compiled(MANY)), 'overview')).toMatchObject({
    ...{ version: '1.2.3', ready: true, generation: 1, hosts: 7, routes: 60, backends: 1, conflicts: 0 },
  });
  const api = apiOf(null);
  expect(await bodyOf<Overview>(api, 'overview')).toMatchObject({ generation: 0, routes: 0 });
  expect(await ask(api, 'routes')).toMatchObject({ kind: 'refused', status: 503 });
});

it('a text of any length is refused', async () => {
  const answer = await ask(apiOf(compiled(MANY)), `routes?filter=${'a'.repeat(2_049)}`);
  expect(answer).toMatchObject({ kind: 'refused', reason: 'filter has more than 2048 characters' });
});

it.each([
  ['routes?limit=0', 'limit is not a number from 1 to 500'],
  ['routes?limit=501', 'limit is not a number from 1 to 500'],
  ['routes?offset=-1', 'offset is not a number from 0 to 10000000'],
  ['routes?offset=1e3', 'offset is not a number from 0 to 10000000'],
  ['routes?fliter=a', 'there is no parameter "fliter"'],
  ['routes?filter=a&filter=b', 'filter is given 2 times'],
  ['problems?severity=bad', 'severity is none of error, warning, info'],
  ['explain?url=ftp://a', "url: 'ftp:' is not supported; write http://host/path or https://host/path"],
  ['explain', "url: '' is not a URL; write http://host/path"],
  ['explain?url=http://', "url: 'http://' is not a URL; write http://host/path"],
  ['explain?url=http:///cart', "url: 'http:///cart' is not a URL; write http://host/path"],
])('%s is refused: %s', async (target, reason) => {
  expect(await ask(apiOf(compiled(MANY)), target)).toEqual({ kind: 'refused', status: 400, reason });
});
