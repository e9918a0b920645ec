import { isDeepStrictEqual } from 'node:util';
import type {
  BackendRow,
  Check,
  Overview,
  Page,
  ProblemPage,
  Rates,
  RequestRow,
  RouteDetail,
  RouteRow,
  ThreadRow,
  Traffic,
  WatchRow,
} from './answers.ts';
import type { SourceLocation } from '../../model/format-problem.ts';
import type { Problem } from '../../model/problem.ts';
import { emptyMap, get } from '../../model/sharded-map.ts';
import { EMPTY_SNAPSHOT } from '../../model/snapshot.ts';
import { describePolicies } from '../../policies/describe-policies.ts';
import { serviceOf } from '../../routing/backends.ts';
import { EMPTY_TABLE, type Compilation } from '../../routing/compile/compilation.ts';
import type { HealthCheck, HttpsRedirect } from '../../routing/decide.ts';
import { explainFully, parseUrl } from '../../routing/explain-url.ts';
import type { Backend, BackendKey } from '../../routing/table.ts';
import {
  type EndpointHealths,
  MAX_ENDPOINTS,
  allBackends,
  backendFilter,
  backendRow,
} from './backend-list.ts';
import { type ServedCertificate, certificateRow, servedCertificates } from './certificate-list.ts';
import { explanationView } from './explain-view.ts';
import { KeptList, type ListOf } from './kept-list.ts';
import { type OverviewCounts, countAll } from './overview.ts';
import { allProblems, countByNamespace, problemFilter, problemRow } from './problem-list.ts';
import { MAX_ITEMS, Query } from './query.ts';
import {
  type ServedRoute,
  backendKeysOf,
  idOf,
  routeFilter,
  routeRow,
  routesOfObject,
  servedRoutes,
} from './route-list.ts';
import { createTurns } from './turns.ts';
import { UnlessChanged } from './unless-changed.ts';

/** What the rest of the process tells the API. */
export interface ApiSources {
  readonly version: string;
  /** The name of the Pod; empty outside of a cluster. */
  readonly pod: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  readonly redirect: HttpsRedirect | null;
  readonly health: HealthCheck | null;
  /** Null before the first. */
  compilation(): Compilation | null;
  /** Of reading. */
  sourceProblems(): readonly Problem[];
  locate(problem: Problem): SourceLocation | null;
  checks(): readonly Check[];
  watches(): readonly WatchRow[];
  threads(): Promise<readonly ThreadRow[]>;
  /** Of the first endpoints of each backend, as all threads see them together. */
  endpointHealth(
    backends: readonly BackendKey[],
    limit: number,
  ): Promise<ReadonlyMap<BackendKey, EndpointHealths>>;
  /** The newest requests of all threads, the newest first; null where none are kept. */
  requests: ((limit: number) => Promise<readonly RequestRow[]>) | null;
  /** Null while nothing is counted yet. Requests are counted from the first call on, for a while. */
  traffic(): LiveFigures | null;
}

/** What was counted in the last seconds. */
export interface LiveFigures {
  readonly seconds: number;
  readonly total: Rates;
  /** By `routeId`. */
  readonly routes: FigureList;
  /** By key. */
  readonly backends: FigureList;
}

/** The rates of many by name, with the path of what is a route. */
export interface FigureList {
  get(name: string): (Rates & { readonly path: string }) | undefined;
  /** Those with most requests first. */
  busiest(limit: number): readonly (readonly [string, Rates & { readonly path: string }])[];
}

export interface AdminRequest {
  /** Below `/api/v1/`, decoded. */
  readonly path: readonly string[];
  readonly query: string;
  /** Of If-None-Match; empty for none. */
  readonly knownTag: string;
  /** Aborted when nobody waits any more. */
  readonly signal: AbortSignal;
}

export type AdminResponse =
  | { readonly kind: 'answer'; readonly body: object; readonly tag: string | null }
  | { readonly kind: 'not-modified'; readonly tag: string }
  | { readonly kind: 'refused'; readonly status: 400 | 404 | 503; readonly reason: string };

/** Routes, and backends, of one object in one answer. */
const MAX_ROUTES_OF_OBJECT = 200;
const MAX_BACKENDS_OF_OBJECT = 50;
const MAX_TRAFFIC = 200;

/** What is served before everything was listed. */
const NOTHING: Pick<Compilation, 'table' | 'problems' | 'snapshot'> = {
  table: EMPTY_TABLE,
  problems: emptyMap(),
  snapshot: EMPTY_SNAPSHOT,
};

const NOT_COMPILED: AdminResponse = {
  kind: 'refused',
  status: 503,
  reason: 'nothing is served yet: see /api/v1/watches',
};

type Compiled = (compilation: Compilation, query: Query, request: AdminRequest) => Promise<AdminResponse>;

/** Version 1 of the admin API: reads, and changes nothing. */
export class Api {
  readonly #sources: ApiSources;
  readonly #turns = createTurns();
  readonly #routes = new KeptList(this.#turns, servedRoutes);
  readonly #backends = new KeptList(this.#turns, allBackends);
  readonly #problems = new KeptList(this.#turns, allProblems);
  readonly #certificates = new KeptList(this.#turns, servedCertificates);
  readonly #routeParts = new UnlessChanged<Parameters<typeof servedRoutes>[0]>();
  readonly #backendParts = new UnlessChanged<Parameters<typeof allBackends>[0]>();
  readonly #problemParts = new UnlessChanged<Parameters<typeof allProblems>[0]>();
  readonly #certificateParts = new UnlessChanged<Parameters<typeof servedCertificates>[0]>();
  readonly #compilationParts = new UnlessChanged<{
    compilation: Compilation;
    problems: readonly Problem[];
  }>();
  readonly #namespaces = new WeakMap<object, ProblemPage['namespaces']>();
  #readProblems: readonly Problem[] = [];
  readonly #countParts = new UnlessChanged<Parameters<typeof countAll>[0]>();
  readonly #counts = new WeakMap<object, OverviewCounts>();
  readonly #endpoints: Readonly<
    Record<string, (request: AdminRequest, query: Query) => Promise<AdminResponse>>
  >;

  constructor(sources: ApiSources) {
    this.#sources = sources;
    const compiled =
      (answer: Compiled) =>
      (request: AdminRequest, query: Query): Promise<AdminResponse> => {
        const compilation = sources.compilation();
        return compilation ? answer(compilation, query, request) : Promise.resolve(NOT_COMPILED);
      };
    this.#endpoints = {
      overview: (request, query) => this.#overview(query, request),
      routes: compiled((...args) => this.#routePage(...args)),
      backends: compiled((...args) => this.#backendPage(...args)),
      problems: compiled((...args) => this.#problemPage(...args)),
      certificates: compiled((...args) => this.#certificatePage(...args)),
      explain: compiled((...args) => this.#explain(...args)),
      traffic: (_, query) => Promise.resolve(this.#traffic(query)),
      requests: (_, query) => this.#requests(query),
      watches: (_, query) => Promise.resolve(finished(query) ?? answerOf({ items: sources.watches() })),
      threads: async (_, query) => finished(query) ?? answerOf({ items: await sources.threads() }),
    };
  }

  /** Rejects only when `signal` is aborted, or for a fault. */
  async answer(request: AdminRequest): Promise<AdminResponse> {
    const [name = '', ...rest] = request.path;
    const endpoint = Object.hasOwn(this.#endpoints, name) ? this.#endpoints[name] : undefined;
    const query = new Query(request.query);
    if (endpoint && rest.length === 0) return endpoint(request, query);
    if (name === 'routes') return this.#objectRoutes(rest, query, request.signal);
    const names = [...Object.keys(this.#endpoints), 'debug'].join(', ');
    return { kind: 'refused', status: 404, reason: `below /api/v1/ there are ${names}` };
  }

  async #overview(query: Query, { signal }: AdminRequest): Promise<AdminResponse> {
    const bad = finished(query);
    if (bad) return bad;
    const { version, pod, startedAt, checks, traffic } = this.#sources;
    const compilation = this.#sources.compilation() ?? NOTHING;
    const [routes, backends, problems, certificates] = [
      await this.#routeList(compilation),
      await this.#backendList(compilation),
      await this.#problemList(compilation),
      await this.#certificateList(compilation),
    ];
    const lists = { routes: routes.all, backends: backends.all, problems: problems.all };
    const same = this.#countParts.of(lists);
    const counts = this.#counts.get(same) ?? (await this.#turns.run(countAll(same), signal));
    this.#counts.set(same, counts);
    const [first] = certificates.all;
    const all = checks();
    const body: Overview = {
      version,
      pod,
      startedAt: new Date(startedAt).toISOString(),
      ready: all.every(({ ok }) => ok),
      checks: all,
      generation: compilation.table.generation,
      ...counts,
      certificates: certificates.all.length,
      firstExpiry:
        first?.secret && first.notAfter !== null
          ? { host: first.host, secret: first.secret, notAfter: new Date(first.notAfter).toISOString() }
          : null,
      keepsRequests: this.#sources.requests !== null,
      traffic: traffic()?.total ?? null,
    };
    return answerOf(body);
  }

  async #routePage(
    compilation: Compilation,
    query: Query,
    { signal, knownTag }: AdminRequest,
  ): Promise<AdminResponse> {
    const { table } = compilation;
    const text = query.text('filter');
    const withTraffic = query.flag('traffic');
    const page = query.page();
    const tag = withTraffic ? null : this.#tag('r', table.generation);
    const bad = finished(query) ?? unmodified(tag, knownTag);
    if (bad) return bad;
    const list = await this.#routeList(compilation);
    const found = await list.filtered(text.trim(), routeFilter(text), signal);
    const live = withTraffic ? this.#sources.traffic() : null;
    const body = pageOf(table.generation, found, page, (served): RouteRow => {
      const row = routeRow(table.backends, served);
      return withTraffic ? { ...row, traffic: live?.routes.get(row.id) ?? null } : row;
    });
    return answerOf(body, tag);
  }

  async #objectRoutes(rest: readonly string[], query: Query, signal: AbortSignal): Promise<AdminResponse> {
    const bad = finished(query);
    const compilation = this.#sources.compilation();
    if (bad || !compilation) return bad ?? NOT_COMPILED;
    const [kind = '', namespace = '', name = '', ...field] = rest;
    const list = await this.#routeList(compilation);
    const object = `${kind}/${namespace}/${name}`;
    const found = await this.#turns.run(routesOfObject(list.all, object, field.join('/')), signal);
    const { table, problems } = compilation;
    const about = get(problems, `${kind} ${namespace}/${name}`) ?? [];
    if (found.length === 0 && about.length === 0) {
      const reason = `nothing is served of ${JSON.stringify(object.slice(0, 200))}: write routes/Ingress/NAMESPACE/NAME`;
      return { kind: 'refused', status: 404, reason };
    }
    const shown = found.slice(0, MAX_ROUTES_OF_OBJECT);
    const keys = [...new Set(shown.flatMap(backendKeysOf))].slice(0, MAX_BACKENDS_OF_OBJECT);
    const services = new Set(keys.map(serviceOf));
    const ofServices = [...services].flatMap((key) => (key && get(problems, `Service ${key}`)) || []);
    const live = this.#sources.traffic();
    const body: RouteDetail = {
      generation: table.generation,
      source: { kind, namespace, name },
      total: found.length,
      routes: shown.map((served) => ({
        ...routeRow(table.backends, served),
        traffic: live?.routes.get(idOf(served)) ?? null,
        describedPolicies: policiesOf(served),
      })),
      backends: await this.#backendRows(
        keys.flatMap((key) => get(table.backends, key) ?? []),
        live,
      ),
      problems: [...about, ...ofServices].map((each) => problemRow(each, this.#sources.locate)),
    };
    return answerOf(body);
  }

  async #backendPage(
    compilation: Compilation,
    query: Query,
    { signal }: AdminRequest,
  ): Promise<AdminResponse> {
    const filter = { text: query.text('filter').trim(), unavailable: query.flag('unavailable') };
    const page = query.page();
    const bad = finished(query);
    if (bad) return bad;
    const list = await this.#backendList(compilation);
    const isAll = filter.text === '' && !filter.unavailable;
    const found = await list.filtered(isAll ? '' : JSON.stringify(filter), backendFilter(filter), signal);
    const shown = found.slice(page.offset, page.offset + page.limit);
    const items = await this.#backendRows(shown, this.#sources.traffic());
    const { generation } = compilation.table;
    return answerOf({ generation, total: found.length, offset: page.offset, items });
  }

  async #backendRows(backends: readonly Backend[], live: LiveFigures | null): Promise<readonly BackendRow[]> {
    const keys = backends.map(({ key }) => key);
    const health = keys.length === 0 ? null : await this.#sources.endpointHealth(keys, MAX_ENDPOINTS);
    return backends.map((backend) =>
      backendRow(backend, health?.get(backend.key), live?.backends.get(backend.key) ?? null),
    );
  }

  async #problemPage(
    compilation: Compilation,
    query: Query,
    { signal, knownTag }: AdminRequest,
  ): Promise<AdminResponse> {
    const filter = {
      namespace: query.text('namespace'),
      severity: query.oneOf('severity', ['', 'error', 'warning', 'info'], ''),
      code: query.text('code'),
      conflicts: query.flag('conflicts'),
      text: query.text('filter').trim(),
    };
    const page = query.page();
    const list = await this.#problemList(compilation);
    const tag = this.#tag('p', this.#problemParts.version);
    const bad = finished(query) ?? unmodified(tag, knownTag);
    if (bad) return bad;
    const isAll = Object.values(filter).every((value) => value === '' || value === false);
    const found = await list.filtered(isAll ? '' : JSON.stringify(filter), problemFilter(filter), signal);
    const namespaces =
      this.#namespaces.get(list) ?? (await this.#turns.run(countByNamespace(list.all), signal));
    this.#namespaces.set(list, namespaces);
    const body: ProblemPage = {
      ...pageOf(this.#problemParts.version, found, page, (each) => problemRow(each, this.#sources.locate)),
      namespaces,
    };
    return answerOf(body, tag);
  }

  async #certificatePage(
    compilation: Compilation,
    query: Query,
    { signal, knownTag }: AdminRequest,
  ): Promise<AdminResponse> {
    const text = query.text('filter').trim().toLowerCase();
    const page = query.page();
    const list = await this.#certificateList(compilation);
    const tag = this.#tag('c', this.#certificateParts.version);
    const bad = finished(query) ?? unmodified(tag, knownTag);
    if (bad) return bad;
    const takes = ({ host, secret }: { host: string; secret: string | null }): boolean =>
      host.includes(text) || (secret?.includes(text) ?? false);
    const found = await list.filtered(text, takes, signal);
    const { secrets } = compilation.snapshot;
    const body = pageOf(this.#certificateParts.version, found, page, (each) => certificateRow(each, secrets));
    return answerOf(body, tag);
  }

  async #explain(
    compilation: Compilation,
    query: Query,
    { signal, knownTag }: AdminRequest,
  ): Promise<AdminResponse> {
    const parsed = parseUrl(query.text('url'));
    if (parsed.kind === 'invalid') query.errors.push(`url: ${parsed.reason}`);
    // All that is asked is of the compilation, and of what was read for it.
    const tag = this.#tag('e', this.#compilationVersion(compilation));
    const bad = finished(query) ?? unmodified(tag, knownTag);
    if (bad || parsed.kind === 'invalid') return bad ?? NOT_COMPILED;
    const { redirect, health, locate } = this.#sources;
    const problems = (subjects: ReadonlySet<string>): readonly Problem[] => [
      ...this.#sourceProblems(),
      ...[...subjects].flatMap((subject) => get(compilation.problems, subject) ?? []),
    ];
    const options = { redirect, health, problems, locate, hidesValues: true };
    const full = await this.#turns.run(explainFully(compilation, parsed.request, options), signal);
    return answerOf({ generation: compilation.table.generation, explanation: explanationView(full) }, tag);
  }

  async #requests(query: Query): Promise<AdminResponse> {
    const filter = query.text('filter').trim().toLowerCase();
    const bad = finished(query);
    if (bad) return bad;
    const { requests } = this.#sources;
    if (requests === null) {
      const reason = 'no requests are kept: start Portico with --recent-requests 200';
      return { kind: 'refused', status: 404, reason };
    }
    const all = await requests(MAX_ITEMS);
    const takes = ({ host, target, status, route, client, requestId }: RequestRow): boolean =>
      `${host}${target} ${status} ${route} ${client} ${requestId}`.toLowerCase().includes(filter);
    return answerOf({ items: all.filter(takes) });
  }

  #traffic(query: Query): AdminResponse {
    const bad = finished(query);
    if (bad) return bad;
    const live = this.#sources.traffic();
    const body: Traffic = {
      seconds: live?.seconds ?? 0,
      total: live?.total ?? null,
      routes: (live?.routes.busiest(MAX_TRAFFIC) ?? []).map(([id, rates]) => ({ id, ...rates })),
      backends: (live?.backends.busiest(MAX_TRAFFIC) ?? []).map(([key, rates]) => ({ key, ...rates })),
    };
    return answerOf(body);
  }

  /** The same list for as long as it says the same: a source may make one whenever it is asked. */
  #sourceProblems(): readonly Problem[] {
    const next = this.#sources.sourceProblems();
    if (!isDeepStrictEqual(this.#readProblems, next)) this.#readProblems = next;
    return this.#readProblems;
  }

  /** Another one for each compilation, and for each change of what is wrong with reading. */
  #compilationVersion(compilation: Compilation): number {
    this.#compilationParts.of({ compilation, problems: this.#sourceProblems() });
    return this.#compilationParts.version;
  }

  #routeList({ table }: Pick<Compilation, 'table'>): Promise<ListOf<ServedRoute>> {
    const { hosts, wildcards, globs, hostRegexes, hostless, defaultRoute, ports, streams } = table;
    const parts = { hosts, wildcards, globs, hostRegexes, hostless, defaultRoute, ports, streams };
    return this.#routes.of(this.#routeParts.of(parts));
  }

  #backendList({ table: { backends } }: Pick<Compilation, 'table'>): Promise<ListOf<Backend>> {
    return this.#backends.of(this.#backendParts.of({ backends }));
  }

  #problemList({ problems }: Pick<Compilation, 'problems'>): Promise<ListOf<Problem>> {
    const parts = { source: this.#sourceProblems(), compiled: problems };
    return this.#problems.of(this.#problemParts.of(parts));
  }

  #certificateList({
    table,
    snapshot,
  }: Pick<Compilation, 'table' | 'snapshot'>): Promise<ListOf<ServedCertificate>> {
    const { certificates, ports } = table;
    const parts = { certificates, ports, secrets: snapshot.secrets };
    return this.#certificates.of(this.#certificateParts.of(parts));
  }

  /** Another one after a restart, when generations begin anew. */
  #tag(list: string, generation: number): string {
    return `"${list}${generation}-${this.#sources.startedAt.toString(36)}"`;
  }
}

function answerOf(body: object, tag: string | null = null): AdminResponse {
  return { kind: 'answer', body, tag };
}

/** What is wrong with a query when all of it has been read. */
function finished(query: Query): AdminResponse | null {
  query.end();
  if (query.errors.length === 0) return null;
  return { kind: 'refused', status: 400, reason: query.errors.slice(0, 5).join('; ') };
}

function unmodified(tag: string | null, knownTag: string): AdminResponse | null {
  const known = knownTag.split(',').map((each) => each.trim().replace(/^W\//, ''));
  return tag !== null && known.includes(tag) ? { kind: 'not-modified', tag } : null;
}

function pageOf<T, R>(
  generation: number,
  all: readonly T[],
  { offset, limit }: { readonly offset: number; readonly limit: number },
  rowOf: (item: T) => R,
): Page<R> {
  return { generation, total: all.length, offset, items: all.slice(offset, offset + limit).map(rowOf) };
}

function policiesOf(served: ServedRoute): readonly string[] {
  return served.kind === 'http' ? describePolicies(served.route.policies, { hidesValues: true }) : [];
}
