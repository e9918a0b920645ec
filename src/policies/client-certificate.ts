import { createHash } from 'node:crypto';
import { type AnnotationReader, CLOSED } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import type { ObjectKey } from '../model/objects.ts';
import { type RevocationList, readRevocationList } from '../model/revocation-list.ts';
import { readCaCertificates } from '../model/secrets.ts';
import { quote } from '../model/untyped.ts';
import { definePolicy } from './policy.ts';

/** How the clients of a host are verified during the TLS handshake. */
export interface ClientAuth {
  /** A digest of all the rest: what has the same id asks for the same. */
  readonly policyId: string;
  /** Otherwise a client may come without a certificate, but not with one that is not good. */
  readonly required: boolean;
  /** The CA certificates (PEM) that those of clients must lead to. */
  readonly caCertificates: string;
  /** Pods get the certificate itself too. */
  readonly passCertificate: boolean;
  /** The Secret whose `ca.crl` names the certificates that are revoked, and a digest of it; none when absent. */
  readonly revocations?: { readonly secret: ObjectKey; readonly digest: string };
  /** Where clients are sent that do not show what they should; they get 400 when absent. It does not change the id. */
  readonly errorPage?: string;
  /**
   * Who turns clients away that do not show what they should: the handshake, or nobody. Their requests are refused when
   * absent.
   */
  readonly enforced?: 'in-handshake' | 'never';
}

const CA_SECRET: AnnotationSpec = {
  name: 'client-ca-secret',
  nginx: 'auth-tls-secret',
  values: 'the name of a Secret',
  default: 'none: clients are asked for nothing',
  scope: 'host',
  refersTo: 'Secret',
  about:
    'Clients of the hosts of this Ingress are asked for a certificate (mutual TLS) that leads to one in the `ca.crt` of ' +
    'this Secret, of any type and of the namespace of the Ingress. Where it has a `ca.crl`, certificates in that revocation ' +
    'list are refused; it needs a current list of each authority of a chain, as in nginx.',
};

const VERIFY: AnnotationSpec = {
  name: 'client-certificate',
  nginx: 'auth-tls-verify-client',
  values: '`required`, `optional`, `off`',
  default: 'required',
  scope: 'host',
  about:
    '`required`: a request without a certificate, or with one that is not good, gets 400 and reaches no Pod. `optional`: ' +
    'clients may come without; one that is not good still gets 400. `off`: nothing is asked for, whatever the annotations ' +
    'of ingress-nginx say. In those `on` stands for `required`.',
  difference: '`optional_no_ca` is not valid: a certificate that nobody verified says nothing.',
};

const PASS: AnnotationSpec = {
  name: 'client-certificate-to-pods',
  nginx: 'auth-tls-pass-certificate-to-upstream',
  values: '`true`, `false`',
  default: 'false',
  scope: 'host',
  about:
    'Pods are told `ssl-client-verify` (`SUCCESS`, or `NONE` where it is optional and none was presented), ' +
    '`ssl-client-subject-dn` and `ssl-client-issuer-dn`; with `true` also `ssl-client-cert`, the certificate as PEM, ' +
    'percent-encoded.',
};

const DEPTH: AnnotationSpec = {
  name: null,
  nginx: 'auth-tls-verify-depth',
  values: 'a number',
  default: 'none',
  scope: 'host',
  about: 'Has no effect, and a warning says so: chains are as long as their certificates allow.',
  difference:
    'Node does not tell a server how long the chain of a client is, so that it is not limited; limit it by the pathLenConstraint of the certificates that issue.',
};

const ERROR_PAGE: AnnotationSpec = {
  name: 'client-certificate-error-page',
  nginx: 'auth-tls-error-page',
  values: 'a URL',
  default: 'none: 400 and a sentence',
  scope: 'path',
  about: 'Where clients are sent, with 302, that show no certificate or one that is not good.',
  difference: 'it counts for the paths of its Ingress, and paths and `@name` are not valid.',
};

const MAX_URL_LENGTH = 1_024;

export const clientCertificate = definePolicy({
  name: 'client-certificate',
  phase: 'access',
  summary: 'Which clients of a host must present a certificate (mutual TLS), and what Pods are told of it.',
  page: { title: 'Certificates of clients', file: 'client-certificates.md' },
  annotations: [CA_SECRET, VERIFY, PASS, DEPTH, ERROR_PAGE],
  whenInvalid: 'close',
  ofIngressesOnly: true,
  reservedPrefixes: ['portico.dev/client-'],

  parse(read): ClientAuth | null {
    const verify = readVerify(read);
    if (verify === 'off') return null;
    if (read.has(DEPTH)) {
      const message =
        'The length of chains is not limited: every certificate that leads to ca.crt is good; limit it by the pathLenConstraint of those that issue.';
      read.warn('AnnotationUnsupported', DEPTH, message);
    }
    const authorities = readAuthorities(read);
    const passCertificate = readPass(read);
    const errorPage = readErrorPage(read);
    if (verify === null || authorities === null) return null;
    const config = { required: verify === 'required', ...authorities, passCertificate };
    const digest = createHash('sha256').update(JSON.stringify(config)).digest('base64url');
    // As long as OpenSSL lets the context of a session be.
    return { policyId: digest.slice(0, 32), ...config, ...(errorPage !== null && { errorPage }) };
  },

  secrets: ({ revocations }) => (revocations ? [revocations.secret] : []),

  describe({ required, passCertificate, revocations, errorPage }) {
    const parts = [
      required ? 'required' : 'optional',
      ...(passCertificate ? ['told to Pods'] : []),
      ...(revocations ? ['not revoked'] : []),
      ...(errorPage === undefined ? [] : [`others to ${errorPage}`]),
    ];
    return parts.join(', ');
  },
});

function readVerify(read: AnnotationReader): 'required' | 'optional' | 'off' | null {
  if (!read.has(VERIFY)) return 'required';
  if (read.isOurs(VERIFY)) return read.choice(VERIFY, ['required', 'optional', 'off']);
  const written = read.choice(VERIFY, ['on', 'optional', 'off']);
  return written === 'on' ? 'required' : written;
}

function readAuthorities(read: AnnotationReader): Pick<ClientAuth, 'caCertificates' | 'revocations'> | null {
  if (!read.has(CA_SECRET)) {
    const message = `No CA Secret is given to verify clients: name one; ${CLOSED}.`;
    read.fail('ClientCaMissing', CA_SECRET, message);
    return null;
  }
  const secret = read.secret(CA_SECRET, 'with a certificate in its ca.crt');
  if (secret === null) return null;
  const found = readCaCertificates(secret.key, secret.object, secret.absence);
  const list = secret.object ? readRevocationList(secret.object) : NO_LIST;
  if (found.kind === 'certificates' && list.kind !== 'refused') {
    const { key } = secret;
    const revocations = list.kind === 'list' ? { secret: key, digest: list.digest } : null;
    return { caCertificates: found.pem, ...(revocations && { revocations }) };
  }
  const reason = found.kind === 'refused' ? found.reason : `Secret ${secret.key} ${faultOf(list)}`;
  const message = `${reason}, so clients cannot be verified; ${CLOSED}.`;
  read.fail('ClientCaMissing', CA_SECRET, message);
  return null;
}

const NO_LIST: RevocationList = { kind: 'none' };

function faultOf(list: RevocationList): string {
  return list.kind === 'refused' ? list.reason : '';
}

/** Not sending them there opens nothing, so that what is no URL costs only itself. */
function readErrorPage(read: AnnotationReader): string | null {
  const written = read.text(ERROR_PAGE)?.trim() ?? '';
  if (written === '') return null;
  if (written.length <= MAX_URL_LENGTH && /^https?:\/\/[\x21-\x7e]+$/.test(written) && !written.includes('$'))
    return written;
  const message = `${quote(written)} is not valid: write a URL such as https://www.example.com/sorry; the default is used: 400 and a sentence.`;
  read.warn('AnnotationInvalid', ERROR_PAGE, message);
  return null;
}

/** Not telling Pods opens nothing, so that a typing error here costs only itself. */
function readPass(read: AnnotationReader): boolean {
  const written = read.text(PASS);
  if (written !== null && written !== 'true' && written !== 'false') {
    const message = `"${written.slice(0, 80)}" is not valid: use true or false; the default is used: false.`;
    read.warn('AnnotationInvalid', PASS, message);
  }
  return written === 'true';
}
