import { CREDENTIAL_NAMES } from '../http/redact-target.ts';
import { type Limits, DEFAULT_LIMITS } from '../proxy/limits.ts';
import { TLS_VERSIONS } from '../proxy/tls/certificate-store.ts';
import type { Flag } from './flag.ts';
import { SOURCE_FLAGS } from './source-flags.ts';

export { type Flag, environmentName } from './flag.ts';
export { SOURCE_FLAGS };

/** What is compiled of them: shared by `run`, `check`, `explain` and `audit`. */
export const CLASS_FLAGS: readonly Flag[] = [
  {
    name: 'drop-in',
    value: '<ingress-nginx>',
    description:
      'take the place of ingress-nginx: use its defaults for --ingress-class, --controller-name, --hsts, --access-log and --allow-cross-namespace-external-names; flags that are given win',
    group: 'What is served',
  },
  {
    name: 'ingress-nginx-configmap',
    value: '<ns/name>',
    description:
      'use the options of this ConfigMap of ingress-nginx for all hosts; what it sets wins over flags, and a change takes effect at once',
    group: 'What is served',
  },
  {
    name: 'watch-namespace-selector',
    value: '<labels>',
    description:
      'serve only Ingresses of namespaces with these labels, such as team=shop,env in (prod,test); beside --watch-namespace both count. Needs the right to list and watch namespaces',
    group: 'What is served',
  },
  {
    name: 'annotations-prefix',
    value: '<name>',
    default: 'nginx.ingress.kubernetes.io',
    description:
      'what annotations of ingress-nginx begin with, where it was started with a prefix of its own; annotations of portico.dev stay what they are',
    group: 'What is served',
  },
  {
    name: 'tcp-services-configmap',
    value: '<ns/name>',
    description:
      'listen on the TCP ports that this ConfigMap lists, each with namespace/service:port as its value, and relay their connections as they are',
    group: 'What is served',
  },
  {
    name: 'udp-services-configmap',
    value: '<ns/name>',
    description: 'the same for UDP ports',
    group: 'What is served',
  },
  {
    name: 'ingress-class',
    value: '<name>',
    default: 'portico',
    description: 'serve Ingresses whose annotation kubernetes.io/ingress.class is this name',
    group: 'What is served',
  },
  {
    name: 'controller-name',
    value: '<name>',
    default: 'portico.dev/ingress-controller',
    description: 'serve IngressClasses with this spec.controller',
    group: 'What is served',
  },
  {
    name: 'gateway-api',
    value: '<true|false>',
    default: 'true',
    description: 'serve the Gateways of Gateway API where it is installed',
    group: 'What is served',
  },
  {
    name: 'gateway-controller-name',
    value: '<name>',
    default: 'portico.dev/gateway-controller',
    description: 'serve GatewayClasses with this spec.controllerName',
    group: 'What is served',
  },
  {
    name: 'gateway-addresses',
    value: '<ip|cidr|service...>',
    many: true,
    description:
      'give each Gateway one of these addresses of the node for itself, or a Service of type LoadBalancer (service), so that several may use the same port; without it they share all addresses',
    group: 'What is served',
  },
  {
    name: 'gateway-service-ports',
    value: '<first-last>',
    default: '20000-22047',
    description: 'ports of the nodes that Services of Gateways lead to, one for each of theirs',
    group: 'What is served',
  },
  {
    name: 'watch-ingress-without-class',
    description: 'also serve Ingresses that name no class',
    group: 'What is served',
  },
  {
    name: 'host-ownership',
    value: '<none|namespace>',
    default: 'none',
    description:
      'namespace: a host belongs to the namespace of its oldest Ingress, and rules of other namespaces for it are not served; none: namespaces share hosts path by path',
    group: 'What is served',
  },
  {
    name: 'allow-loopback',
    description:
      'allow objects of a cluster to name loopback and link-local addresses of this machine, for tests; manifests always may',
    group: 'What is served',
  },
  {
    name: 'allow-cross-namespace-external-names',
    description:
      'allow ExternalName Services and auth-url to name a Service or Pod of another namespace (NAME.NAMESPACE.svc…); this bypasses RBAC between namespaces',
    group: 'What is served',
  },
  {
    name: 'external-names',
    value: '<true|false>',
    default: 'true',
    description: 'follow the names of ExternalName Services; with false, paths that lead to one answer 503',
    group: 'What is served',
  },
  {
    name: 'catch-all',
    value: '<true|false>',
    default: 'true',
    description:
      'serve Ingresses with a spec.defaultBackend, which takes the requests of all hosts that no rule has; with false, no path of such an Ingress is served',
    group: 'What is served',
  },
  {
    name: 'allow-cross-namespace-references',
    description:
      'let annotations name Secrets and ConfigMaps of other namespaces; this bypasses RBAC between namespaces',
    group: 'What is served',
  },
  {
    name: 'default-backend',
    value: '<ns/service:port>',
    description: 'receives requests that match no rule; without it they get 404',
    group: 'What is served',
  },
  {
    name: 'node-name',
    value: '<name>',
    description:
      'node that Portico runs on, for Services whose trafficDistribution or topology hints prefer local endpoints',
    group: 'What is served',
  },
  {
    name: 'zone',
    value: '<name>',
    description: 'zone that Portico runs in; default: the zone of the endpoints on --node-name',
    group: 'What is served',
  },
];

const PUBLISH_ADDRESS: Flag = {
  name: 'publish-address',
  value: '<ip|hostname...>',
  many: true,
  description:
    'write these addresses to the status of every served Ingress; default: those of --publish-service, or of the nodes whose Portico Pod is ready',
  group: 'What is published',
};
const PUBLISH_NAMESPACE: Flag = {
  name: 'publish-namespace',
  value: '<name>',
  description:
    'namespace of the Lease that elects the replica that writes; default: the namespace of the Pod, or portico-system',
  group: 'What is published',
};

/** What one Portico of all that run writes to the cluster. */
export const PUBLISH_FLAGS: readonly Flag[] = [
  PUBLISH_ADDRESS,
  {
    name: 'publish-service',
    value: '<ns/service>',
    description: 'write the load-balancer addresses of this Service to the status of every served Ingress',
    group: 'What is published',
  },
  {
    name: 'publish-status',
    value: '<true|false>',
    default: 'true',
    description: 'write the status of Ingresses',
    group: 'What is published',
  },
  {
    name: 'publish-events',
    value: '<true|false>',
    default: 'true',
    description: 'report problems as Events on their objects',
    group: 'What is published',
  },
  PUBLISH_NAMESPACE,
  {
    name: 'leader-elect-lease-duration',
    value: '<duration>',
    default: '15s',
    description:
      'how long after the leader last renewed its Lease another replica takes over, from 3s to 1h; a shorter duration means more requests to the API server',
    group: 'What is published',
  },
];

const CLASS_NAMES: ReadonlySet<string> = new Set([
  'drop-in',
  'ingress-class',
  'controller-name',
  'watch-ingress-without-class',
]);

/** What `portico cleanup` needs to know to find what was published. */
export const CLEANUP_FLAGS: readonly Flag[] = [
  ...SOURCE_FLAGS.filter(({ name }) => name !== 'manifests' && name !== 'recursive'),
  ...CLASS_FLAGS.filter(({ name }) => CLASS_NAMES.has(name)),
  {
    ...PUBLISH_ADDRESS,
    description:
      'also remove these addresses from Ingresses of our class, even if the server does not record who wrote them',
  },
  PUBLISH_NAMESPACE,
  {
    name: 'dry-run',
    description: 'print what would be done, and do nothing',
    group: 'What is published',
  },
];

const HEALTH_CHECK_PATH: Flag = {
  name: 'health-check-path',
  value: '<path|off>',
  default: '/healthz',
  description:
    'answer health checks of load balancers at this path of --http-port and --https-port, for hosts that have no rule: 200, and 503 while draining',
  group: 'Listening',
};

const HTTP_PORT: Flag = {
  name: 'http-port',
  value: '<port>',
  default: '80',
  description: 'port for HTTP',
  whenReading: 'port for HTTP of the Portico that serves this',
  group: 'Listening',
};

const HTTPS_PORT: Flag = {
  name: 'https-port',
  value: '<auto|port>',
  default: 'auto',
  description: 'port for HTTPS; 0 turns it off; auto is 443 if --http-port is 80, otherwise off',
  whenReading:
    'port for HTTPS of the Portico that serves this, which redirects name; auto is 443 if --http-port is 80, otherwise off',
  group: 'Listening',
};

const DEFAULT_TLS_SECRET: Flag = {
  name: 'default-tls-secret',
  value: '<ns/name>',
  description:
    'Secret with the certificate for TLS hosts that have none of their own; default: a self-signed certificate',
  group: 'TLS',
};

const SSL_REDIRECT: Flag = {
  name: 'ssl-redirect',
  value: '<true|false>',
  default: 'true',
  description:
    'redirect HTTP requests for hosts with TLS to HTTPS (308), except ACME challenges; needs --https-port',
  group: 'TLS',
};

/** What `check`, `explain` and `audit` need to know to judge what `run` serves. */
export const COMPILE_FLAGS: readonly Flag[] = [
  ...SOURCE_FLAGS,
  ...CLASS_FLAGS,
  HEALTH_CHECK_PATH,
  HTTP_PORT,
  HTTPS_PORT,
  DEFAULT_TLS_SECRET,
  SSL_REDIRECT,
];

export const RUN_FLAGS: readonly Flag[] = [
  ...SOURCE_FLAGS,
  {
    name: 'snapshot-file',
    value: '<path>',
    description:
      'save the objects read from the API server in this file, and serve from it if the API server does not answer at start; it holds no keys',
    group: 'When the API server is away',
  },
  {
    name: 'snapshot-secrets',
    description:
      'also save TLS Secrets with their keys in the snapshot file, so that TLS hosts keep their certificates',
    group: 'When the API server is away',
  },
  ...CLASS_FLAGS,
  ...PUBLISH_FLAGS,
  HEALTH_CHECK_PATH,
  HTTP_PORT,
  {
    name: 'h2c',
    description: 'also accept cleartext HTTP/2 (prior knowledge) on the HTTP port',
    group: 'Listening',
  },
  HTTPS_PORT,
  {
    name: 'bind-address',
    value: '<ip>',
    description: 'listen on this address only; default: all addresses, IPv4 and IPv6',
    group: 'Listening',
  },
  {
    name: 'status-port',
    value: '<port>',
    default: '10254',
    description: 'port for /healthz, /readyz and /metrics; 0 turns it off',
    group: 'Listening',
  },
  {
    name: 'status-socket',
    value: '<path>',
    description:
      'also serve /healthz, /readyz and /metrics on this Unix socket, for portico probe: during an upgrade two processes share the ports, but not this file',
    group: 'Listening',
  },
  {
    name: 'admin-socket',
    value: '<path>',
    description:
      'serve the admin API and its page on this Unix socket, which only the user of the process can open: for portico status, routes, problems, explain and top',
    group: 'Listening',
  },
  {
    name: 'recent-requests',
    value: '<n>',
    default: '0',
    description:
      'keep the last n requests of each data-plane thread, at most 1000, for the admin API: addresses of clients, hosts, paths and queries, in which what looks like a credential is left out',
    group: 'Listening',
  },
  {
    name: 'admin-address',
    value: '<auto|off|ip:port>',
    default: 'auto',
    description:
      'serve the admin API and its page on this loopback address, such as 127.0.0.1:10253, to everybody on the machine; auto is that with --manifests (another port if it is taken), and off with a cluster',
    group: 'Listening',
  },
  {
    name: 'proxy-protocol-from',
    value: '<cidr...>',
    many: true,
    description:
      'accept a PROXY protocol header (version 1 or 2) at the start of connections from these networks, on any port; from other addresses it is a malformed request',
    group: 'Listening',
  },
  {
    name: 'proxy-protocol-https-port',
    value: '<port...>',
    many: true,
    default: '443',
    description:
      'treat a connection as HTTPS if its PROXY header has this destination port; PP2_TYPE_SSL (version 2) takes precedence; 0 for no port',
    group: 'Listening',
  },
  DEFAULT_TLS_SECRET,
  SSL_REDIRECT,
  {
    name: 'hsts',
    value: '<off|value>',
    default: 'off',
    description:
      "Strict-Transport-Security header for HTTPS responses without one, such as 'max-age=31536000; includeSubDomains'; browsers remember it, and it cannot be undone over HTTP",
    group: 'TLS',
  },
  {
    name: 'tls-min-version',
    value: `<${TLS_VERSIONS.join('|')}>`,
    default: TLS_VERSIONS[0],
    description: 'oldest TLS version to accept',
    group: 'TLS',
  },
  {
    name: 'tls-ciphers',
    value: '<list>',
    description:
      'cipher suites by their OpenSSL names, separated by colons; default: those of TLS 1.3, and those of TLS 1.2 with forward secrecy and authenticated encryption',
    group: 'TLS',
  },
  {
    name: 'trusted-proxies',
    value: '<cidr...>',
    many: true,
    description:
      'trust X-Forwarded-* from these networks; from other addresses they are replaced. Name only proxies that write these header fields themselves',
    group: 'Data plane',
  },
  {
    name: 'trust-trace-context',
    value: '<true|false>',
    default: 'true',
    description: 'continue the traces that clients name in traceparent; false begins new ones',
    group: 'Data plane',
  },
  {
    name: 'rate-limit-store',
    value: '<url>',
    description:
      'count clients with portico.dev/rate-limit-scope: cluster in this Redis or Valkey, for all replicas together: redis://host:6379, or with TLS rediss://user:password@host:6379/0. Give a password by the environment, not on the command line; NODE_EXTRA_CA_CERTS names a CA of your own',
    group: 'Data plane',
  },
  {
    name: 'underscores-in-headers',
    description:
      'pass request header fields with underscores in their names, such as X_Foo, to Pods; by default they are dropped, as in nginx',
    group: 'Data plane',
  },
  {
    name: 'bare-lf-in-responses',
    description:
      'accept response heads whose lines end with LF instead of CRLF; by default such a response becomes 502',
    group: 'Data plane',
  },
  {
    name: 'return-request-id',
    description: 'send X-Request-ID back to clients, with the value that Pods and the access log have',
    group: 'Data plane',
  },
  {
    name: 'engine',
    value: '<relay|http-proxy>',
    default: 'relay',
    description: 'proxy engine: relay, or http-proxy (for comparison)',
    group: 'Data plane',
  },
  {
    name: 'sockets',
    value: '<auto|native|node>',
    default: 'auto',
    description:
      'what connections are made of: sockets of Node, or native ones, which cost less CPU and depend on the version of Node; auto means native with versions that they were tested with',
    group: 'Data plane',
  },
  {
    name: 'workers',
    value: '<auto|n>',
    default: 'auto',
    description: 'number of data-plane threads; auto means one per core',
    group: 'Data plane',
  },
  {
    name: 'limit',
    value: '<name=value...>',
    many: true,
    description: `limits; sizes in bytes, times such as 30s or 500ms:  ${limitNames().join(', ')}`,
    group: 'Data plane',
  },
  {
    name: 'metrics-compat',
    value: '<off|ingress-nginx>',
    default: 'off',
    description:
      'also serve the metrics of ingress-nginx that flagger and its dashboards ask for, under their names',
    group: 'Listening',
  },
  {
    name: 'access-log',
    value: '<auto|off|json|text|ingress-nginx|template>',
    default: 'auto',
    description:
      'one line per request on standard output; auto means text on a terminal, otherwise json; ingress-nginx is the line that it writes by default; a template has variables of nginx, such as \'$remote_addr "$request" $status\', with escape=json in front for lines of JSON',
    group: 'Logs',
  },
  {
    name: 'access-log-status',
    value: '<4xx|404|500-504...>',
    many: true,
    description:
      'log only requests with these statuses, or those of --access-log-min-duration; a response that was cut off counts as 502',
    group: 'Logs',
  },
  {
    name: 'access-log-min-duration',
    value: '<duration>',
    description: 'log only requests that took at least so long, or those of --access-log-status',
    group: 'Logs',
  },
  {
    name: 'access-log-sample',
    value: '<share>',
    description:
      'log this share of the other requests, such as 0.01; without --access-log-status all with 5xx are logged beside it',
    group: 'Logs',
  },
  {
    name: 'access-log-skip',
    value: '<path...>',
    many: true,
    description: 'never log requests for these paths, such as /ready, or ~ and a regular expression',
    group: 'Logs',
  },
  {
    name: 'access-log-redact',
    value: '<name...>',
    many: true,
    description: `query parameters, cookies and header fields whose values are left out of the access log and of the recent requests of the admin API, and beside the default names also of traces and debug lines; * in front stands for any beginning; off leaves nothing out; default: ${CREDENTIAL_NAMES.join(', ')}`,
    group: 'Logs',
  },
  {
    name: 'log-level',
    value: '<debug|info|warn|error|silent>',
    default: 'info',
    description: 'least level of lines that are not of the access log',
    group: 'Logs',
  },
  {
    name: 'log-format',
    value: '<auto|json|text>',
    default: 'auto',
    description: 'log format; auto means text on a terminal, otherwise json',
    group: 'Logs',
  },
  {
    name: 'drain-timeout',
    value: '<duration>',
    default: '30s',
    description: 'how long to wait for requests in flight after SIGTERM or SIGINT',
    group: 'Stopping',
  },
];

/** `clientHeadTimeoutMs` is `client-head-timeout` on the command line, where the unit is written with the value. */
export function limitFlagName(key: keyof Limits): string {
  return key.replace(/Ms$/, '').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function limitNames(): string[] {
  return (Object.keys(DEFAULT_LIMITS) as (keyof Limits)[]).map(limitFlagName);
}
