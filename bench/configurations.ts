import { stringify } from 'yaml';
import {
  ALLOWED,
  GRPC_HOST,
  HOST,
  IDLE_TIMEOUT_S,
  IDLE_UPSTREAMS,
  PACED_HOST,
  POLICY_HOST,
  RESPONSE_FIELDS,
  SOCKET_HOST,
  type Site,
} from './site.ts';

/** The same site for each proxy, in its own language. Access logs are off, and request bodies are passed on as they come. */

export function nginxConf({ http, https, pods, workers, folder }: Site): string {
  const fields = (directive: string): string =>
    [
      'Host $host',
      'X-Real-IP $remote_addr',
      'X-Forwarded-For $remote_addr',
      'X-Forwarded-Host $host',
      'X-Forwarded-Port $server_port',
      'X-Forwarded-Proto $scheme',
      'X-Request-ID $request_id',
    ]
      .map((field) => `${directive} ${field};`)
      .join(' ');
  const pass = (upstream: string): string => `
      proxy_pass http://${upstream}; proxy_http_version 1.1; proxy_set_header Connection "";
      ${fields('proxy_set_header')} proxy_request_buffering off; proxy_max_temp_file_size 0;`;
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (each) => `${each}_temp_path ${folder}/nginx-${http}-${each};`,
  );
  const upstream = (name: string, port: number): string =>
    `upstream ${name} { server 127.0.0.1:${port}; keepalive ${IDLE_UPSTREAMS}; keepalive_requests 10000000; }`;
  const plain = `listen 127.0.0.1:${http} backlog=4096`;
  return `
daemon off; user root; worker_processes ${workers}; pid ${folder}/nginx-${http}.pid; error_log stderr crit;
events { worker_connections 16384; }
http {
  access_log off; client_max_body_size 0; keepalive_timeout ${IDLE_TIMEOUT_S}s; keepalive_requests 10000000; http2_max_requests 10000000;
  ${paths.join(' ')}
  ssl_certificate ${folder}/tls.crt; ssl_certificate_key ${folder}/tls.key; ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:tls:10m; ssl_session_tickets on;
  ${upstream('plain', pods.plain)}
  ${upstream('paced', pods.paced)}
  ${upstream('grpc', pods.grpc)}
  server {
    ${plain}; listen 127.0.0.1:${https} ssl http2 backlog=4096; server_name ${HOST};
    location / {${pass('plain')} }
  }
  server {
    listen 127.0.0.1:${http}; server_name ${POLICY_HOST};
    location ~* "^/app/(.*)" {
      rewrite "(?i)/app/(.*)" /$1 break; ${ALLOWED.map((range) => `allow ${range};`).join(' ')} deny all;
      ${RESPONSE_FIELDS.map(([name, value]) => `add_header ${name} ${value} always;`).join(' ')}${pass('plain')}
    }
  }
  server {
    listen 127.0.0.1:${http}; server_name ${PACED_HOST};
    location / {${pass('paced')} }
  }
  server {
    listen 127.0.0.1:${http}; server_name ${SOCKET_HOST};
    location / {
      proxy_pass http://127.0.0.1:${pods.socket}; proxy_http_version 1.1; ${fields('proxy_set_header')}
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
    }
  }
  server {
    listen 127.0.0.1:${https} ssl http2; server_name ${GRPC_HOST};
    location / { grpc_pass grpc://grpc; ${fields('grpc_set_header')} }
  }
}`;
}

export function haproxyConf({ http, https, pods, workers, folder }: Site): string {
  return `
global
  nbthread ${workers}
  maxconn 9000
defaults
  mode http
  timeout connect 5s
  timeout client ${IDLE_TIMEOUT_S}s
  timeout server 60s
  timeout tunnel 60s
  option forwardfor
  http-reuse always
frontend in
  bind 127.0.0.1:${http}
  bind 127.0.0.1:${https} ssl crt ${folder}/tls.pem alpn h2,http/1.1
  http-request set-header X-Real-IP %[src]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Proto https if { ssl_fc }
  http-request set-header X-Forwarded-Proto http unless { ssl_fc }
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Request-ID %[uuid]
  use_backend grpc if { req.hdr(host) -i ${GRPC_HOST} }
  use_backend socket if { req.hdr(host) -i ${SOCKET_HOST} }
  use_backend paced if { req.hdr(host) -i ${PACED_HOST} }
  use_backend policies if { req.hdr(host) -i ${POLICY_HOST} }
  default_backend plain
backend plain
  server a 127.0.0.1:${pods.plain} pool-max-conn ${IDLE_UPSTREAMS}
backend policies
  http-request deny unless { src ${ALLOWED.join(' ')} }
  http-request replace-path /app/(.*) /\\1
${RESPONSE_FIELDS.map(([name, value]) => `  http-response set-header ${name} ${value}`).join('\n')}
  server a 127.0.0.1:${pods.plain} pool-max-conn ${IDLE_UPSTREAMS}
backend paced
  server a 127.0.0.1:${pods.paced} pool-max-conn ${IDLE_UPSTREAMS}
backend socket
  server a 127.0.0.1:${pods.socket}
backend grpc
  server a 127.0.0.1:${pods.grpc} proto h2
`;
}

export function caddyfile({ http, https, pods, folder }: Site): string {
  const pass = (port: number): string => `reverse_proxy 127.0.0.1:${port} {
    transport http {
      keepalive_idle_conns_per_host ${IDLE_UPSTREAMS}
    }
  }`;
  const certificate = `tls ${folder}/tls.crt ${folder}/tls.key`;
  return `{
  admin off
  auto_https off
  log {
    level ERROR
  }
}
http://${HOST}:${http} {
  bind 127.0.0.1
  ${pass(pods.plain)}
}
http://${POLICY_HOST}:${http} {
  bind 127.0.0.1
  @others not remote_ip ${ALLOWED.join(' ')}
  respond @others 403
  uri strip_prefix /app
${RESPONSE_FIELDS.map(([name, value]) => `  header ${name} ${value}`).join('\n')}
  ${pass(pods.plain)}
}
http://${PACED_HOST}:${http} {
  bind 127.0.0.1
  ${pass(pods.paced)}
}
http://${SOCKET_HOST}:${http} {
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:${pods.socket}
}
https://${HOST}:${https} {
  bind 127.0.0.1
  ${certificate}
  ${pass(pods.plain)}
}
https://${GRPC_HOST}:${https} {
  bind 127.0.0.1
  ${certificate}
  reverse_proxy h2c://127.0.0.1:${pods.grpc}
}
`;
}

/** What Traefik's file provider reads. */
export function traefikYaml({ pods, folder }: Site): string {
  const router = (host: string, service: string, more: object = {}): object => ({
    rule: `Host(\`${host}\`)`,
    entryPoints: ['web'],
    service,
    ...more,
  });
  const secure = { entryPoints: ['websecure'], tls: {} };
  const service = (url: string): object => ({ loadBalancer: { servers: [{ url }] } });
  return stringify({
    http: {
      routers: {
        plain: router(HOST, 'plain'),
        secure: router(HOST, 'plain', secure),
        policies: router(POLICY_HOST, 'plain', { middlewares: ['allow', 'rewrite', 'fields'] }),
        paced: router(PACED_HOST, 'paced'),
        socket: router(SOCKET_HOST, 'socket'),
        grpc: router(GRPC_HOST, 'grpc', secure),
      },
      middlewares: {
        allow: { ipAllowList: { sourceRange: ALLOWED } },
        rewrite: { replacePathRegex: { regex: '^/app/(.*)', replacement: '/$1' } },
        fields: { headers: { customResponseHeaders: Object.fromEntries(RESPONSE_FIELDS) } },
      },
      services: {
        plain: service(`http://127.0.0.1:${pods.plain}`),
        paced: service(`http://127.0.0.1:${pods.paced}`),
        socket: service(`http://127.0.0.1:${pods.socket}`),
        grpc: service(`h2c://127.0.0.1:${pods.grpc}`),
      },
    },
    tls: { certificates: [{ certFile: `${folder}/tls.crt`, keyFile: `${folder}/tls.key` }] },
  });
}

/** Traefik's flags; nothing of it asks the internet. */
export function traefikFlags({ http, https }: Site, dynamicFile: string): readonly string[] {
  return [
    '--global.checkNewVersion=false',
    '--global.sendAnonymousUsage=false',
    '--log.level=ERROR',
    `--providers.file.filename=${dynamicFile}`,
    `--entryPoints.web.address=127.0.0.1:${http}`,
    `--entryPoints.websecure.address=127.0.0.1:${https}`,
    `--entryPoints.websecure.transport.respondingTimeouts.idleTimeout=${IDLE_TIMEOUT_S}s`,
    `--serversTransport.maxIdleConnsPerHost=${IDLE_UPSTREAMS}`,
  ];
}

export function envoyJson({ http, https, pods, folder }: Site): string {
  const type = (name: string): object => ({ '@type': `type.googleapis.com/envoy.${name}` });
  const route = (cluster: string, more: object = {}): object => ({
    match: { prefix: '/' },
    route: { cluster, timeout: '0s' },
    ...more,
  });
  const host = (name: string, ...routes: readonly object[]): object => ({
    name,
    domains: [name],
    routes,
  });
  const address = (port: number): object => ({ socket_address: { address: '127.0.0.1', port_value: port } });
  const range = (text: string): object => {
    const [prefix = '', length] = text.split('/');
    return { direct_remote_ip: { address_prefix: prefix, prefix_len: Number(length) } };
  };
  const policies = {
    match: { prefix: '/app/' },
    route: {
      cluster: 'plain',
      timeout: '0s',
      regex_rewrite: { pattern: { regex: '^/app/(.*)' }, substitution: '/\\1' },
    },
    response_headers_to_add: RESPONSE_FIELDS.map(([key, value]) => ({ header: { key, value } })),
    typed_per_filter_config: {
      rbac: {
        ...type('extensions.filters.http.rbac.v3.RBACPerRoute'),
        rbac: {
          rules: {
            policies: { allowed: { permissions: [{ any: true }], principals: ALLOWED.map(range) } },
          },
        },
      },
    },
  };
  const listener = (port: number, hosts: readonly object[], more: object = {}): object => ({
    name: `on-${port}`,
    address: address(port),
    filter_chains: [
      {
        filters: [
          {
            name: 'http',
            typed_config: {
              ...type('extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
              stat_prefix: 'http',
              use_remote_address: true,
              upgrade_configs: [{ upgrade_type: 'websocket' }],
              route_config: { name: 'routes', virtual_hosts: hosts },
              http_filters: [
                { name: 'rbac', typed_config: type('extensions.filters.http.rbac.v3.RBAC') },
                { name: 'router', typed_config: type('extensions.filters.http.router.v3.Router') },
              ],
            },
          },
        ],
        ...more,
      },
    ],
  });
  const cluster = (name: string, port: number, more: object = {}): object => ({
    name,
    type: 'STATIC',
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }],
    },
    ...more,
  });
  const http2 = {
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        ...type('extensions.upstreams.http.v3.HttpProtocolOptions'),
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
  };
  const tls = {
    transport_socket: {
      name: 'tls',
      typed_config: {
        ...type('extensions.transport_sockets.tls.v3.DownstreamTlsContext'),
        common_tls_context: {
          alpn_protocols: ['h2', 'http/1.1'],
          tls_certificates: [
            {
              certificate_chain: { filename: `${folder}/tls.crt` },
              private_key: { filename: `${folder}/tls.key` },
            },
          ],
        },
      },
    },
  };
  return JSON.stringify({
    static_resources: {
      listeners: [
        listener(http, [
          host(HOST, route('plain')),
          host(POLICY_HOST, policies),
          host(PACED_HOST, route('paced')),
          host(SOCKET_HOST, route('socket')),
        ]),
        listener(https, [host(HOST, route('plain')), host(GRPC_HOST, route('grpc'))], tls),
      ],
      clusters: [
        cluster('plain', pods.plain),
        cluster('paced', pods.paced),
        cluster('socket', pods.socket),
        cluster('grpc', pods.grpc, http2),
      ],
    },
  });
}

/** An Ingress, its Services and their Pods. */
export function manifests({ pods }: Site): string {
  const backend = (name: string): object => ({ service: { name, port: { number: 80 } } });
  const rule = (host: string, name: string): object => ({
    host,
    http: { paths: [{ path: '/', pathType: 'Prefix', backend: backend(name) }] },
  });
  const ingress = (name: string, annotations: Readonly<Record<string, string>>, spec: object): object => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name, namespace: 'bench', annotations },
    spec: { ingressClassName: 'portico', ...spec },
  });
  const service = (name: string, port: number, appProtocol: string): readonly object[] => [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: 'bench' },
      spec: { ports: [{ port: 80, targetPort: port, appProtocol }] },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: `${name}-1`,
        namespace: 'bench',
        labels: { 'kubernetes.io/service-name': name },
      },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['127.0.0.1'] }],
      ports: [{ port }],
    },
  ];
  const policyPath = {
    path: '/app/(.*)',
    pathType: 'ImplementationSpecific',
    backend: backend('plain'),
  };
  return [
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'IngressClass',
      metadata: { name: 'portico' },
      spec: { controller: 'portico.dev/ingress-controller' },
    },
    ingress(
      'hosts',
      {},
      {
        tls: [{ hosts: [HOST, GRPC_HOST] }],
        rules: [
          rule(HOST, 'plain'),
          rule(PACED_HOST, 'paced'),
          rule(SOCKET_HOST, 'socket'),
          rule(GRPC_HOST, 'grpc'),
        ],
      },
    ),
    ingress(
      'policies',
      {
        'portico.dev/path-regex': 'true',
        'portico.dev/rewrite-target': '/$1',
        'portico.dev/response-headers': RESPONSE_FIELDS.map((field) => field.join(': ')).join('\n'),
        'portico.dev/allow-from': ALLOWED.join(','),
      },
      { rules: [{ host: POLICY_HOST, http: { paths: [policyPath] } }] },
    ),
    ...service('plain', pods.plain, 'http'),
    ...service('paced', pods.paced, 'http'),
    ...service('socket', pods.socket, 'kubernetes.io/ws'),
    ...service('grpc', pods.grpc, 'grpc'),
  ]
    .map((each) => stringify(each, { lineWidth: 0 }))
    .join('---\n');
}
