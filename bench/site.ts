/** What every proxy of a benchmark serves, whatever its configuration looks like. */
export interface Site {
  readonly http: number;
  readonly https: number;
  readonly pods: Pods;
  /** Event loops or threads that serve. */
  readonly workers: number;
  /** Of `tls.crt`, `tls.key` and `tls.pem`, which is both. */
  readonly folder: string;
}

/** The ports of the Pods. */
export interface Pods {
  /** HTTP/1.1, in a process of its own. */
  readonly plain: number;
  /** HTTP/1.1, in the process that measures latencies. */
  readonly paced: number;
  readonly grpc: number;
  readonly socket: number;
}

/** Served by the plain Pod, without TLS and with. */
export const HOST = 'bench.example.com';
/** Without TLS. Paths below `/app/` lose that, responses get two fields, and only clients of a list may come. */
export const POLICY_HOST = 'policies.example.com';
/** Without TLS. */
export const PACED_HOST = 'paced.example.com';
/** With TLS. */
export const GRPC_HOST = 'grpc.example.com';
/** Without TLS. */
export const SOCKET_HOST = 'socket.example.com';

/** Connections to a Pod that stay open without a request. */
export const IDLE_UPSTREAMS = 256;
/** Connections of clients outlive every row; those of Caddy and Envoy, which are not told, live five minutes and an hour. */
export const IDLE_TIMEOUT_S = 600;
/** What `POLICY_HOST` lets in. */
export const ALLOWED = ['10.0.0.0/8', '192.168.0.0/16', '127.0.0.0/8'];
export const RESPONSE_FIELDS = [
  ['X-Frame-Options', 'DENY'],
  ['Referrer-Policy', 'no-referrer'],
] as const;
