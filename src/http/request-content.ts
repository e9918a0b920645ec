/** The body of a request, for policies that send it to another server, too. */
export interface RequestContent {
  /** Whether there is one, even if it turns out to be empty. */
  readonly exists: boolean;
  /**
   * A copy of what has come and of what comes, for a subrequest. The request does not wait for it: where a server does not take
   * it in time, the copy is lost. It counts for the namespace. A policy must not wait for the answer to such a
   * subrequest: what is left of a long body is read only when all policies have been asked.
   */
  copy(namespace: string): CopiedContent;
  /**
   * A copy of all of it once it has come, with its length; null where there is no room for it. For policies whose config
   * has the engine read it first (`external-auth-filter`): otherwise it may never come.
   */
  whole(namespace: string): Promise<CopiedContent | null>;
}

/** What a subrequest sends as its body. */
export interface CopiedContent {
  /** Bytes in all; null while only the end will tell. */
  readonly length: number | null;
  /** Bytes that are held for it until it is dropped, and are not counted elsewhere: its sender counts them. */
  readonly uncountedBytes: number;
  /** Bytes that `next` has not given. */
  readonly waiting: number;
  /** All of it has come; `next` may have some of it left. */
  readonly isWhole: boolean;
  /** Tells one reader of what comes from now on. */
  read(reader: ContentReader): void;
  /** The next bytes, the reader's from now on; null before more come. */
  next(): Buffer | null;
  /** Gives all from the beginning again; false where some of it was let go. */
  rewind(): boolean;
  /** Nothing of it is needed any more. */
  drop(): void;
}

export interface ContentReader {
  /** More has come, or the end. */
  onCopied(): void;
  /** The rest will not come: nobody took what came before, or the client has left. */
  onCopyLost(reason: 'behind' | 'client-gone'): void;
}

const EMPTY: CopiedContent = {
  length: 0,
  uncountedBytes: 0,
  waiting: 0,
  isWhole: true,
  read() {},
  next: () => null,
  rewind: () => true,
  drop() {},
};

/** What a policy says itself, as a body. */
export class OwnContent implements CopiedContent {
  readonly isWhole = true;
  readonly #bytes: Buffer;
  #isGiven = false;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get length(): number {
    return this.#bytes.length;
  }

  get uncountedBytes(): number {
    return this.#bytes.length;
  }

  get waiting(): number {
    return this.#isGiven ? 0 : this.#bytes.length;
  }

  read(): void {}

  next(): Buffer | null {
    if (this.#isGiven) return null;
    this.#isGiven = true;
    return this.#bytes;
  }

  rewind(): boolean {
    this.#isGiven = false;
    return true;
  }

  drop(): void {}
}

/** Of a request without a body. */
export const NO_CONTENT: RequestContent = {
  exists: false,
  copy: () => EMPTY,
  whole: () => Promise.resolve(EMPTY),
};
