import { describe, expect, it } from 'vitest';
import { indexed, integer, literal, string, tableSize } from '../../../support/hpack.ts';
import {
  FLAG,
  FRAME,
  block,
  frame,
  frameClient,
  headers,
  requestFields,
  reset,
} from '../../../support/http2-frames.ts';
import { CONNECTION_COMPRESSION, IGNORED, type Outcome, answerOn, conforms, siteForAll } from './site.ts';

const site = siteForAll();
const SERVED: Outcome = { status: [200] };

/** `GET /ok` and what else there is in the block. */
function request(stream: number, ...more: Uint8Array[]): Buffer {
  return raw(stream, block(requestFields('GET', '/ok')), ...more);
}

function raw(stream: number, ...parts: Uint8Array[]): Buffer {
  return frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, stream, Buffer.concat(parts));
}

const whole = [indexed(2), indexed(6), literal('plain', 4, '/ok'), literal('plain', 1, 'app.test')];

describe('header blocks that say the same in other ways (RFC 7541 6)', () => {
  conforms(site, {
    'indexed, and literals with indexed names': { sends: [raw(1, ...whole)], outcome: SERVED },
    'literals that are never indexed': {
      sends: [
        raw(
          1,
          indexed(2),
          indexed(6),
          literal('never', 4, '/ok'),
          literal('never', ':authority', 'app.test'),
        ),
      ],
      outcome: SERVED,
    },
    'Huffman-coded literals of all kinds': {
      sends: [
        raw(
          1,
          ...[literal('never', ':method', 'GET', 'huffman'), literal('plain', ':scheme', 'http', 'huffman')],
          ...[
            literal('indexing', 4, '/ok', 'huffman'),
            literal('indexing', ':authority', 'app.test', 'huffman'),
          ],
        ),
        raw(3, indexed(2), indexed(6), indexed(63), indexed(62)),
      ],
      stream: 3,
      outcome: SERVED,
    },
    'a value without an octet, Huffman-coded or not': {
      sends: [request(1, literal('plain', 'x-empty', ''), literal('plain', 'x-empty', '', 'huffman'))],
      outcome: SERVED,
    },
    'numbers that are longer than they need to be': {
      sends: [
        raw(
          1,
          ...whole,
          Buffer.concat([Buffer.from([0]), string('x-y'), Buffer.from([0x7f, 0x80, 0x80, 0])]),
          Buffer.alloc(127, 'y'),
        ),
      ],
      outcome: SERVED,
    },
    'two changes of the table at the beginning': {
      sends: [raw(1, tableSize(0), tableSize(4096), ...whole)],
      outcome: SERVED,
    },
    'a field that is larger than the table empties it': {
      sends: [
        request(1, literal('indexing', 'x-one', '1')),
        request(3, literal('indexing', 'x-big', 'y'.repeat(4096))),
        request(5),
      ],
      stream: 5,
      outcome: SERVED,
    },
  });
});

describe('header blocks that do not decode (RFC 9113 4.3)', () => {
  const bad: Readonly<Record<string, Uint8Array>> = {
    'index 0': indexed(0),
    'an index beyond an empty table': indexed(62),
    'an index beyond any table': integer(1_000_000, 7, 0x80),
    'an index of more than 32 bits': Buffer.from([0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]),
    'an index that never ends': Buffer.from([0xff, ...Array<number>(20).fill(0xff)]),
    'a name beyond the table': literal('indexing', 62, 'evil'),
    'a name beyond the table, not to be indexed': literal('never', 62, 'evil'),
    'an index that stops short': Buffer.from([0xff, 0x80]),
    'a name that stops short': Buffer.from([0, 5, 0x65, 0x76]),
    'a value that is missing': Buffer.concat([Buffer.from([0]), string('x-evil')]),
    'a value that stops short': Buffer.concat([Buffer.from([0]), string('x-evil'), Buffer.from([9, 0x65])]),
    'a length of more than 32 bits': Buffer.concat([
      Buffer.from([0]),
      string('x-evil'),
      Buffer.from([0x7f, ...Array<number>(9).fill(0xff), 1]),
    ]),
    'a length of 2^32 + 1': Buffer.concat([Buffer.from([0]), integer(2 ** 32 + 1, 7, 0), Buffer.from('x')]),
    'Huffman code with the end of a string': Buffer.concat([
      Buffer.from([0]),
      string('x-evil'),
      Buffer.from([0x84, 0xff, 0xff, 0xff, 0xff]),
    ]),
    'Huffman code padded with zeros': Buffer.concat([
      Buffer.from([0]),
      string('x-evil'),
      string('0', 'huffman', '000'),
    ]),
    'Huffman code padded with eight ones': Buffer.concat([
      Buffer.from([0]),
      string('x-evil'),
      string('0', 'huffman', '1'.repeat(11)),
    ]),
    'a change of the table after a field': tableSize(0),
  };
  conforms(
    site,
    Object.fromEntries(
      Object.entries(bad).map(([what, bytes]) => [
        what,
        { sends: [raw(1, block(requestFields('GET', '/evil')), bytes)], outcome: CONNECTION_COMPRESSION },
      ]),
    ),
  );
  conforms(site, {
    'a table that is larger than was offered': {
      sends: [raw(1, tableSize(4097), ...whole)],
      outcome: CONNECTION_COMPRESSION,
    },
    'a table of more than 32 bits': {
      sends: [raw(1, integer(2 ** 40, 5, 0x20), ...whole)],
      outcome: CONNECTION_COMPRESSION,
    },
    'an entry that was there before the table was emptied': {
      sends: [
        request(1, literal('indexing', 'x-one', '1')),
        raw(3, tableSize(0), tableSize(4096), ...whole, indexed(62)),
      ],
      stream: 3,
      outcome: CONNECTION_COMPRESSION,
    },
    'an entry that a larger one has driven out': {
      sends: [
        request(1, literal('indexing', 'x-one', '1'), literal('indexing', 'x-big', 'y'.repeat(4050))),
        raw(3, ...whole, indexed(63)),
      ],
      stream: 3,
      outcome: CONNECTION_COMPRESSION,
    },
    'an entry that was larger than the table': {
      sends: [request(1, literal('indexing', 'x-big', 'y'.repeat(4096))), raw(3, ...whole, indexed(62))],
      stream: 3,
      outcome: CONNECTION_COMPRESSION,
    },
    trailers: {
      sends: [headers(1, requestFields('POST', '/sum'), FLAG.endHeaders), raw(1, indexed(0))],
      outcome: CONNECTION_COMPRESSION,
    },
    'the block of a stream that was refused': {
      sends: [headers(1, requestFields('GET', '/evil', ['connection', 'close'])), raw(3, indexed(70))],
      stream: 3,
      outcome: CONNECTION_COMPRESSION,
    },
  });
});

describe('one table for all blocks of a connection (RFC 9113 4.3)', () => {
  const entry = literal('indexing', 'x-kept', 'kept');
  /** A block that must be read although nothing comes of it, and which leaves an entry behind. */
  const lost: Readonly<Record<string, readonly Uint8Array[]>> = {
    'a request that is malformed': [
      raw(1, block(requestFields('GET', '/evil', ['connection', 'close'])), entry),
    ],
    'a request with an upper-case name': [
      raw(1, block(requestFields('GET', '/evil', ['X-Evil', 'y'])), entry),
    ],
    'a request without a host': [raw(1, indexed(2), indexed(6), entry)],
    'a request with too many fields': [
      raw(
        1,
        block(requestFields('GET', '/evil')),
        ...Array.from({ length: 500 }, () => literal('plain', 'x', 'y')),
        entry,
      ),
    ],
    'a request that was taken back': [request(1, entry), reset(1, 8)],
    trailers: [headers(1, requestFields('POST', '/sum'), FLAG.endHeaders), raw(1, entry)],
    'trailers that are malformed': [
      headers(1, requestFields('POST', '/ok'), FLAG.endHeaders),
      raw(1, block([[':path', '/evil']]), entry),
    ],
    'a block in pieces': [
      frame(FRAME.headers, FLAG.endStream, 1, block(requestFields('GET', '/ok'))),
      frame(FRAME.continuation, 0, 1, entry.subarray(0, 3)),
      frame(FRAME.continuation, FLAG.endHeaders, 1, entry.subarray(3)),
    ],
  };
  for (const [what, sends] of Object.entries(lost)) {
    it(`${what} leaves its entries behind`, async () => {
      const { proxy, pod, neighbourIsServed } = site();
      using client = await frameClient(proxy.port);
      client.send(
        ...sends,
        raw(3, ...whole.slice(0, 2), literal('plain', 4, '/ok?kept'), ...whole.slice(3), indexed(62)),
      );
      expect((await answerOn(client, 3)).status).toBe(200);
      const request = pod.requests.findLast(({ startLine }) => startLine.includes('/ok?kept'));
      expect(request?.field('x-kept')).toBe('kept');
      await neighbourIsServed();
    });
  }

  it('entries go in the order in which they came', async () => {
    const { proxy, pod } = site();
    using client = await frameClient(proxy.port);
    // 32 octets for each entry besides name and value: a hundred of them fit, and no more.
    const sized = (index: number): Buffer =>
      literal('indexing', `x-${String(index).padStart(3, '0')}`, 'v'.repeat(4));
    const all = Array.from({ length: 200 }, (_, index) => sized(index));
    for (let i = 0; i < 4; i++) client.send(request(1 + 2 * i, ...all.slice(50 * i, 50 * i + 50)));
    const fits = Math.floor(4096 / 41);
    client.send(
      raw(
        9,
        ...whole.slice(0, 2),
        literal('plain', 4, '/ok?order'),
        ...whole.slice(3),
        indexed(62),
        indexed(61 + fits),
      ),
    );
    expect((await answerOn(client, 9)).status).toBe(200);
    const fields = pod.requests.findLast(({ startLine }) => startLine.includes('/ok?order'))?.fields ?? [];
    const kept = fields.map(([name]) => name).filter((name) => /^x-\d/.test(name));
    expect(kept).toEqual(['x-199', `x-${200 - fits}`]);
    client.send(raw(11, ...whole, indexed(62 + fits)));
    await client.until(({ type }) => type === FRAME.goaway);
  });

  conforms(site, {
    'a table that shrinks keeps what came last': {
      sends: [
        request(1, literal('indexing', 'x-old', '1'.repeat(40)), literal('indexing', 'x-new', '2')),
        raw(3, tableSize(64), ...whole, indexed(62)),
      ],
      stream: 3,
      outcome: SERVED,
    },
    'a change of the table in trailers': {
      sends: [
        headers(1, requestFields('POST', '/sum'), FLAG.endHeaders),
        raw(1, tableSize(0), block([['x-sum', '1']])),
      ],
      outcome: SERVED,
    },
    'a block that is no more than a change of the table': {
      sends: [headers(1, requestFields('POST', '/sum'), FLAG.endHeaders), raw(1, tableSize(100))],
      outcome: { ...SERVED, ...IGNORED },
    },
  });
});
