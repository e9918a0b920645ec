import type { ObjectKey } from '../../model/objects.ts';
import type { Problem } from '../../model/problem.ts';
import { entries, get, values } from '../../model/sharded-map.ts';
import type { ClientAuth } from '../../policies/client-certificate.ts';
import type { Compilation } from '../compile/compile.ts';
import { type HttpsRedirect, answersChallenges, goesToHttps, isExempt } from '../decide.ts';
import { hostReference } from '../host-certificate.ts';
import { routesFor } from '../match.ts';
import type { BackendKey, HostRoutes, PathTree, Route, RouteTable } from '../table.ts';

/** Where requests are for a rule, as Gateway API says it. */
export interface RulePlace {
  readonly type: 'Exact' | 'PathPrefix' | 'RegularExpression';
  readonly value: string;
  /** Whether it is for what no rule takes: policies that look at the rule do nothing there. */
  readonly isDefault: boolean;
}

/** What happens at one place of a host. */
export type ViewEntry =
  /** `challengesOnly`: of what comes in clear text only GET and HEAD, for a certificate authority. */
  | {
      readonly kind: 'serve';
      readonly place: RulePlace;
      readonly route: Route;
      readonly challengesOnly: boolean;
    }
  | {
      readonly kind: 'redirect';
      readonly place: RulePlace;
      readonly ingress: ObjectKey;
      /** Those whose requests are redirected. */
      readonly routes: readonly Route[];
    }
  /** An Ingress has the host and no path of it: nothing is there, whatever less specific hosts have. */
  | { readonly kind: 'nothing'; readonly place: RulePlace; readonly ingress: ObjectKey };

/** A host as clients see it. */
export interface HostView {
  /** `*.suffix` for a wildcard, empty for all hosts without rules of their own. */
  readonly hostname: string;
  readonly routes: HostRoutes | null;
  readonly http: readonly ViewEntry[];
  readonly https: readonly ViewEntry[];
  readonly tls: ViewTls | null;
}

/** How TLS for a host is served; null for a host that only has the certificate of last resort. */
export type ViewTls =
  | {
      readonly kind: 'certificate';
      /** The host of the listener, which contains the host; empty for that of the default certificate. */
      readonly listener: string;
      /** What clients of the host, and of no other, must show; null for nothing. */
      readonly clients: ClientAuth | null;
      readonly secret: ObjectKey;
      /** Why the Secret cannot be served as it is now; `missing` where there is none, or it was not read. */
      readonly fault: string | 'missing' | null;
    }
  | { readonly kind: 'passthrough'; readonly backend: BackendKey; readonly route: Route }
  /** TLS is asked for, with whatever certificate there is. */
  | { readonly kind: 'none' };

/** Stands for any host that has no rules. */
const ANY_HOST = 'any.invalid';

/** Every host of a table that Gateway API can name, ordered by name. */
export function hostViews(compilation: Compilation, redirect: HttpsRedirect | null): readonly HostView[] {
  const { table } = compilation;
  const hostnames = new Set([
    ...[...entries(table.hosts)].map(([host]) => host),
    ...[...entries(table.wildcards)].map(([suffix]) => `*.${suffix}`),
    ...[...values(table.certificates)].map(({ host }) => host),
  ]);
  if (table.hostless !== null || table.defaultRoute !== null) hostnames.add('');
  return [...hostnames].toSorted().flatMap((hostname) => viewOf(hostname, compilation, redirect) ?? []);
}

function viewOf(hostname: string, compilation: Compilation, redirect: HttpsRedirect | null): HostView | null {
  const { table } = compilation;
  const routes = scopeRoutesOf(table, hostname);
  const isOwn = routes !== null && (routes.host === hostname || hostname === '');
  const tls = tlsOf(hostname, routes, compilation);
  // A name of a certificate is a host of its own only where the certificate is served.
  if (!isOwn && hostname !== '' && tls?.kind !== 'certificate') return null;
  const served = servedAt(table, routes);
  const host = hostname === '' ? ANY_HOST : hostname;
  const redirects = (route: Route | null): boolean =>
    redirect !== null && !isExempt(redirect, route) && goesToHttps(table, host, routes, route);
  const http = served.flatMap(({ place, route }): readonly ViewEntry[] => {
    if (!redirects(route)) return [{ kind: 'serve', place, route, challengesOnly: false }];
    const redirected = { kind: 'redirect', place, ingress: route.ingress, routes: [route] } as const;
    return answersChallenges(route)
      ? [{ kind: 'serve', place, route, challengesOnly: true }, redirected]
      : [redirected];
  });
  const owner = ownerOf(hostname, routes, compilation);
  const nothing: readonly ViewEntry[] =
    isOwn && hostname !== '' && owner !== null
      ? [{ kind: 'nothing', place: EVERYTHING, ingress: owner }]
      : [];
  const https = served.map(({ place, route }): ViewEntry => ({
    kind: 'serve',
    place,
    route,
    challengesOnly: false,
  }));
  return {
    hostname,
    routes,
    http: orElse(withUnmatched(http, redirects(null), owner), nothing),
    https: tls?.kind === 'passthrough' ? [] : orElse(https, nothing),
    tls,
  };
}

const EVERYTHING: RulePlace = { type: 'PathPrefix', value: '/', isDefault: true };

function orElse<T>(list: readonly T[], otherwise: readonly T[]): readonly T[] {
  return list.length > 0 ? list : otherwise;
}

/** Where everything is redirected one entry says so; where not, what no rule takes may be redirected too. */
function withUnmatched(
  http: readonly ViewEntry[],
  redirectsUnmatched: boolean,
  owner: ObjectKey | null,
): readonly ViewEntry[] {
  if (!redirectsUnmatched || owner === null) return http;
  const rest = { kind: 'redirect', place: EVERYTHING, ingress: owner } as const;
  if (http.every(({ kind }) => kind === 'redirect'))
    return [{ ...rest, routes: http.flatMap((entry) => (entry.kind === 'redirect' ? entry.routes : [])) }];
  const hasRoot = http.some(({ place }) => place.type === 'PathPrefix' && place.value === '/');
  return hasRoot ? http : [...http, { ...rest, routes: [] }];
}

/** The Ingress that decides about the whole host: the one with its certificate, or else with its first rule, or that names it. */
function ownerOf(
  hostname: string,
  routes: HostRoutes | null,
  { table, indexes }: Compilation,
): ObjectKey | null {
  const reference = hostReference(table, hostname, routes);
  const [claimant] = [...(get(indexes.ingressesByScope, hostname) ?? [])].toSorted();
  return reference?.ingress ?? servedAt(table, routes)[0]?.route.ingress ?? claimant ?? null;
}

function scopeRoutesOf(table: RouteTable, hostname: string): HostRoutes | null {
  if (hostname === '') return table.hostless;
  if (!hostname.startsWith('*.')) return routesFor(table, hostname);
  return get(table.wildcards, hostname.slice('*.'.length)) ?? table.hostless;
}

function tlsOf(hostname: string, routes: HostRoutes | null, compilation: Compilation): ViewTls | null {
  const { table, settings, claims, problems } = compilation;
  if (routes?.passthrough !== undefined && hostname !== '') {
    const route = servedAt(table, routes).find(({ place }) => place.value === '/')?.route;
    return route ? { kind: 'passthrough', backend: routes.passthrough, route } : null;
  }
  const reference = hostReference(table, hostname, routes);
  const claim = reference && get(claims, reference.ingress)?.tls.get(reference.host);
  const secret = reference?.secret ?? claim?.secret;
  if (reference && secret) {
    const told = get(problems, `Ingress ${reference.ingress}`)?.find(({ field }) => field === claim?.field);
    const fault = reference.secret === null ? faultOf(told) : null;
    const clients = clientsOf(hostname, routes, table);
    return { kind: 'certificate', listener: clients ? hostname : reference.host, clients, secret, fault };
  }
  const { defaultTlsSecret } = settings;
  if (!defaultTlsSecret) return reference ? { kind: 'none' } : null;
  const clients = clientsOf(hostname, routes, table);
  const listener = clients ? hostname : '';
  const [told] = get(problems, `Secret ${defaultTlsSecret}`) ?? [];
  const fault = get(table.certificates, '') === undefined ? faultOf(told) : null;
  return { kind: 'certificate', listener, clients, secret: defaultTlsSecret, fault };
}

/** Why a Secret is not served, by its problem. */
function faultOf(told: Problem | undefined): string {
  return told?.code === 'SecretNotFound' ? 'missing' : (told?.message ?? 'it cannot be used.');
}

/**
 * What a Gateway can ask of clients: a certificate that is good. Where they may come without, what Pods are told decides, and
 * a Gateway tells them nothing. Null where there is nothing, or nothing that can be asked.
 */
function clientsOf(hostname: string, routes: HostRoutes | null, table: RouteTable): ClientAuth | null {
  const policyId = routes?.clients?.policyId;
  if (policyId === undefined || hostname === '') return null;
  const asked = get(table.clientPolicies, policyId);
  return asked?.required && asked.enforced === undefined ? asked : null;
}

interface Served {
  readonly place: RulePlace;
  readonly route: Route;
}

/** The routes of a host with their places; what no rule takes comes last. */
function servedAt(table: RouteTable, routes: HostRoutes | null): readonly Served[] {
  const plain = routes === null ? [] : [...placesOf(routes.paths)];
  const patterns = (routes?.patterns?.lists ?? []).flatMap(({ entries: list }) =>
    list.map(({ pattern, route }): Served => {
      const value = `${pattern.ignoreCase ? '(?i)' : ''}${pattern.text}`;
      return { place: { type: 'RegularExpression', value, isDefault: false }, route };
    }),
  );
  const rest = routes?.defaultRoute ?? table.defaultRoute;
  const isTaken = plain.some(({ place }) => place.type === 'PathPrefix' && place.value === '/');
  const others: readonly Served[] =
    rest && !isTaken ? [{ place: { type: 'PathPrefix', value: '/', isDefault: true }, route: rest }] : [];
  return [...plain, ...patterns, ...others];
}

function* placesOf(tree: PathTree, at = 0, before = ''): Generator<Served> {
  const node = tree[at];
  if (!node) return;
  const path = before + node.label;
  const plain = { value: path === '' ? '/' : path, isDefault: false };
  if (node.whole) yield { place: { type: 'Exact', ...plain }, route: node.whole };
  if (node.prefix) yield { place: { type: 'PathPrefix', ...plain }, route: node.prefix };
  for (const child of node.children?.values() ?? []) yield* placesOf(tree, child, path);
}
