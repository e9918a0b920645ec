import { asObject } from '../../model/untyped.ts';
import { type ObjectReference, type Problem, problem } from '../../model/problem.ts';

const CANARY = 'nginx.ingress.kubernetes.io/canary';
/** What ingress-nginx reads as true (Go's strconv.ParseBool). */
const TRUE: ReadonlySet<unknown> = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);

/**
 * Why a canary of ingress-nginx is not served, or null for any other Ingress. A canary repeats the hosts and paths of
 * another Ingress to take a part of its requests; as a rule of its own it could take all of them.
 */
export function canaryProblem(ingress: unknown, object: ObjectReference): Problem | null {
  const annotations = asObject(asObject(asObject(ingress)['metadata'])['annotations']);
  if (!TRUE.has(annotations[CANARY])) return null;
  const message =
    'Portico does not serve canaries yet, so this Ingress receives no requests and its spec.tls is not used. To serve it as an ordinary Ingress, remove the annotation.';
  return problem('warning', 'CanaryNotSupported', object, `metadata.annotations[${CANARY}]`, message);
}
