import { createBrotliCompress, createGzip, createZstdCompress, constants as zlib } from 'node:zlib';
import type { ContentEncoding } from '../http/response-edit.ts';
import type { Downstream } from './downstream/downstream.ts';
import { NO_TRAILERS } from './http2/fields.ts';

/** The exchange whose content is encoded. */
export interface EncodedExchange {
  awaitClient(): void;
  pauseUpstream(): void;
  resumeUpstream(): void;
  onAllEncoded(): void;
  onFault(fault: unknown): void;
}

/** What an encoder takes at most; the windows below are chosen so. */
const ENCODER_BYTES = 512 * 1024;
const MOST_ENCODERS = 128;
const MOST_ENCODERS_OF_NAMESPACE = 64;

/** The encoders that one data-plane thread has room for. Beyond it content stays as it is. */
export class EncoderRoom {
  readonly #byNamespace = new Map<string, number>();
  #open = 0;

  hasRoom(namespace: string): boolean {
    return this.#open < MOST_ENCODERS && this.#of(namespace) < MOST_ENCODERS_OF_NAMESPACE;
  }

  take(namespace: string): void {
    this.#open++;
    this.#byNamespace.set(namespace, this.#of(namespace) + 1);
  }

  giveBack(namespace: string): void {
    this.#open--;
    const left = this.#of(namespace) - 1;
    if (left > 0) this.#byNamespace.set(namespace, left);
    else this.#byNamespace.delete(namespace);
  }

  #of(namespace: string): number {
    return this.#byNamespace.get(namespace) ?? 0;
  }
}

/**
 * Encodes the content of one response in a thread of Node's own, and writes it to the client. The upstream waits while the
 * client takes nothing, and while what it sent waits to be encoded.
 */
export class ContentEncoder {
  readonly #client: Downstream;
  readonly #record: { responseBytes: number };
  readonly #room: EncoderRoom;
  readonly #namespace: string;
  readonly #stream: ReturnType<typeof streamOf>;
  /** Of a stream, each piece is passed on when it comes; null for content of known length, which gains nothing by it. */
  readonly #flushKind: number | null;
  #hasUnflushed = false;
  /** The client has not taken what it was sent. */
  clientWaits = false;
  #isClosed = false;

  constructor(
    { coding, level }: ContentEncoding,
    isStream: boolean,
    client: Downstream,
    record: { responseBytes: number },
    room: EncoderRoom,
    namespace: string,
  ) {
    this.#client = client;
    this.#record = record;
    this.#room = room;
    this.#namespace = namespace;
    room.take(namespace);
    client.memory.add(ENCODER_BYTES);
    this.#flushKind = isStream ? FLUSH[coding] : null;
    this.#stream = streamOf({ coding, level });
  }

  /** To be called once, before anything is written. */
  writeTo(exchange: EncodedExchange): this {
    const unlessClosed =
      <A extends unknown[]>(step: (...args: A) => void) =>
      (...args: A): void => {
        try {
          if (!this.#isClosed) step(...args);
        } catch (fault) {
          exchange.onFault(fault);
        }
      };
    this.#stream.on(
      'data',
      unlessClosed((bytes: Buffer) => {
        this.#record.responseBytes += bytes.length;
        this.#client.content(bytes, 0, bytes.length, 'chunked');
        this.#send(exchange);
      }),
    );
    this.#stream.on(
      'drain',
      unlessClosed(() => {
        if (!this.clientWaits) exchange.resumeUpstream();
      }),
    );
    this.#stream.on(
      'end',
      unlessClosed(() => {
        // Those of the upstream may be about the other bytes.
        this.#client.done(NO_TRAILERS, 'chunked');
        this.#client.send();
        exchange.onAllEncoded();
      }),
    );
    this.#stream.on(
      'error',
      unlessClosed((error) => exchange.onFault(error)),
    );
    return this;
  }

  /** The bytes are another's when the call returns. */
  write(bytes: Buffer, from: number, to: number): void {
    this.#hasUnflushed = true;
    this.#stream.write(Buffer.from(bytes.subarray(from, to)));
  }

  /** No more comes of this read. */
  flush(exchange: EncodedExchange): void {
    if (this.#flushKind !== null && this.#hasUnflushed) this.#stream.flush(this.#flushKind);
    this.#hasUnflushed = false;
    this.#send(exchange);
  }

  onClientDrain(exchange: EncodedExchange): void {
    this.clientWaits = false;
    this.#client.onDrained();
    this.#readOn(exchange);
  }

  /** No more comes. */
  end(): void {
    this.#stream.end();
  }

  /** Again does nothing. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#client.memory.add(-ENCODER_BYTES);
    this.#room.giveBack(this.#namespace);
    this.#stream.destroy();
  }

  #send(exchange: EncodedExchange): void {
    const isWritable = this.#client.send();
    if (this.clientWaits) return;
    if (isWritable) return this.#readOn(exchange);
    this.clientWaits = true;
    exchange.awaitClient();
  }

  #readOn(exchange: EncodedExchange): void {
    if (this.#stream.writableNeedDrain) exchange.pauseUpstream();
    else exchange.resumeUpstream();
  }
}

/** Passes on all that was written, in as few bytes as can be. */
const FLUSH = {
  gzip: zlib.Z_SYNC_FLUSH,
  br: zlib.BROTLI_OPERATION_FLUSH,
  zstd: zlib.ZSTD_e_flush,
} as const;

function streamOf({ coding, level }: ContentEncoding) {
  switch (coding) {
    case 'gzip':
      return createGzip({ level });
    case 'br':
      return createBrotliCompress({
        params: { [zlib.BROTLI_PARAM_QUALITY]: level, [zlib.BROTLI_PARAM_LGWIN]: 18 },
      });
    case 'zstd':
      return createZstdCompress({
        params: { [zlib.ZSTD_c_compressionLevel]: level, [zlib.ZSTD_c_windowLog]: 18 },
      });
    default:
      return coding satisfies never;
  }
}
