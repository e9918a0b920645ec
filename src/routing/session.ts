import { createHmac } from 'node:crypto';
import { cookieValue } from '../http/cookies.ts';
import type { RequestFacts } from '../http/request-facts.ts';
import type { AffinityConfig } from '../policies/affinity.ts';
import { type ShardedMap, get } from '../model/sharded-map.ts';
import type { Backend, Route, WeightedBackend } from './table.ts';

/**
 * What a client has of a session is `<place>.<tag>`: the tag says which backend it is of, the place which endpoint. Neither
 * tells a client anything: both are made with a key that follows from the uid of the Service, so that every Portico has the
 * same. Where sessions end, the second of their beginning follows, with a seal, so that no client can begin one again.
 */
const TOKEN = /^([\w-]{1,64})\.([\w-]{1,64})(?:\.(\d{1,12})\.([\w-]{1,64}))?$/;
const TAG_LENGTH = 11;
const PLACE_LENGTH = 22;
const SEAL_LENGTH = 22;

/** The place that a client has of a session with a backend; null when it has none, or the session is over. */
export function readSession(
  { carrier, lastsSeconds }: AffinityConfig,
  backend: Backend,
  request: Pick<RequestFacts, 'value' | 'startedAt'>,
): string | null {
  const token =
    'header' in carrier
      ? request.value?.(carrier.header)
      : cookieValue(request.value?.('cookie'), carrier.cookie.name);
  const [, place, tag, began, seal] = TOKEN.exec(token ?? '') ?? [];
  if (place === undefined || tag !== sessionTag(backend)) return null;
  if (lastsSeconds === undefined) return place;
  if (began === undefined || (Number(began) + lastsSeconds) * 1_000 <= (request.startedAt ?? 0)) return null;
  return seal === sealOf(backend, place, began) ? place : null;
}

/** What a client gets of a session that begins now, in milliseconds since the epoch. */
export function sessionToken(
  place: string,
  backend: Backend,
  { lastsSeconds }: AffinityConfig,
  now: number,
): string {
  const token = `${place}.${sessionTag(backend)}`;
  if (lastsSeconds === undefined) return token;
  const began = String(Math.ceil(now / 1_000));
  return `${token}.${began}.${sealOf(backend, place, began)}`;
}

function sealOf(backend: Backend, place: string, began: string): string {
  return keyed(backend, `session ${place} ${began}`).slice(0, SEAL_LENGTH);
}

const tags = new WeakMap<Backend, string>();

/** By which the cookies of a backend are told from those of others. */
function sessionTag(backend: Backend): string {
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
    const backend = get(table, each.key);
    if (backend && readSession(affinity, backend, request) !== null) return each;
  }
  return null;
}

function keyed({ key, serviceUid = '' }: Backend, text: string): string {
  return createHmac('sha256', `${serviceUid} ${key}`).update(text).digest('base64url');
}
