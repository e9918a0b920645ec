import { describe, expect, it } from 'vitest';
import { indexed, literal } from '../../../support/hpack.ts';
import {
  CODE,
  FLAG,
  FRAME,
  type FrameClient,
  block,
  data,
  frame,
  frameClient,
  headers,
  ping,
  requestFields,
  reset,
  settings,
  settingsOf,
  windowUpdate,
} from '../../../support/http2-frames.ts';
import { answerOn, siteForAll } from './site.ts';

const BATCH = 100;
/** Of an attack: more than any limit, and few enough that a proxy without limits fails soon. */
const MOST_BATCHES = 500;

const get = (stream: number, path = '/ok'): Buffer => headers(stream, requestFields('GET', path));
const post = (stream: number): Buffer => headers(stream, requestFields('POST', '/held'), FLAG.endHeaders);
const continuation = (bytes: Uint8Array = Buffer.alloc(0)): Buffer => frame(FRAME.continuation, 0, 1, bytes);
const UNKNOWN_SETTING = 0x4000;

describe('a flood costs the attacker the connection, while a neighbour is served (RFC 9113 10.5)', () => {
  const site = siteForAll({ bodyIdleTimeoutMs: 600_000, keepAliveIdleTimeoutMs: 600_000 });

  interface Flood {
    /** Once, before. */
    readonly first?: Uint8Array;
    /** Over and over, with the number of the round from 0. */
    readonly piece: (round: number) => Uint8Array;
    /** The attacker does not even read. */
    readonly deaf?: true;
  }
  const odd = (round: number): number => 2 * round + 1;
  const huge = literal('indexing', 'x-huge', 'y'.repeat(3_900));
  const floods: Readonly<Record<string, Flood>> = {
    'rapid reset': { piece: (round) => Buffer.concat([get(odd(round)), reset(odd(round), CODE.cancel)]) },
    'rapid reset, with bodies under way': {
      piece: (round) =>
        Buffer.concat([post(odd(round)), data(odd(round), 'x', false), reset(odd(round), CODE.cancel)]),
    },
    'rapid reset, with priorities and PING in between': {
      piece: (round) =>
        Buffer.concat([
          get(odd(round)),
          frame(FRAME.priority, 0, odd(round), Buffer.alloc(5)),
          reset(odd(round), CODE.cancel),
        ]),
    },
    'resets that we are made to send: windows of nothing': {
      piece: (round) => Buffer.concat([post(odd(round)), windowUpdate(odd(round), 0)]),
    },
    'resets that we are made to send: windows beyond all bounds': {
      piece: (round) => Buffer.concat([post(odd(round)), windowUpdate(odd(round), 0x7fff_ffff)]),
    },
    'resets that we are made to send: malformed requests': {
      piece: (round) => headers(odd(round), requestFields('GET', '/evil', ['X-Evil', 'y'])),
    },
    'resets that we are made to send: DATA after the end': {
      piece: (round) => Buffer.concat([get(odd(round), '/held'), data(odd(round), 'x', false)]),
    },
    'more streams than there may be': { piece: (round) => post(odd(round)) },
    'CONTINUATION with fields': {
      first: headers(1, requestFields(), FLAG.endStream),
      piece: () => continuation(block([['x-more', 'y'.repeat(100)]])),
    },
    'CONTINUATION with nothing': {
      first: headers(1, requestFields(), FLAG.endStream),
      piece: () => continuation(),
    },
    'CONTINUATION of trailers': {
      first: Buffer.concat([post(1), headers(1, [], FLAG.endStream)]),
      piece: () => continuation(Buffer.from([0])),
    },
    'DATA with nothing': { first: post(1), piece: () => data(1, '', false) },
    SETTINGS: { piece: () => settings(65_535) },
    'SETTINGS, many at a time': {
      piece: () =>
        settingsOf(...Array.from({ length: 100 }, (_, index) => [UNKNOWN_SETTING + index, 1] as const)),
    },
    'SETTINGS of the table, back and forth': {
      piece: (round) => settingsOf([1, round % 2 === 0 ? 0 : 4096]),
    },
    PING: { piece: () => ping() },
    'PING, without reading what comes back': { piece: () => ping(), deaf: true },
    'SETTINGS, without reading what comes back': { piece: () => settings(65_535), deaf: true },
    PRIORITY: { piece: (round) => frame(FRAME.priority, 0, odd(round), Buffer.alloc(5)) },
    'windows by the octet': {
      first: post(1),
      piece: () => Buffer.concat([windowUpdate(0, 1), windowUpdate(1, 1)]),
    },
    'frames nobody knows': { piece: () => frame(0xbd, 0, 0) },
    'header blocks that grow': {
      first: frame(FRAME.headers, 5, 1, Buffer.concat([block(requestFields()), huge])),
      piece: (round) =>
        frame(
          FRAME.headers,
          5,
          odd(round + 1),
          Buffer.concat([block(requestFields('GET', '/evil')), ...Array<Buffer>(200).fill(indexed(62))]),
        ),
    },
    'cookies by the crumb': {
      first: frame(
        FRAME.headers,
        5,
        1,
        Buffer.concat([block(requestFields()), literal('indexing', 'cookie', 'a=b')]),
      ),
      piece: (round) =>
        frame(
          FRAME.headers,
          5,
          odd(round + 1),
          Buffer.concat([block(requestFields('GET', '/evil')), ...Array<Buffer>(2_000).fill(indexed(62))]),
        ),
    },
  };

  async function attack(
    client: FrameClient,
    { first, piece, deaf }: Flood,
    served: () => Promise<void>,
  ): Promise<void> {
    if (first) client.send(first);
    if (deaf) client.socket.pause();
    let round = 0;
    for (let batch = 0; batch < MOST_BATCHES && !client.socket.destroyed; batch++) {
      client.send(...Array.from({ length: BATCH }, () => piece(round++)));
      if (batch % 10 === 0) await served();
      else await new Promise((resolve) => setImmediate(resolve));
      // What is said to it at the end.
      if (client.frames.some(({ type }) => type === FRAME.goaway)) break;
    }
    if (deaf) client.socket.resume();
    await client.closed;
  }

  for (const [what, flood] of Object.entries(floods)) {
    it(what, async () => {
      const { proxy, pod, neighbourIsServed } = site();
      using client = await frameClient(proxy.port);
      await attack(client, flood, neighbourIsServed);
      await neighbourIsServed();
      expect(pod.requests.filter(({ startLine }) => startLine.includes('evil'))).toEqual([]);
    });
  }
});

describe('what nobody minds', () => {
  const site = siteForAll();

  it('a client that asks a thousand times, and takes back one of three', async () => {
    using client = await frameClient(site().proxy.port);
    for (let stream = 1; stream < 2_000; stream += 2) {
      client.send(get(stream));
      if (stream % 3 === 0) client.send(reset(stream, CODE.cancel));
      else await answerOn(client, stream);
    }
    expect(client.frames.filter(({ type }) => type === FRAME.goaway)).toEqual([]);
  });
});
