/** The `nginx.ingress.kubernetes.io/…` annotations that decide who gets in, without their prefix. */
const ACCESS_RULE =
  /^(auth-(?!tls-error-page$).*|satisfy|enable-modsecurity|enable-owasp-core-rules|modsecurity-.*)$/;

/**
 * What an annotation of ingress-nginx says about who gets in: nothing, that everybody does, or that some do not. A value
 * that is not a string restricts: what cannot be read must not be taken for open.
 */
export function nginxAccess(name: string, value: unknown): 'unrelated' | 'open' | 'restricted' {
  if (!ACCESS_RULE.test(name)) return 'unrelated';
  const isSwitch = name === 'enable-modsecurity' || name === 'enable-owasp-core-rules';
  return isSwitch && value === 'false' ? 'open' : 'restricted';
}
