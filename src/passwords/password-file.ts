import { type SecretData, secretValue } from '../model/secret-data.ts';
import { hashFault } from './password-hash.ts';

/** How a Secret holds users: the text of an htpasswd file under the key `auth`, or a hash under the name of each user. */
export type PasswordFormat = 'htpasswd' | 'users';

export interface PasswordFile {
  /** The hash of each user, by name. Users whose hash is of no use have none here, and get in with no password. */
  readonly hashes: ReadonlyMap<string, string>;
  /** Where something is wrong, and what, without a byte of any hash: `line 3 has a hash that is too long`. */
  readonly faults: readonly string[];
}

/** What all threads hold of one file. */
export const MAX_FILE_BYTES = 64 * 1024;

const AUTH = 'auth';

/** Reads the users of a Secret; null when it is in the other form: without the key `auth`. */
export function readPasswordFile(data: SecretData, format: PasswordFormat): PasswordFile | null {
  switch (format) {
    case 'htpasswd': {
      const bytes = secretValue(data, AUTH);
      return bytes && readLines(bytes.toString());
    }
    case 'users':
      return readUsers(data);
  }
}

/** The bytes of a file in either form. */
export function passwordFileBytes(data: SecretData): number {
  return Object.entries(data).reduce((sum, [key, value]) => sum + key.length + value.length * 0.75, 0);
}

function readLines(text: string): PasswordFile {
  const hashes = new Map<string, string>();
  const faults: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const written = line.replace(/\r$/, '');
    if (written === '' || written.startsWith('#')) continue;
    // What follows a second colon is a comment.
    const [user = '', hash] = written.split(':', 2);
    if (hash === undefined || user === '') faults.push(`line ${index + 1} is not user:hash`);
    else take(user, hash, `line ${index + 1}`, hashes, faults);
  }
  return { hashes, faults };
}

function readUsers(data: SecretData): PasswordFile {
  const hashes = new Map<string, string>();
  const faults: string[] = [];
  for (const user of Object.keys(data)) {
    take(user, secretValue(data, user)?.toString().trim() ?? '', `key ${user}`, hashes, faults);
  }
  return { hashes, faults };
}

/** The first line of a user counts. */
function take(
  user: string,
  hash: string,
  where: string,
  hashes: Map<string, string>,
  faults: string[],
): void {
  const fault = hashFault(hash);
  if (fault !== null) faults.push(`${where} has a hash that ${fault}`);
  else if (!hashes.has(user)) hashes.set(user, hash);
}
