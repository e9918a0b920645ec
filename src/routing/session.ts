import { createHmac } from 'node:crypto';
import { cookieValue } from '../http/cookies.ts';
import type { RequestFacts } from '../http/request-facts.ts';
import { type ShardedMap, get } from '../model/sharded-map.ts';
import type { Backend, Route, WeightedBackend } from './table.ts';

/**
 * The cookie of a session is `<place>.<tag>`: the tag says which backend it is of, the place which endpoint. Neither tells
 * a client anything: both are made with a key that follows from the uid of the Service, so that every Portico has the same.
 */
export interface SessionCookieValue {
  readonly place: string;
  readonly tag: string;
}

const COOKIE_VALUE = /^([\w-]{1,64})\.([\w-]{1,64})$/;
const TAG_LENGTH = 11;
const PLACE_LENGTH = 22;

/** What a client has of a session; null when it has no cookie of that name, or one that is not ours. */
export function readSession(cookies: string | undefined, name: string): SessionCookieValue | null {
  const [, place, tag] = COOKIE_VALUE.exec(cookieValue(cookies, name) ?? '') ?? [];
  return place === undefined || tag === undefined ? null : { place, tag };
}

const tags = new WeakMap<Backend, string>();

/** By which the cookies of a backend are told from those of others. */
export function sessionTag(backend: Backend): string {
  let tag = tags.get(backend);
  if (tag === undefined) tags.set(backend, (tag = keyed(backend, 'backend').slice(0, TAG_LENGTH)));
  return tag;
}

/** The place of an endpoint, for sessions that stay with it. `endpoint` is `address:port`. */
export function sessionPlace(backend: Backend, endpoint: string): string {
  return keyed(backend, `endpoint ${endpoint}`).slice(0, PLACE_LENGTH);
}

/** The backend, of several, that a client stays with by its cookie; null for none. */
export function keptBackend(
  table: ShardedMap<Backend>,
  route: Route,
  backends: readonly WeightedBackend[],
  request: RequestFacts,
): WeightedBackend | null {
  for (const each of backends) {
    const affinity = (each.canary?.route ?? route).policies?.configs.affinity;
    if (!affinity?.keepsCanary) continue;
    const session = readSession(request.value?.('cookie'), affinity.cookie.name);
    const backend = session === null ? undefined : get(table, each.key);
    if (backend && session?.tag === sessionTag(backend)) return each;
  }
  return null;
}

function keyed({ key, serviceUid = '' }: Backend, text: string): string {
  return createHmac('sha256', `${serviceUid} ${key}`).update(text).digest('base64url');
}
