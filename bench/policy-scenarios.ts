/** One policy and what stands for it in other proxies; each has a host of its own, `NAME.test`. */
export interface PolicyScenario {
  readonly name: string;
  /** CPU per request over that of nginx. */
  readonly aim: number;
  /** Names without a prefix are those of ingress-nginx. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly path?: { readonly path: string; readonly pathType: string };
  readonly nginx: { readonly http?: string; readonly location: string; readonly directives: string };
  /** Directives of a site of Caddy, before its `reverse_proxy`; null where it has nothing like it. */
  readonly caddy: string | null;
  readonly target: string;
  readonly fields?: readonly string[];
  /** In the head of the response, in lower case. */
  readonly expects?: string;
}

/** `10.0.0.0/24` and 999 more; the last one is the loopback. */
const RANGES = [...Array.from({ length: 999 }, (_, n) => `10.${n >> 8}.${n % 256}.0/24`), '127.0.0.0/8'];

/** `{upstream}` is the port of the upstream. */
export const POLICY_SCENARIOS: readonly PolicyScenario[] = [
  {
    name: 'nothing',
    aim: 1.3,
    annotations: {},
    nginx: { location: '/', directives: '' },
    caddy: '',
    target: '/small',
  },
  {
    name: 'rewrite-and-headers',
    aim: 1.3,
    annotations: {
      'use-regex': 'true',
      'rewrite-target': '/$1',
      'upstream-vhost': 'app.internal',
      'portico.dev/response-headers': 'X-Frame-Options: DENY\nReferrer-Policy: no-referrer',
    },
    path: { path: '/app/(.*)', pathType: 'ImplementationSpecific' },
    nginx: {
      location: '~* "^/app/(.*)"',
      directives:
        'rewrite "(?i)/app/(.*)" /$1 break; set $pass_host app.internal; add_header X-Frame-Options DENY always; ' +
        'add_header Referrer-Policy no-referrer always;',
    },
    caddy: 'uri strip_prefix /app\nheader X-Frame-Options DENY\nheader Referrer-Policy no-referrer',
    target: '/app/small',
  },
  {
    name: 'cors',
    aim: 1.3,
    annotations: { 'enable-cors': 'true', 'cors-allow-origin': 'https://app.example.com' },
    nginx: {
      location: '/',
      directives:
        'if ($http_origin ~* "^https://app[.]example[.]com$") { set $cors $http_origin; } ' +
        'add_header Access-Control-Allow-Origin $cors always; add_header Access-Control-Allow-Credentials true always; ' +
        'add_header Access-Control-Allow-Methods "GET, PUT, POST, DELETE, PATCH, OPTIONS" always; ' +
        'add_header Access-Control-Allow-Headers "DNT,Keep-Alive,User-Agent,Content-Type" always;',
    },
    caddy: null,
    target: '/small',
    fields: ['Origin: https://app.example.com'],
    expects: 'access-control-allow-origin: https://app.example.com',
  },
  {
    name: 'allow-1000-ranges',
    aim: 1.2,
    annotations: { 'whitelist-source-range': RANGES.join(',') },
    nginx: {
      location: '/',
      directives: `${RANGES.map((range) => `allow ${range};`).join(' ')} deny all;`,
    },
    caddy: `@others not remote_ip ${RANGES.join(' ')}\nrespond @others 403`,
    target: '/small',
  },
  {
    name: 'limit-rps',
    aim: 1.3,
    annotations: { 'limit-rps': '1000000' },
    nginx: {
      http: 'limit_req_zone $binary_remote_addr zone=rps:5m rate=1000000r/s;',
      location: '/',
      directives: 'limit_req zone=rps burst=5000000 nodelay;',
    },
    caddy: null,
    target: '/small',
  },
  {
    name: 'auth-url',
    aim: 1.5,
    annotations: { 'auth-url': 'http://127.0.0.1:{upstream}/small' },
    nginx: {
      location: '/',
      directives: 'auth_request /_auth;',
    },
    caddy: 'forward_auth 127.0.0.1:{upstream} {\nuri /small\n}',
    target: '/small',
  },
  {
    name: 'regex-path',
    aim: 1.5,
    annotations: { 'use-regex': 'true' },
    path: { path: '/(small|large)[a-z]*', pathType: 'ImplementationSpecific' },
    nginx: { location: '~* "^/(small|large)[a-z]*"', directives: '' },
    caddy: '@other not path_regexp ^/(small|large)[a-z]*\nrespond @other 404',
    target: '/small',
  },
  {
    name: 'gzip',
    aim: 1.2,
    annotations: { 'portico.dev/compress': 'gzip' },
    nginx: {
      location: '/',
      directives: 'gzip on; gzip_comp_level 5; gzip_min_length 256; gzip_types text/plain; gzip_proxied any;',
    },
    caddy: 'encode {\ngzip 5\nmatch {\nheader Content-Type text/plain*\n}\n}',
    target: '/large',
    fields: ['Accept-Encoding: gzip'],
    expects: 'content-encoding: gzip',
  },
];
