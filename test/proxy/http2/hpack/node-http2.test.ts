import { createServer, type Http2Server, type ServerHttp2Session } from 'node:http2';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { HpackDecoder } from '../../../../src/proxy/http2/hpack/decoder.ts';
import { HpackEncoder, sizeBound } from '../../../../src/proxy/http2/hpack/encoder.ts';
import {
  FLAG,
  FRAME,
  type Frame,
  type FrameClient,
  frame,
  frameClient,
} from '../../../support/http2-frames.ts';
import { seededRandom } from '../../../support/random.ts';

/** nghttp2, as Node has it, reads what the encoder writes; the decoder reads what nghttp2 writes. */

const END = FLAG.endStream | FLAG.endHeaders;

/** A server that sends back in the response what it understood of the request. */
class Echo implements AsyncDisposable {
  readonly server: Http2Server;
  readonly session: Promise<ServerHttp2Session>;

  constructor(headerTableSize?: number) {
    this.server = createServer(headerTableSize === undefined ? {} : { settings: { headerTableSize } });
    this.session = once(this.server, 'session').then(([session]) => session as ServerHttp2Session);
    this.server.on('stream', (stream, _fields, _flags, raw) => {
      const back: Record<string, string[]> = {};
      for (let i = 0; i < raw.length; i += 2) {
        const name = (raw[i] ?? '').replace(/^:/, 'pseudo-');
        (back[name] ??= []).push(raw[i + 1] ?? '');
      }
      stream.respond({ ':status': 200, ...back }, { endStream: true });
    });
  }

  async connect(): Promise<FrameClient> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return frameClient((this.server.address() as AddressInfo).port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    (await this.session).destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

class Peer {
  readonly encoder = new HpackEncoder();
  readonly decoder = new HpackDecoder(4096, { headBytes: 64 * 1024, fieldCount: 200 });
  readonly client: FrameClient;
  #stream = 1;
  #seen = 0;

  constructor(client: FrameClient) {
    this.client = client;
  }

  /** Sends a request and returns the fields of its response. */
  async ask(fields: readonly string[]): Promise<readonly string[]> {
    const block = Buffer.alloc(sizeBound(fields));
    const stream = this.#stream;
    this.#stream += 2;
    const end = this.encoder.encode(fields, block, 0);
    this.client.send(frame(FRAME.headers, END, stream, block.subarray(0, end)));
    const { payload } = await this.client.until(
      ({ type, stream: on }) => on === stream && type === FRAME.headers,
    );
    const decoded = this.decoder.decode(payload, 0, payload.length);
    if (decoded.kind !== 'fields') throw new Error(decoded.kind);
    return decoded.fields;
  }

  /** Waits for the peer's next SETTINGS, obeys and acknowledges them. */
  async obey(): Promise<void> {
    const count = ++this.#seen;
    const isChange = ({ type, flags }: Frame): boolean => type === FRAME.settings && flags !== FLAG.ack;
    const { payload } = await this.client.until(
      (frame) => isChange(frame) && this.client.frames.filter(isChange)[count - 1] === frame,
    );
    this.client.send(frame(FRAME.settings, FLAG.ack, 0));
    for (let at = 0; at < payload.length; at += 6) {
      if (payload.readUInt16BE(at) === 1) this.encoder.setTableBytes(payload.readUInt32BE(at + 2));
    }
  }
}

const echoed = (fields: readonly string[]): Record<string, string[]> => {
  const byName: Record<string, string[]> = { ':status': ['200'] };
  fields.forEach((name, i) => {
    if (i % 2 === 0) (byName[name.replace(/^:/, 'pseudo-')] ??= []).push(fields[i + 1] ?? '');
  });
  return byName;
};

const grouped = (fields: readonly string[]): Record<string, string[]> => {
  const byName: Record<string, string[]> = {};
  fields.forEach((name, i) => {
    if (i % 2 === 0 && name !== 'date') (byName[name] ??= []).push(fields[i + 1] ?? '');
  });
  return byName;
};

/** Requests of which some fields come again, some never, so that the tables of both sides turn over many times. */
function requests(count: number): string[][] {
  const random = seededRandom(7541);
  const pick = (below: number): number => Math.floor(random() * below);
  // Every byte that a value may have, so that all lengths of Huffman codes occur.
  const visible = Array.from({ length: 0x5e }, (_, i) => String.fromCharCode(0x21 + i)).join('');
  const text = (length: number): string =>
    Array.from({ length }, () => visible.charAt(pick(visible.length))).join('');
  return Array.from({ length: count }, (_, i) => {
    const fields = [':method', i % 3 ? 'GET' : 'DELETE', ':scheme', i % 2 ? 'http' : 'https'];
    fields.push(
      ':path',
      i % 5 ? `/${text(pick(40)).replaceAll('#', '-')}` : '/',
      ':authority',
      `a${pick(3)}.test`,
    );
    fields.push('user-agent', `agent/${pick(4)}`, 'accept-encoding', i % 4 ? 'gzip, deflate' : 'br');
    if (i % 7 === 0) fields.push('authorization', `Bearer ${text(60)}`);
    if (i % 9 === 0) fields.push('x-long', text(300 + pick(4000)));
    if (i % 11 === 0) fields.push('x-empty', '');
    for (let n = pick(6); n > 0; n--) fields.push(`x-name-${pick(60)}`, text(pick(30)));
    for (let n = pick(3); n > 0; n--) fields.push(`x-again-${pick(10)}`, `value ${pick(5)}`);
    return fields;
  });
}

describe('nghttp2', () => {
  test.each([undefined, 0, 64, 300, 65_536])(
    'understands and is understood, with a table of %s',
    async (size) => {
      await using echo = new Echo(size);
      using client = await echo.connect();
      const peer = new Peer(client);
      await peer.obey();
      for (const fields of requests(200)) expect(grouped(await peer.ask(fields))).toEqual(echoed(fields));
    },
  );

  test('changes the size of the table again and again', async () => {
    await using echo = new Echo();
    using client = await echo.connect();
    const peer = new Peer(client);
    await peer.obey();
    const session = await echo.session;
    const all = requests(160);
    for (const [round, size] of [4096, 0, 128, 4096, 1000, 8192, 31, 32].entries()) {
      // Every other time there are two changes between two blocks: the smallest is to be told as well.
      if (round % 2) {
        session.settings({ headerTableSize: 16 });
        await peer.obey();
      }
      session.settings({ headerTableSize: size });
      await peer.obey();
      for (const fields of all.slice(round * 20, round * 20 + 20)) {
        expect(grouped(await peer.ask(fields))).toEqual(echoed(fields));
      }
    }
  });

  test('reads every byte of the Huffman code as it was written', async () => {
    await using echo = new Echo();
    using client = await echo.connect();
    const peer = new Peer(client);
    await peer.obey();
    // 0x80 and above, which nghttp2 codes when that makes it shorter: not often, so between letters.
    for (let byte = 0x80; byte < 0x100; byte++) {
      const fields = [':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'app.test'];
      fields.push('x', `aaaaaaaaaaaaaaaaa${String.fromCharCode(byte)}`);
      const answer = await peer.ask(fields);
      expect(answer).toContain(`aaaaaaaaaaaaaaaaa${String.fromCharCode(byte)}`);
    }
  });
});
