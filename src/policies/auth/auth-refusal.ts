import type { HeaderField } from '../../http/head-edit.ts';
import { type PolicyRefusal, redirectTo, refusal } from '../../http/local-response.ts';
import type { RequestView } from '../../http/request-view.ts';
import type { Verdict } from '../policy.ts';
import type { CheckFault } from './check-response.ts';

/** What of the answer of an authentication server a client gets that may not pass. */

/** How a client is told what to authenticate with. */
export const CHALLENGE = 'www-authenticate';

const REDIRECTS: ReadonlySet<number> = new Set([302, 303, 307]);

export function refuse(
  reason: PolicyRefusal,
  request: RequestView,
  fields: readonly HeaderField[] = [],
): Verdict {
  return { kind: 'respond', response: refusal(reason, request, fields), detail: reason };
}

/** 503 where the server says neither yes nor no; `fault` is why. */
export function unavailable(fault: CheckFault, request: RequestView): Verdict {
  const response = refusal('auth-unavailable', request, []);
  return { kind: 'respond', response, detail: `auth-unavailable: ${fault}` };
}

/** 401 with the challenges of the answer. */
export function unauthenticated(fields: readonly HeaderField[], request: RequestView): Verdict {
  const challenges = valuesOf(fields, CHALLENGE).map((value): HeaderField => [CHALLENGE, value]);
  return refuse('unauthenticated', request, challenges);
}

/** The redirect of the answer, such as to where clients sign in; null where it is none. */
export function redirected(status: number, fields: readonly HeaderField[]): Verdict | null {
  const [location] = valuesOf(fields, 'location');
  return REDIRECTS.has(status) && location !== undefined ? redirect(status, location) : null;
}

export function redirect(status: number, location: string): Verdict {
  const safe = location.replaceAll(/[^\x21-\x7e]/g, encodeURIComponent);
  const response = redirectTo(status, safe);
  return {
    kind: 'respond',
    response: { ...response, fields: [...response.fields, ['cache-control', 'no-store']] },
    detail: 'unauthenticated',
  };
}

/** `name` in lower case, as the names of the answer are. */
export function valuesOf(fields: readonly HeaderField[], name: string): readonly string[] {
  return fields.filter(([each]) => each === name).map(([, value]) => value);
}
