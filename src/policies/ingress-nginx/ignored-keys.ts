/** An annotation with the prefix of ingress-nginx that ingress-nginx 1.15.1 does not act on either. */
export interface IgnoredKey {
  /** After `nginx.ingress.kubernetes.io/`. */
  readonly name: string;
  /** Whether a release once acted on it. */
  readonly existed: boolean;
  /** What to write instead, where there is something. */
  readonly instead: string | null;
}

/** What manifests still carry, and what they carry because it sounds right. */
export const IGNORED_KEYS: readonly IgnoredKey[] = [
  existed('secure-backends', 'backend-protocol: HTTPS'),
  existed('grpc-backend', 'backend-protocol: GRPC'),
  existed('add-base-url'),
  existed('base-url-scheme'),
  existed('session-cookie-hash'),
  existed('enable-influxdb'),
  existed('enable-opentracing'),
  existed('global-rate-limit', 'limit-rps'),
  existed('global-rate-limit-window', 'limit-rps'),
  existed('global-rate-limit-key'),
  existed('global-rate-limit-ignored-cidrs', 'limit-allowlist'),
  existed('proxy-set-headers'),
  existed('large-client-header-buffers', '--limit head-bytes'),
  existed('client-header-buffer-size', '--limit head-bytes'),
  existed('ssl-redirect-code'),

  neverExisted('websocket-services'),
  neverExisted('server-snippets'),
  neverExisted('rate-limit', 'limit-rps'),
  neverExisted('rate-limit-window', 'limit-rps or limit-rpm'),
  neverExisted('limit-burst', 'limit-burst-multiplier'),
  neverExisted('hsts', '--hsts'),
  neverExisted('enable-real-ip', '--trusted-proxies'),
  neverExisted('deny-cidrs', 'denylist-source-range'),
  neverExisted('cors-origin', 'cors-allow-origin'),
  neverExisted('proxy-timeout', 'proxy-read-timeout'),
  neverExisted('ssl-protocols', '--tls-min-version'),
];

function existed(name: string, instead?: string): IgnoredKey {
  return { name, existed: true, instead: instead ?? null };
}

function neverExisted(name: string, instead?: string): IgnoredKey {
  return { name, existed: false, instead: instead ?? null };
}
