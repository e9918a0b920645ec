import type { HeaderField } from '../http/head-edit.ts';
import { type PolicyRefusal, refusal } from '../http/local-response.ts';
import type { RequestEdit, RequestView } from '../http/request-view.ts';
import { type SecretData, secretDataOf } from '../model/secret-data.ts';
import { type ObjectKey, type Secret, namespaceOf } from '../model/objects.ts';
import {
  MAX_FILE_BYTES,
  type PasswordFile,
  type PasswordFormat,
  passwordFileBytes,
  readPasswordFile,
} from '../passwords/password-file.ts';
import { judged } from './auth/auth-verdict.ts';
import { type AnnotationReader, CLOSED, type NamedObject } from './annotation-reader.ts';
import { type AnnotationSpec, ownNameOf } from './annotation-spec.ts';
import { CONTINUE, type PasswordVerdict, type Verdict, definePolicy } from './policy.ts';

export interface BasicAuthConfig {
  readonly secret: ObjectKey;
  readonly format: PasswordFormat;
  /** The value of WWW-Authenticate. */
  readonly challenge: string;
}

const SECRET: AnnotationSpec = {
  name: 'basic-auth-secret',
  nginx: 'auth-secret',
  values: 'the name of a Secret',
  default: 'none: everybody is let in',
  scope: 'path',
  refersTo: 'Secret',
  about:
    'Clients must give a user name and its password (RFC 7617), which this Secret has hashes of. Others get 401. Pods do not ' +
    'see the password: `Authorization` is removed. Hashes of bcrypt (cost at most 12), `$apr1$`, `$1$`, `$5$` and `$6$` (at ' +
    'most 100,000 rounds), `{SHA}`, `{SSHA}`, `{PLAIN}` and DES are understood; a Secret has at most 64 KiB of them.',
  difference:
    'hashes of bcrypt with a cost above 12 are not used, and without `auth-type` the paths are closed instead of open.',
};

const FORMAT: AnnotationSpec = {
  name: 'basic-auth-format',
  nginx: 'auth-secret-type',
  values: '`htpasswd`, `users`',
  default: 'htpasswd',
  scope: 'path',
  about:
    '`htpasswd`: the key `auth` of the Secret is the text of an htpasswd file. `users`: each key is the name of a user, and ' +
    'its value the hash. In the words of ingress-nginx: `auth-file` and `auth-map`.',
};

const REALM: AnnotationSpec = {
  name: 'basic-auth-realm',
  nginx: 'auth-realm',
  values: 'text without quotes',
  default: 'empty',
  scope: 'path',
  about: 'What the passwords are for, which some clients show: the realm of the challenge.',
};

const TYPE: AnnotationSpec = {
  name: null,
  nginx: 'auth-type',
  values: '`basic`',
  default: 'none',
  scope: 'path',
  about: 'Must be written with `auth-secret`. `digest` is refused.',
  difference:
    '`digest` closes the paths: it needs passwords that are stored almost in clear text, and MD5. Use `basic` over TLS.',
};

const MAX_REALM = 128;
/** Faults of a file that are reported. */
const MAX_FAULTS = 3;

export const basicAuth = definePolicy({
  name: 'basic-auth',
  phase: 'access',
  summary: 'Who must give a user name and a password.',
  annotations: [SECRET, FORMAT, REALM, TYPE],
  whenInvalid: 'close',
  isAlternative: true,
  reservedPrefixes: ['portico.dev/basic-', 'portico.dev/auth-', 'portico.dev/password'],

  parse(read): BasicAuthConfig | null {
    readType(read);
    const format = readFormat(read);
    const realm = readRealm(read);
    if (!read.has(SECRET)) {
      const message = `No Secret is named that has the users and their passwords: name one; ${CLOSED}.`;
      read.fail('AuthSecretMissing', SECRET, message);
      return null;
    }
    const secret = read.secret(SECRET, format === 'users' ? '' : 'with the key auth');
    if (secret === null) return null;
    const found = findFile(secret, format);
    if (found.kind === 'fault') {
      const code = secret.object ? 'AuthSecretInvalid' : 'SecretNotFound';
      read.fail(code, SECRET, `${found.reason}, so passwords cannot be checked; ${CLOSED}.`);
      return null;
    }
    for (const fault of found.file.faults.slice(0, MAX_FAULTS)) {
      const message = `Secret ${secret.key}: ${fault}; this user is not let in: make the hash anew with htpasswd -B.`;
      read.warn('AuthHashInvalid', SECRET, message);
    }
    return { secret: secret.key, format, challenge: `Basic realm="${realm}"` };
  },

  write: ({ format }, renamed) => ({ ...renamed, [ownNameOf(FORMAT)]: format }),

  secrets: ({ secret }) => [secret],

  describe: ({ secret, format }) => `${format} of Secret ${secret}`,

  bind({ secret, format, challenge }, thread) {
    const namespace = namespaceOf(secret);
    let data: SecretData | undefined;
    let file: PasswordFile | null = null;
    const currentFile = (): PasswordFile | null => {
      const current = thread.secret(secret);
      if (current !== data) file = current ? readPasswordFile(current, format) : null;
      data = current;
      return file;
    };
    return {
      onRequest(request, edit) {
        const hashes = currentFile()?.hashes;
        // The table that closes the route is on its way.
        if (!hashes) return judged('basic-auth', 'asked', request, refuse('passwords-unavailable', request));
        const credentials = credentialsOf(request.value('authorization'));
        if (credentials === null)
          return judged('basic-auth', 'asked', request, unauthenticated(request, challenge));
        const hash = hashes.get(credentials.user);
        // For a user that there is not, it takes as long as for one that there is.
        const [decoy = ''] = hash === undefined ? hashes.values() : [hash];
        const verdict = thread.checkPassword(namespace, decoy, credentials.password);
        const source = verdict instanceof Promise || verdict === 'busy' ? 'asked' : 'cached';
        const decide = (found: PasswordVerdict): Verdict => {
          const known = hash === undefined && found === 'right' ? 'wrong' : found;
          return judged('basic-auth', source, request, verdictOf(known, request, edit, challenge));
        };
        return verdict instanceof Promise ? verdict.then(decide) : decide(verdict);
      },
    };
  },
});

function verdictOf(
  found: PasswordVerdict,
  request: RequestView,
  edit: RequestEdit,
  challenge: string,
): Verdict {
  switch (found) {
    case 'right':
      edit.remove('authorization');
      return CONTINUE;
    case 'wrong':
      return unauthenticated(request, challenge);
    case 'busy':
      return refuse('passwords-busy', request, ['retry-after', '1']);
    default:
      return found satisfies never;
  }
}

function unauthenticated(request: RequestView, challenge: string): Verdict {
  return refuse('unauthenticated', request, ['www-authenticate', challenge]);
}

function refuse(reason: PolicyRefusal, request: RequestView, ...fields: readonly HeaderField[]): Verdict {
  return { kind: 'respond', response: refusal(reason, request, fields), detail: reason };
}

interface Credentials {
  readonly user: string;
  readonly password: Buffer;
}

const BASIC = /^basic +([A-Za-z0-9+/_-]+=*) *$/i;
const MAX_CREDENTIALS = 1_024;

/** Null for what is not RFC 7617. */
function credentialsOf(authorization: string | undefined): Credentials | null {
  if (authorization === undefined || authorization.length > MAX_CREDENTIALS) return null;
  const [, encoded] = BASIC.exec(authorization) ?? [];
  if (encoded === undefined) return null;
  const bytes = Buffer.from(encoded, 'base64');
  const colon = bytes.indexOf(0x3a);
  if (colon < 0) return null;
  return { user: bytes.toString('utf8', 0, colon), password: bytes.subarray(colon + 1) };
}

function readType(read: AnnotationReader): void {
  const asksInNginx = [SECRET, FORMAT, REALM].some((spec) => read.has(spec) && !read.isOurs(spec));
  const written = read.text(TYPE)?.trim().toLowerCase();
  if (written === 'basic') return;
  if (written === 'digest') read.invalid(TYPE, 'is not supported', 'use basic, over TLS');
  else if (read.has(TYPE)) read.invalid(TYPE, 'is not valid', 'use basic');
  else if (asksInNginx) {
    const message = `The type of the authentication is not said: write nginx.ingress.kubernetes.io/auth-type: basic; ${CLOSED}.`;
    read.fail('AuthTypeMissing', TYPE, message);
  }
}

function readFormat(read: AnnotationReader): PasswordFormat {
  if (!read.has(FORMAT)) return 'htpasswd';
  if (read.isOurs(FORMAT)) return read.choice(FORMAT, ['htpasswd', 'users']) ?? 'htpasswd';
  return read.choice(FORMAT, ['auth-file', 'auth-map']) === 'auth-map' ? 'users' : 'htpasswd';
}

function readRealm(read: AnnotationReader): string {
  const realm = read.text(REALM) ?? '';
  if (realm.length <= MAX_REALM && /^[ !#-[\]-~]*$/.test(realm)) return realm;
  read.invalid(REALM, 'cannot be a realm', `write at most ${MAX_REALM} characters of ASCII without quotes`);
  return '';
}

type FoundFile =
  | { readonly kind: 'file'; readonly file: PasswordFile }
  /** `reason` begins a sentence. */
  | { readonly kind: 'fault'; readonly reason: string };

function findFile({ key, object, absence }: NamedObject<Secret>, format: PasswordFormat): FoundFile {
  if (!object) return { kind: 'fault', reason: absence };
  const data = secretDataOf(object);
  if (passwordFileBytes(data) > MAX_FILE_BYTES)
    return { kind: 'fault', reason: `Secret ${key} has more than ${MAX_FILE_BYTES / 1024} KiB` };
  const file = readPasswordFile(data, format);
  if (!file) return { kind: 'fault', reason: `Secret ${key} has no key auth` };
  if (file.hashes.size > 0) return { kind: 'file', file };
  const [first = 'it is empty'] = file.faults;
  return { kind: 'fault', reason: `Secret ${key} has no user with a hash that can be used (${first})` };
}
