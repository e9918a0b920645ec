import type { AuthPolicy, AuthSource } from '../../http/auth-outcome.ts';
import type { PolicyRefusal } from '../../http/local-response.ts';
import type { RequestView } from '../../http/request-view.ts';
import type { Verdict } from '../policy.ts';

/** Why a client is not let in although nobody said that it may not. */
const NO_ANSWER: ReadonlySet<string> = new Set<PolicyRefusal>([
  'auth-failed',
  'auth-unavailable',
  'passwords-busy',
  'passwords-unavailable',
]);

/** The verdict of a policy that decides who gets in, noted for metrics. */
export function judged(
  policy: AuthPolicy,
  source: AuthSource,
  request: RequestView,
  verdict: Verdict,
): Verdict {
  request.noteAuth(`${policy} ${meaningOf(verdict)} ${source}`);
  return verdict;
}

function meaningOf(verdict: Verdict): 'allowed' | 'denied' | 'failed' {
  if (verdict.kind === 'continue') return 'allowed';
  const reason = verdict.kind === 'respond' ? verdict.detail : verdict.reason;
  return NO_ANSWER.has(reason?.split(':', 1)[0] ?? '') ? 'failed' : 'denied';
}
