import { type Limits, DEFAULT_LIMITS } from '../proxy/limits.ts';
import { TLS_VERSIONS } from '../proxy/tls/certificates.ts';

/** One flag of `portico run`, as `--help`, the reference page and the environment know it. */
export interface Flag {
  readonly name: string;
  /** What stands after the flag in the help; a flag without it is a switch. */
  readonly value?: string;
  readonly many?: true;
  readonly default?: string;
  readonly description: string;
  readonly group:
    | 'Where objects come from'
    | 'When the API server is away'
    | 'What is served'
    | 'What is published'
    | 'Listening'
    | 'TLS'
    | 'Data plane'
    | 'Logs'
    | 'Stopping';
}

/** `--http-port` is `PORTICO_HTTP_PORT`. */
export function environmentName(flag: Flag): string {
  return `PORTICO_${flag.name.toUpperCase().replaceAll('-', '_')}`;
}

/** Where objects come from: shared by `run`, `check` and `explain`. */
export const SOURCE_FLAGS: readonly Flag[] = [
  {
    name: 'kubeconfig',
    value: '<file>',
    description:
      'kubeconfig of the cluster to serve; otherwise $KUBECONFIG, then ~/.kube/config, then the service account of the pod',
    group: 'Where objects come from',
  },
  {
    name: 'context',
    value: '<name>',
    description: 'context of the kubeconfig to use instead of its current one',
    group: 'Where objects come from',
  },
  {
    name: 'manifests',
    value: '<path...>',
    many: true,
    description: 'serve these manifest files or folders instead of a cluster; they are watched for changes',
    group: 'Where objects come from',
  },
  {
    name: 'watch-namespace',
    value: '<glob...>',
    many: true,
    description:
      'only objects of the namespaces that one of these globs matches; literal names need namespaced rights only',
    group: 'Where objects come from',
  },
];

/** What is compiled of them: shared by `run`, `check` and `explain`. */
export const CLASS_FLAGS: readonly Flag[] = [
  {
    name: 'ingress-class',
    value: '<name>',
    default: 'portico',
    description: 'the class name that the annotation kubernetes.io/ingress.class must have',
    group: 'What is served',
  },
  {
    name: 'controller-name',
    value: '<name>',
    default: 'portico.dev/ingress-controller',
    description: 'IngressClasses with this spec.controller are ours',
    group: 'What is served',
  },
  {
    name: 'watch-ingress-without-class',
    description: 'also serve Ingresses that name no class at all',
    group: 'What is served',
  },
  {
    name: 'host-ownership',
    value: '<none|namespace>',
    default: 'none',
    description:
      'namespace: only the namespace whose Ingress had a host first may have rules for it; none: namespaces share hosts path by path',
    group: 'What is served',
  },
  {
    name: 'allow-loopback',
    description:
      'let a cluster route to loopback and link-local addresses of this machine, for trying things out; manifests always may',
    group: 'What is served',
  },
  {
    name: 'allow-cross-namespace-external-names',
    description:
      'let an ExternalName Service name a Service or Pod of another namespace (NAME.NAMESPACE.svc…), past what RBAC and namespaces separate',
    group: 'What is served',
  },
  {
    name: 'default-backend',
    value: '<ns/service:port>',
    description: 'takes the requests that nothing else takes, instead of 404',
    group: 'What is served',
  },
  {
    name: 'node-name',
    value: '<name>',
    description:
      'the node that Portico runs on, for Services whose trafficDistribution or hints prefer endpoints nearby',
    group: 'What is served',
  },
  {
    name: 'zone',
    value: '<name>',
    description: 'the zone that Portico runs in; otherwise that of the endpoints on --node-name',
    group: 'What is served',
  },
];

const PUBLISH_ADDRESS: Flag = {
  name: 'publish-address',
  value: '<ip|hostname...>',
  many: true,
  description:
    'write these addresses to the status of every Ingress that is served; otherwise those of --publish-service, or of the nodes whose Portico Pod is ready',
  group: 'What is published',
};
const PUBLISH_NAMESPACE: Flag = {
  name: 'publish-namespace',
  value: '<name>',
  description:
    'namespace of the Lease that elects the one Portico that writes; otherwise that of the Pod, or portico-system',
  group: 'What is published',
};

/** What one Portico of all that run writes to the cluster. */
export const PUBLISH_FLAGS: readonly Flag[] = [
  PUBLISH_ADDRESS,
  {
    name: 'publish-service',
    value: '<ns/service>',
    description: 'publish the load-balancer addresses of this Service',
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
      'how long after the last sign of life of the one Portico that writes another takes its place, from 3s to 1h; shorter ones cost the API server more',
    group: 'What is published',
  },
];

const CLASS_NAMES: ReadonlySet<string> = new Set([
  'ingress-class',
  'controller-name',
  'watch-ingress-without-class',
]);

/** What `portico cleanup` needs to know to find what was published. */
export const CLEANUP_FLAGS: readonly Flag[] = [
  ...SOURCE_FLAGS.filter(({ name }) => name !== 'manifests'),
  ...CLASS_FLAGS.filter(({ name }) => CLASS_NAMES.has(name)),
  {
    ...PUBLISH_ADDRESS,
    description: 'also take these addresses from Ingresses of our class, whoever wrote them',
  },
  PUBLISH_NAMESPACE,
  {
    name: 'dry-run',
    description: 'say what would be done, and do nothing',
    group: 'What is published',
  },
];

const HTTP_PORT: Flag = {
  name: 'http-port',
  value: '<port>',
  default: '80',
  description: 'port for HTTP',
  group: 'Listening',
};

const HTTPS_PORT: Flag = {
  name: 'https-port',
  value: '<auto|port>',
  default: 'auto',
  description: 'port for HTTPS; 0 turns it off; auto is 443 beside --http-port 80, and none beside another',
  group: 'Listening',
};

const DEFAULT_TLS_SECRET: Flag = {
  name: 'default-tls-secret',
  value: '<ns/name>',
  description: 'serves TLS hosts without a certificate of their own; otherwise a self-signed one does',
  group: 'TLS',
};

const SSL_REDIRECT: Flag = {
  name: 'ssl-redirect',
  value: '<true|false>',
  default: 'true',
  description:
    'send clients of hosts with TLS from http to https (308), ACME challenges excepted; never without --https-port',
  group: 'TLS',
};

/** What `check` and `explain` need to know to judge what `run` serves. */
export const COMPILE_FLAGS: readonly Flag[] = [
  ...SOURCE_FLAGS,
  ...CLASS_FLAGS,
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
      'write what the API server says to this file, and serve from it when the API server is away at start; it holds no keys',
    group: 'When the API server is away',
  },
  {
    name: 'snapshot-secrets',
    description:
      'let the snapshot file hold the TLS Secrets with their keys, so that TLS hosts keep their certificates',
    group: 'When the API server is away',
  },
  ...CLASS_FLAGS,
  ...PUBLISH_FLAGS,
  HTTP_PORT,
  {
    name: 'h2c',
    description:
      'also take HTTP/2 without TLS on the HTTP port, from clients that know beforehand that it is spoken',
    group: 'Listening',
  },
  HTTPS_PORT,
  {
    name: 'bind-address',
    value: '<ip>',
    description: 'listen on this address only; otherwise on all, IPv4 and IPv6',
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
      'answer the same on this Unix socket, for portico probe: two processes may share the ports, but not this file',
    group: 'Listening',
  },
  {
    name: 'proxy-protocol-from',
    value: '<cidr...>',
    many: true,
    description:
      'connections from these networks may begin with a PROXY protocol header (version 1 or 2), on any port; from everyone else it is a malformed request',
    group: 'Listening',
  },
  {
    name: 'proxy-protocol-https-port',
    value: '<port...>',
    many: true,
    default: '443',
    description:
      'a PROXY header with this destination port means that the client spoke https, unless the header itself says so or denies it (version 2, PP2_TYPE_SSL); 0 for no port',
    group: 'Listening',
  },
  DEFAULT_TLS_SECRET,
  SSL_REDIRECT,
  {
    name: 'hsts',
    value: '<off|value>',
    default: 'off',
    description:
      "Strict-Transport-Security for responses over https that do not have one, such as 'max-age=31536000; includeSubDomains'; browsers remember it and cannot be told otherwise over http",
    group: 'TLS',
  },
  {
    name: 'tls-min-version',
    value: `<${TLS_VERSIONS.join('|')}>`,
    default: TLS_VERSIONS[0],
    description: 'oldest version of TLS that is spoken',
    group: 'TLS',
  },
  {
    name: 'tls-ciphers',
    value: '<list>',
    description:
      'cipher suites as OpenSSL names them, with colons between them; otherwise those of TLS 1.3, and of TLS 1.2 those with forward secrecy and authenticated encryption',
    group: 'TLS',
  },
  {
    name: 'trusted-proxies',
    value: '<cidr...>',
    many: true,
    description:
      'trust X-Forwarded-* on connections from these networks; from everyone else they are replaced. Name only proxies that write these fields themselves',
    group: 'Data plane',
  },
  {
    name: 'underscores-in-headers',
    description:
      'pass request fields with underscores in their names, such as X_Foo, to Pods; otherwise they are dropped, as in nginx',
    group: 'Data plane',
  },
  {
    name: 'bare-lf-in-responses',
    description:
      'accept response heads of Pods whose lines end with LF instead of CRLF; otherwise such a response becomes 502',
    group: 'Data plane',
  },
  {
    name: 'engine',
    value: '<relay|http-proxy>',
    default: 'relay',
    description: 'what moves the bytes: relay is ours and fast, http-proxy is the reference',
    group: 'Data plane',
  },
  {
    name: 'workers',
    value: '<auto|n>',
    default: 'auto',
    description: 'data-plane threads; auto is one per core',
    group: 'Data plane',
  },
  {
    name: 'limit',
    value: '<name=value...>',
    many: true,
    description: `sizes in bytes and times such as 30s or 500ms: ${limitNames().join(', ')}`,
    group: 'Data plane',
  },
  {
    name: 'access-log',
    value: '<off|json|text>',
    default: 'json',
    description: 'one line per request on standard output',
    group: 'Logs',
  },
  {
    name: 'log-level',
    value: '<level>',
    default: 'info',
    description: 'debug, info, warn, error or silent',
    group: 'Logs',
  },
  {
    name: 'log-format',
    value: '<auto|json|text>',
    default: 'auto',
    description: 'text for people, json for machines; auto is text on a terminal',
    group: 'Logs',
  },
  {
    name: 'drain-timeout',
    value: '<duration>',
    default: '30s',
    description: 'how long requests in flight may take to finish after SIGTERM or SIGINT',
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
