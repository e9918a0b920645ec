import { randomBytes } from 'node:crypto';
import type { RequestFacts } from '../../http/request-facts.ts';
import type { HeadEdit } from '../../http/head-edit.ts';
import type { RequestView } from '../../http/request-view.ts';
import { setCookie } from '../../http/session-cookie.ts';
import type { AffinityConfig } from '../../policies/affinity.ts';
import type { BoundPolicy } from '../../policies/policy.ts';
import { readSession, sessionToken } from '../../routing/session.ts';
import type { Backend, Route } from '../../routing/table.ts';

/** The session of one exchange whose client stays with an endpoint; it tells the client in the response. */
export class AffinitySession implements BoundPolicy {
  readonly affinity: AffinityConfig;
  /** Of the rule. */
  readonly #path: string;
  readonly #backend: Backend;
  readonly #now: number;
  /** Of the endpoint; null until there is one. */
  place: string | null;
  #isNew = false;

  /** `now` is in milliseconds since the epoch. */
  constructor(affinity: AffinityConfig, path: string, backend: Backend, place: string | null, now: number) {
    this.affinity = affinity;
    this.#path = path;
    this.#backend = backend;
    this.place = place;
    this.#now = now;
  }

  /** The client is to come back with another place. */
  moveTo(place: string): void {
    this.place = place;
    this.#isNew = true;
  }

  onResponse(edit: HeadEdit, request: RequestView): void {
    if (!this.#isNew) return;
    const { carrier } = this.affinity;
    const token = sessionToken(this.place ?? '', this.#backend, this.affinity, this.#now);
    if ('header' in carrier) edit.set(carrier.header, token);
    else edit.add('Set-Cookie', setCookie(carrier.cookie, token, this.#path, request, this.#now));
  }
}

/** Null where the route keeps no client, or the backend is a name, which is one endpoint. */
export function affinitySession(
  route: Route,
  backend: Backend,
  request: Pick<RequestFacts, 'value'>,
  now: number,
): AffinitySession | null {
  const affinity = route.policies?.configs.affinity;
  if (affinity === undefined || backend.serviceUid === undefined) return null;
  const sent = { value: (name: string) => request.value?.(name), startedAt: now };
  const place = readSession(affinity, backend, sent);
  return new AffinitySession(affinity, route.pattern ? '/' : route.path, backend, place, now);
}

const PLACE_BYTES = 15;

/** A place on the ring, for sessions that are balanced. */
export function randomPlace(): string {
  return randomBytes(PLACE_BYTES).toString('base64url');
}
