import { createHash } from 'node:crypto';

const MAX_LENGTH = 253;
const DIGEST_LENGTH = 8;

/** Gives names that are free, the same ones for the same wishes in the same order. */
export class ObjectNames {
  /** By `Kind namespace/name`, whose it is. */
  readonly #taken = new Map<string, string>();

  /** Keeps a name for an owner that will ask for it. */
  reserve(kind: string, namespace: string, name: string, owner: string): void {
    this.#taken.set(`${kind} ${namespace}/${name}`, owner);
  }

  /** The name, or where somebody else has it, or it is too long, one like it that nobody has. */
  take(kind: string, namespace: string, wanted: string, owner: string): string {
    for (let attempt = 0; ; attempt++) {
      const name = attempt === 0 ? shortened(wanted, owner) : withDigest(wanted, `${owner} ${attempt}`);
      const key = `${kind} ${namespace}/${name}`;
      const before = this.#taken.get(key);
      if (before !== undefined && before !== owner) continue;
      this.#taken.set(key, `taken by ${owner}`);
      return name;
    }
  }
}

/** A name of at most so many characters, that ends with a digest where it had to be cut. */
export function shortened(name: string, of: string): string {
  return name.length <= MAX_LENGTH ? name : withDigest(name, of);
}

function withDigest(name: string, of: string): string {
  const digest = createHash('sha256').update(`${name} ${of}`).digest('hex').slice(0, DIGEST_LENGTH);
  const kept = name.slice(0, MAX_LENGTH - DIGEST_LENGTH - 1).replace(/[.-]+$/, '');
  return `${kept}-${digest}`;
}
