import { isSubdomain } from '../model/names.ts';
import { type AnnotationReader, CLOSED } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { readCaCertificates } from '../model/secrets.ts';
import { definePolicy } from './policy.ts';

const PROTOCOLS = ['HTTP', 'HTTPS', 'GRPC', 'GRPCS', 'AUTO_HTTP'] as const;

/** What is spoken to the endpoints of a route. */
export interface BackendTransportConfig {
  /** Null leaves it to the `appProtocol` of the Service port. */
  readonly protocol: Lowercase<(typeof PROTOCOLS)[number]> | null;
  /** For TLS: the name that is asked for (SNI), and that certificates must be for if they are verified. */
  readonly serverName: string | null;
  /** For TLS: the CA certificates (PEM) that those of endpoints must lead to; null verifies nothing. */
  readonly caCertificates: string | null;
}

const PROTOCOL: AnnotationSpec = {
  name: 'backend-protocol',
  nginx: 'backend-protocol',
  values: '`HTTP`, `HTTPS`, `GRPC`, `GRPCS`, `AUTO_HTTP`',
  default: 'the appProtocol of the Service port',
  scope: 'path',
  about:
    'What the Pods of every Service of this Ingress speak, whatever `appProtocol` says: `HTTP` (HTTP/1.1), `HTTPS` (the ' +
    'same over TLS), `GRPC` (HTTP/2 without TLS) or `GRPCS` (HTTP/2 over TLS), or `AUTO_HTTP` (HTTPS for clients that come with TLS, and HTTP for others). Without it `appProtocol` decides: `http`, ' +
    '`https`, `grpc`, `kubernetes.io/h2c`, `kubernetes.io/ws` or `kubernetes.io/wss`. Over HTTP/2 each request is balanced ' +
    'by itself, a `grpc-timeout` ends the call, and a local response to a gRPC call is a gRPC status. A call may be silent for `--tunnel-idle-timeout` where the Pod ' +
    'serves gRPC; a request that only calls itself gRPC has the limits of every other.',
  difference: '`FCGI` is refused: Portico does not speak FastCGI.',
};

const SERVER_NAME: AnnotationSpec = {
  name: 'backend-server-name',
  values: 'a DNS name',
  default: 'none',
  scope: 'path',
  about:
    'For TLS to Pods: the name that is asked for (SNI). With `backend-ca-secret` the certificate of a Pod must be for it.',
};

const CA_SECRET: AnnotationSpec = {
  name: 'backend-ca-secret',
  values: 'the name of a Secret',
  default: 'none: TLS to Pods encrypts and verifies nothing',
  scope: 'path',
  refersTo: 'Secret',
  about:
    'For TLS to Pods: the certificate of a Pod must lead to one in the `ca.crt` of this Secret of the namespace of the ' +
    'Ingress, of any type. Only the `relay` engine verifies; `http-proxy` answers 501 to such a route.',
};

export const backendTransport = definePolicy({
  name: 'backend-transport',
  phase: 'upstream',
  summary: 'The protocol that Pods are spoken to, and how TLS to them is verified.',
  annotations: [PROTOCOL, SERVER_NAME, CA_SECRET],
  whenInvalid: 'close',

  parse(read): BackendTransportConfig | null {
    const protocol = readProtocol(read);
    const serverName = readServerName(read);
    const caCertificates = caCertificatesOf(read);
    if (protocol === null && serverName === null && caCertificates === null) return null;
    return { protocol, serverName, caCertificates };
  },

  describe({ protocol, serverName, caCertificates }) {
    const name = serverName === null ? '' : ` as ${serverName}`;
    return `${protocol ?? 'as the Service says'}${name}${caCertificates === null ? '' : ', verified'}`;
  },
});

/** What is spoken grants nothing, so that a typing error here costs only itself; FastCGI nobody here can speak. */
function readProtocol(read: AnnotationReader): BackendTransportConfig['protocol'] {
  const written = read.text(PROTOCOL);
  if (written === null) return null;
  if (written.toUpperCase() === 'FCGI') {
    const message = `Portico does not speak FastCGI: put a web server beside the application and send HTTP to it; ${CLOSED}.`;
    read.fail('FastCgiUnsupported', PROTOCOL, message);
    return null;
  }
  const found = PROTOCOLS.find((protocol) => protocol === written.toUpperCase());
  if (found) return found.toLowerCase() as Lowercase<typeof found>;
  const message = `"${written.slice(0, 80)}" is not valid: use HTTP, HTTPS, GRPC, GRPCS or AUTO_HTTP; the appProtocol of the Service decides.`;
  read.warn('AnnotationInvalid', PROTOCOL, message);
  return null;
}

function readServerName(read: AnnotationReader): string | null {
  const written = read.text(SERVER_NAME);
  if (written === null || isSubdomain(written)) return written;
  read.invalid(SERVER_NAME, 'is not a DNS name', 'the certificates of Pods cannot be verified by it');
  return null;
}

function caCertificatesOf(read: AnnotationReader): string | null {
  const secret = read.secret(CA_SECRET, 'with a certificate in its ca.crt');
  if (secret === null) return null;
  const found = readCaCertificates(secret.key, secret.object, secret.absence);
  if (found.kind === 'certificates') return found.pem;
  const message = `${found.reason}, so the certificates of Pods cannot be verified; ${CLOSED}.`;
  read.fail('BackendCaMissing', CA_SECRET, message);
  return null;
}
