const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`;
const CONTROLLER_PATH = "[A-Za-z0-9\\/\\-._~%!$&'()*+,;=:]+";

/** The patterns of Gateway API, and what each asks for in words that follow the value. */
const WORDS: Readonly<Record<string, string>> = {
  [`^$|^${SUBDOMAIN}$`]:
    'must be an API group, such as gateway.networking.k8s.io, or empty for the core group',
  '^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$': 'must be the name of a kind, such as Service',
  [`^${LABEL}$`]: 'must consist of lower-case letters, digits and "-"',
  [`^${SUBDOMAIN}$`]: 'must be a DNS name of lower-case letters, digits, "-" and "."',
  [`^(\\*\\.)?${SUBDOMAIN}$`]:
    'must be a DNS name of lower-case letters, digits, "-" and ".", which may start with "*."',
  "^[A-Za-z0-9!#$%&'*+\\-.^_\\x60|~]+$": 'must be the name of a header field, of letters, digits and "-"',
  '^([0-9]{1,5}(h|m|s|ms)){1,4}$': 'must be a duration of whole numbers and units, such as 1m30s or 500ms',
  [`^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|${SUBDOMAIN}\\/[A-Za-z0-9]+$`]:
    'must be HTTP, HTTPS, TLS, TCP, UDP or a protocol with a domain, such as example.com/protocol',
  '(^\\*$)|(^(http(s)?):\\/\\/(((\\*\\.)?([a-zA-Z0-9\\-]+\\.)*[a-zA-Z0-9-]+|\\*)(:([0-9]{1,5}))?)$)':
    'must be an origin, such as https://example.com or https://*.example.com, or *',
  "^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$": 'must be a path, percent-encoded',
  '^(([^:/?#]+):)(//([^/?#]*))([^?#]*)(\\?([^#]*))?(#(.*))?':
    'must be a URI with a scheme, such as spiffe://example.org/ns/shop',
  [`^(System|(${SUBDOMAIN}/([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]))$`]: 'is not valid; use System',
  [`^${SUBDOMAIN}\\/${CONTROLLER_PATH}$`]:
    'must be a domain and a path, such as portico.dev/gateway-controller',
  [`^Hostname|IPAddress|NamedAddress|${SUBDOMAIN}\\/${CONTROLLER_PATH}$`]:
    'must be IPAddress, Hostname or a type with a domain, such as example.com/type',
  '^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$':
    'must be the value of a label, of letters, digits, "-", "_" and "."',
};

const EXPRESSIONS = new Map<string, RegExp>();

/** What a value must be that does not match a pattern of the release; null for one that does. */
export function patternRule(pattern: string, value: string): string | null {
  const expression = EXPRESSIONS.get(pattern) ?? new RegExp(pattern);
  EXPRESSIONS.set(pattern, expression);
  return expression.test(value) ? null : (WORDS[pattern] ?? `must match ${pattern}`);
}
