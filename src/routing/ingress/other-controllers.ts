import { type ObjectReference, type Problem, problem } from '../../model/problem.ts';
import type { UntypedObject } from '../../model/untyped.ts';

/** Annotations of other controllers that decide who gets in, by what their names begin with. */
const ACCESS_PREFIXES = [
  // Traefik: a middleware may authenticate, admit by address or limit.
  'traefik.ingress.kubernetes.io/router.middlewares',
  'traefik.ingress.kubernetes.io/router.tls.options',
  // HAProxy Technologies, and haproxy-ingress with both of its prefixes.
  'haproxy.org/auth-',
  'haproxy.org/allow-list',
  'haproxy.org/deny-list',
  'haproxy.org/whitelist',
  'haproxy.org/blacklist',
  'haproxy.org/rate-limit',
  'haproxy-ingress.github.io/auth-',
  'haproxy-ingress.github.io/allowlist-',
  'haproxy-ingress.github.io/denylist-',
  'haproxy-ingress.github.io/whitelist-',
  'haproxy-ingress.github.io/oauth',
  'haproxy-ingress.github.io/waf',
  'ingress.kubernetes.io/auth-',
  'ingress.kubernetes.io/whitelist-',
  'ingress.kubernetes.io/oauth',
  'ingress.kubernetes.io/waf',
  // NGINX Ingress Controller of F5.
  'nginx.org/basic-auth-',
  'nginx.org/policies',
  'nginx.org/limit-req-',
  'nginx.org/server-snippets',
  'nginx.org/location-snippets',
  'nginx.com/jwt-',
  'appprotect.f5.com/',
  'appprotectdos.f5.com/',
  // Load balancers of clouds.
  'alb.ingress.kubernetes.io/auth-',
  'alb.ingress.kubernetes.io/inbound-cidrs',
  'alb.ingress.kubernetes.io/wafv2-',
  'alb.ingress.kubernetes.io/mutual-authentication',
  'networking.gke.io/v1beta1.FrontendConfig',
  'cloud.google.com/armor-config',
  'appgw.ingress.kubernetes.io/waf-',
  // Kong: a plugin may authenticate, admit by address or limit.
  'konghq.com/plugins',
] as const;
/** Names that one message lists. */
const MAX_NAMES = 10;

/** Names the annotations of other controllers that may restrict access: nothing here enforces them. */
export function otherControllersProblem(annotations: UntypedObject, object: ObjectReference): Problem | null {
  const found = Object.keys(annotations).filter((name) =>
    ACCESS_PREFIXES.some((prefix) => name.startsWith(prefix)),
  );
  if (found.length === 0) return null;
  const shown = found.toSorted().slice(0, MAX_NAMES).join(', ');
  const names = found.length > MAX_NAMES ? `${shown} and ${found.length - MAX_NAMES} more` : shown;
  const message = `Portico does not act on ${names}, which may restrict access in another controller: here everybody gets in; use the annotations of docs/reference/annotations.md instead, or remove them.`;
  return problem('warning', 'AccessAnnotationIgnored', object, 'metadata.annotations', message);
}
