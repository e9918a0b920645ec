/** What the first bytes of a TLS connection say of the host that is asked for. */
export type ServerName =
  /** The ClientHello is not all there. */
  | { readonly kind: 'more' }
  /** Null where no name is asked for, or the message is anything but plain. */
  | { readonly kind: 'known'; readonly name: string | null };

/** Of the message with what frames it. Those of browsers have 2 KiB; what is longer counts as one without a name. */
const MAX_BYTES = 18 * 1024;

const MORE: ServerName = { kind: 'more' };
const NO_NAME: ServerName = { kind: 'known', name: null };

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const HOST_NAME = 0;
const RECORD_HEAD = 5;
const MESSAGE_HEAD = 4;
const MAX_RECORD = 16_384;
const RANDOM = 32;

/**
 * The name in the server_name extension (RFC 6066 3) of a ClientHello (RFC 8446 4.1.2), whatever records it is cut
 * into. It judges nothing: OpenSSL reads the same bytes again, and a client that gets by with two meanings of them is held
 * up by the Host of his request.
 */
export function readServerName(bytes: Buffer): ServerName {
  const message = joinRecords(bytes);
  if (message === 'more') return bytes.length >= MAX_BYTES ? NO_NAME : MORE;
  return { kind: 'known', name: message === null ? null : nameIn(message) };
}

/** The first handshake message without what frames it; null when it is no ClientHello. */
function joinRecords(bytes: Buffer): Buffer | 'more' | null {
  const parts: Buffer[] = [];
  let gathered = 0;
  /** The length of the message with its head, once that is there. */
  let end: number | null = null;
  let at = 0;
  while (bytes.length - at >= RECORD_HEAD) {
    const length = bytes.readUInt16BE(at + 3);
    if (bytes[at] !== HANDSHAKE || bytes[at + 1] !== 3 || length === 0 || length > MAX_RECORD) return null;
    const part = bytes.subarray(at + RECORD_HEAD, at + RECORD_HEAD + length);
    parts.push(part);
    gathered += part.length;
    if (end === null && gathered >= MESSAGE_HEAD) {
      const head = Buffer.concat(parts, MESSAGE_HEAD);
      end = MESSAGE_HEAD + head.readUIntBE(1, 3);
      if (head[0] !== CLIENT_HELLO || end > MAX_BYTES) return null;
    }
    // Once, and not for each record: there may be thousands of one byte.
    if (end !== null && gathered >= end) return Buffer.concat(parts).subarray(MESSAGE_HEAD, end);
    if (part.length < length) return 'more';
    at += RECORD_HEAD + length;
  }
  return 'more';
}

function nameIn(message: Buffer): string | null {
  const reader = new Reader(message);
  if (reader.number(2) >> 8 !== 3) return null;
  reader.skip(RANDOM);
  reader.skip(reader.number(1)); // session id
  reader.skip(reader.number(2)); // cipher suites
  reader.skip(reader.number(1)); // compression methods
  if (reader.isOver) return null;
  const extensions = reader.part(2);
  if (!reader.isOver) return null;
  let name: string | null = null;
  let seen = false;
  while (!extensions.isOver) {
    const type = extensions.number(2);
    const extension = extensions.part(2);
    if (type !== SERVER_NAME) continue;
    if (seen) return null;
    seen = true;
    name = hostIn(extension);
  }
  return reader.ok && extensions.ok ? name : null;
}

/** Of the only entry of a server_name list. */
function hostIn(extension: Reader): string | null {
  const list = extension.part(2);
  const type = list.number(1);
  const name = list.part(2);
  if (!extension.isOver || !extension.ok || !list.isOver || !list.ok || type !== HOST_NAME) return null;
  const host = name.rest.toString('latin1');
  return /^[\w.-]{1,255}$/.test(host) ? host : null;
}

/** Reads numbers and parts one after the other. What goes over the end reads as nothing, and is not `ok`. */
class Reader {
  readonly #bytes: Buffer;
  #at = 0;
  ok = true;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isOver(): boolean {
    return this.#at >= this.#bytes.length;
  }

  get rest(): Buffer {
    return this.#bytes.subarray(this.#at);
  }

  number(length: 1 | 2): number {
    const at = this.#at;
    return this.skip(length) ? this.#bytes.readUIntBE(at, length) : 0;
  }

  /** What a length of so many bytes goes before. */
  part(lengthBytes: 1 | 2): Reader {
    const length = this.number(lengthBytes);
    const at = this.#at;
    const part = new Reader(this.skip(length) ? this.#bytes.subarray(at, at + length) : Buffer.alloc(0));
    part.ok = this.ok;
    return part;
  }

  skip(length: number): boolean {
    if (this.#bytes.length - this.#at < length) {
      this.ok = false;
      this.#at = this.#bytes.length;
      return false;
    }
    this.#at += length;
    return true;
  }
}
