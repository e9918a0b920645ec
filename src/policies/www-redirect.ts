import type { AnnotationSpec } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';

const STATUSES = ['301', '302', '307', '308'] as const;

/** Read by the routing: the other host of the Ingress's hosts has a route of its own, which redirects. */
export interface WwwRedirectConfig {
  readonly status: (typeof STATUSES)[number];
}

const WWW: AnnotationSpec = {
  name: 'www-redirect',
  nginx: 'from-to-www-redirect',
  values: '`true`, `false`',
  default: 'false',
  scope: 'host',
  about:
    'Redirects the other host of each host of the rules to it: `www.example.com` to `example.com`, or `example.com` to ' +
    '`www.example.com`; path and query stay. It ends where an Ingress has rules for the other host. For TLS the Secret of ' +
    'the host is used, so its certificate must be for both.',
  difference: 'the port is named only if the client named it, and a `/` at the end of the URL stays.',
};

const STATUS: AnnotationSpec = {
  name: 'www-redirect-status',
  global: 'http-redirect-code',
  values: STATUSES.map((status) => `\`${status}\``).join(', '),
  default: '308',
  scope: 'host',
  about:
    'The status of `www-redirect`. Clients remember 301 and 308; 307 and 308 keep the method and the body.',
};

/** The one that has `www.`, of a host that has not, and the other way round. */
export function otherWwwHost(host: string): string {
  return host.startsWith('www.') ? host.slice('www.'.length) : `www.${host}`;
}

export const wwwRedirect = definePolicy({
  name: 'www-redirect',
  phase: 'redirect',
  summary: 'Redirects from a host with `www.` to the one without, or the other way round.',
  annotations: [WWW, STATUS],
  whenInvalid: 'default',
  ofIngressesOnly: true,

  parse(read): WwwRedirectConfig | null {
    if (read.bool(WWW) !== true) return null;
    return { status: read.choice(STATUS, STATUSES) ?? '308' };
  },

  describe: ({ status }) => `${status} from the other host`,
});
