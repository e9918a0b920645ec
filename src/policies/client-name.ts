import { compilePattern, patternFault } from '../http/pattern.ts';
import type { AnnotationReader } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { CONTINUE, type Verdict, definePolicy } from './policy.ts';

export type ClientNameConfig =
  /** One of these is the common name of the client. */
  | { readonly kind: 'names'; readonly names: readonly string[] }
  /** Matches somewhere in the subject of its certificate, as nginx writes it. */
  | { readonly kind: 'pattern'; readonly pattern: string };

const NAME: AnnotationSpec = {
  name: 'client-certificate-name',
  nginx: 'auth-tls-match-cn',
  values: 'common names, separated by commas',
  default: 'any',
  scope: 'path',
  about:
    'Only clients whose certificate has one of these common names (CN) pass; others get 403. Beside `client-ca-secret`. Under ' +
    'the name of ingress-nginx it is `CN=` and a regular expression (RE2), which may match anywhere in the subject.',
  difference: 'it counts for the paths of its Ingress, look-around and back references are not valid.',
};

const SUBJECT = 'ssl-client-subject-dn';
const NOT_HERE: Verdict = { kind: 'refuse', reason: 'client-name-denied' };
const MAX_NAMES = 256;
/** The attributes of a subject (RFC 4514). A comma in the value of one is escaped, and begins no other. */
const ATTRIBUTES = /(?:\\.|[^,+\\])+/g;

export const clientName = definePolicy({
  name: 'client-name',
  phase: 'access',
  summary: 'Which clients with a certificate pass, by their name.',
  annotations: [NAME],
  whenInvalid: 'close',

  parse(read): ClientNameConfig | null {
    return read.isOurs(NAME) ? readNames(read) : readPattern(read);
  },

  describe: (config) => (config.kind === 'names' ? config.names.join(', ') : `subject ~ ${config.pattern}`),

  bind(config) {
    const matches = matcher(config);
    return {
      onRequest({ connectionInfo: { certificate } }) {
        const subject = certificate?.verdict === 'verified' ? certificate.fields[SUBJECT] : undefined;
        return subject !== undefined && matches(subject) ? CONTINUE : NOT_HERE;
      },
    };
  },
});

function matcher(config: ClientNameConfig): (subject: string) => boolean {
  if (config.kind === 'pattern') return compilePattern(config.pattern);
  const names = new Set(config.names);
  // Names have nothing that would be escaped, so that one with a backslash is none of them.
  return (subject) => {
    const name = subject.match(ATTRIBUTES)?.find((attribute) => attribute.startsWith('CN='));
    return name !== undefined && names.has(name.slice('CN='.length));
  };
}

function readNames(read: AnnotationReader): ClientNameConfig | null {
  const written = read.text(NAME);
  if (written === null) return null;
  const names = written.split(',').map((name) => name.trim());
  if (names.length <= MAX_NAMES && names.every((name) => /^[\w.@*:-][\w .@*:-]{0,63}$/.test(name)))
    return { kind: 'names', names };
  read.invalid(NAME, 'is not a list of names', 'write common names with commas between them');
  return null;
}

function readPattern(read: AnnotationReader): ClientNameConfig | null {
  const pattern = read.text(NAME)?.trim();
  if (pattern === undefined) return null;
  const fault = pattern.startsWith('CN=') ? patternFault(pattern) : 'does not begin with CN=';
  if (fault === null) return { kind: 'pattern', pattern };
  read.invalid(NAME, fault, 'write one like CN=(web|shop)\\.example\\.com');
  return null;
}
