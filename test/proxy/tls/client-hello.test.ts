import { type AddressInfo, createServer } from 'node:net';
import { type ConnectionOptions, connect } from 'node:tls';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { readServerName } from '../../../src/proxy/tls/client-hello.ts';
import { happens } from '../../support/until.ts';
import { examples } from '../../support/examples.ts';

/** The first bytes that a client of node:tls sends. */
async function helloOf(options: ConnectionOptions): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1');
  await happens(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect({ port, host: '127.0.0.1', ...options });
  client.on('error', () => undefined);
  const [socket] = await happens(server, 'connection');
  const [bytes] = await happens(socket, 'data');
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

const number = (value: number, length: number): Buffer => {
  const bytes = Buffer.alloc(length);
  bytes.writeUIntBE(value, 0, length);
  return bytes;
};
/** Behind its length. */
const vector = (length: number, ...parts: Buffer[]): Buffer => {
  const content = Buffer.concat(parts);
  return Buffer.concat([number(content.length, length), content]);
};
const extension = (type: number, content: Buffer): Buffer =>
  Buffer.concat([number(type, 2), vector(2, content)]);
const named = (name: string, type = 0): Buffer =>
  Buffer.concat([number(type, 1), vector(2, Buffer.from(name))]);
const serverName = (...names: Buffer[]): Buffer => extension(0, vector(2, ...names));
const SOME = extension(43, Buffer.from([2, 3, 4]));

function message(...extensions: Buffer[]): Buffer {
  const body = [
    number(0x0303, 2),
    Buffer.alloc(32, 7),
    vector(1, Buffer.alloc(32, 8)),
    vector(2, number(0x1301, 2)),
    vector(1, number(0, 1)),
  ];
  return Buffer.concat([number(1, 1), vector(3, ...body, vector(2, ...extensions))]);
}

/** In records of these lengths; the last one takes what is left. */
function records(bytes: Buffer, ...lengths: number[]): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (const length of [...lengths, bytes.length]) {
    const part = bytes.subarray(at, at + length);
    if (part.length > 0) parts.push(Buffer.concat([number(22, 1), number(0x0301, 2), vector(2, part)]));
    at += length;
  }
  return Buffer.concat(parts);
}

const nameIn = (bytes: Buffer): string | null | 'more' => {
  const read = readServerName(bytes);
  return read.kind === 'more' ? 'more' : read.name;
};
const hello = (...extensions: Buffer[]): string | null | 'more' => nameIn(records(message(...extensions)));

describe('the name in a ClientHello', () => {
  let real: Buffer;
  beforeAll(async () => {
    real = await helloOf({ servername: 'app.test', ALPNProtocols: ['h2', 'http/1.1'] });
  });

  it.each<[string, ConnectionOptions, string | null]>([
    ['TLS 1.3', { servername: 'App.test' }, 'App.test'],
    ['TLS 1.2', { servername: 'app.test', maxVersion: 'TLSv1.2' }, 'app.test'],
    ['no name', {}, null],
  ])('of a client of %s', async (_, options, name) => {
    expect(nameIn(await helloOf(options))).toBe(name);
  });

  it('is known when all is there, however it comes, and not before', () => {
    for (let end = 0; end < real.length; end++) expect(nameIn(real.subarray(0, end))).toBe('more');
    expect(nameIn(Buffer.concat([real, Buffer.from('what follows')]))).toBe('app.test');
    const whole = message(SOME, serverName(named('app.test')));
    for (let cut = 1; cut < whole.length; cut++) {
      const bytes = records(whole, cut);
      expect(nameIn(bytes)).toBe('app.test');
      expect(nameIn(bytes.subarray(0, -1))).toBe('more');
    }
    expect(nameIn(records(whole, ...Array<number>(whole.length).fill(1)))).toBe('app.test');
  });

  it('is none where anything is odd', () => {
    const good = serverName(named('app.test'));
    expect(hello(good, SOME)).toBe('app.test');
    expect(hello(SOME)).toBe(null);
    expect(hello(good, good)).toBe(null);
    expect(hello(serverName())).toBe(null);
    expect(hello(serverName(named('')))).toBe(null);
    expect(hello(serverName(named('a.test'), named('b.test')))).toBe(null);
    expect(hello(serverName(named('app.test', 1)))).toBe(null);
    expect(hello(serverName(named('app.test:443')))).toBe(null);
    expect(hello(serverName(named('app.test\0.evil.test')))).toBe(null);
    expect(hello(serverName(named('*.test')))).toBe(null);
    expect(hello(serverName(named('äpp.test')))).toBe(null);
    expect(hello(serverName(named('a'.repeat(256))))).toBe(null);
    expect(hello(extension(0, Buffer.concat([vector(2, named('app.test')), number(0, 1)])))).toBe(null);
    expect(hello(extension(0, Buffer.alloc(0)))).toBe(null);
    expect(hello(good, number(7, 1))).toBe(null);
    expect(hello(good, number(7, 2), number(9999, 2))).toBe(null);
  });

  it('is none where it is no ClientHello', () => {
    const whole = message(serverName(named('app.test')));
    const changed = (at: number, value: number): Buffer => {
      const bytes = records(whole);
      bytes[at] = value;
      return bytes;
    };
    expect(nameIn(changed(0, 23))).toBe(null);
    expect(nameIn(changed(1, 2))).toBe(null);
    expect(nameIn(changed(5, 2))).toBe(null);
    expect(nameIn(changed(9, 2))).toBe(null);
    expect(nameIn(Buffer.from([22, 3, 1, 0, 0]))).toBe(null);
    expect(nameIn(Buffer.from([22, 3, 1, 0x40, 1]))).toBe(null);
    expect(nameIn(Buffer.from('GET / HTTP/1.1\r\n\r\n'))).toBe(null);
    expect(nameIn(records(Buffer.concat([whole, whole]), 100))).toBe('app.test');
  });

  it('is none where the message has no end in sight', () => {
    const endless = records(Buffer.concat([Buffer.from([1, 0, 0x47, 0]), Buffer.alloc(20_000)]), 16_384);
    expect(nameIn(endless.subarray(0, 18_000))).toBe('more');
    expect(nameIn(endless.subarray(0, 18_432))).toBe(null);
    expect(nameIn(records(Buffer.from([1, 0xff, 0xff, 0xff])))).toBe(null);
    const padded = message(extension(21, Buffer.alloc(9_000)), serverName(named('app.test')));
    expect(nameIn(records(padded))).toBe('app.test');
    const drops = records(padded, ...Array<number>(padded.length).fill(1));
    expect(nameIn(drops.subarray(0, 18_000))).toBe('more');
    expect(nameIn(drops.subarray(0, 18_432))).toBe(null);
  });

  it('reads whatever comes without a fault, and never a name that is not there', () => {
    const spoiled = fc
      .array(fc.tuple(fc.nat(4000), fc.nat(255)), { minLength: 1, maxLength: 8 })
      .map((changes) => {
        const bytes = Buffer.from(real);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        return bytes;
      });
    const cut = fc.tuple(spoiled, fc.nat(4000)).map(([bytes, end]) => bytes.subarray(0, end % bytes.length));
    const noise = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes));
    const framed = noise.map((bytes) => records(Buffer.concat([Buffer.from([1, 0]), bytes])));
    fc.assert(
      fc.property(fc.oneof(spoiled, cut, noise, framed), (bytes) => {
        const found = nameIn(bytes);
        if (found !== null && found !== 'more') expect(bytes.includes(found)).toBe(true);
      }),
      { numRuns: examples(750) },
    );
  });
});
