import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { HTTP_PORT } from '../../support/daemon.ts';
import {
  CODE,
  type FieldList,
  FLAG,
  FRAME,
  type FrameClient,
  PREFACE,
  SETTING,
  block,
  blocks,
  data,
  frame,
  frameEnd,
  headers,
  number,
  ping,
  reset,
  settings,
  settingsOf,
  windowUpdate,
} from '../../support/http2-frames.ts';
import { ok } from '../../support/upstream.ts';
import type { Family, Scene } from '../scene.ts';
import { POISON, type Site, inTime } from '../site.ts';

/** A connection that is used for nothing good: what is sent on it, and what must become of it. */
interface Flood {
  readonly name: string;
  readonly first?: Uint8Array;
  /** Sent again and again, with the number of the round. */
  readonly piece: (round: number) => Uint8Array;
  readonly rounds: number;
}

const pseudo = (path: string, method = 'GET'): FieldList => [
  [':method', method],
  [':path', path],
  [':scheme', 'http'],
  [':authority', 'attacked.test'],
];
const get = (stream: number, ...more: FieldList): Buffer => headers(stream, [...pseudo('/held'), ...more]);
const post = (stream: number, ...more: FieldList): Buffer =>
  headers(stream, [...pseudo('/held', 'POST'), ...more], FLAG.endHeaders);
const odd = (round: number): number => 2 * round + 1;

/** Priority of a stream that depends on itself (RFC 9113 5.3.1 no longer forbids it; RFC 7540 did). */
const onItself = (stream: number): Buffer => Buffer.concat([number(stream), Buffer.from([0])]);
const withPriority = (stream: number): Buffer =>
  frame(
    FRAME.headers,
    FLAG.endHeaders | FLAG.endStream | FLAG.priority,
    stream,
    Buffer.concat([onItself(stream), block(pseudo('/held'))]),
  );

const FLOODS: readonly Flood[] = [
  {
    name: 'requests that are reset at once',
    piece: (round) => Buffer.concat([get(odd(round)), reset(odd(round), CODE.cancel)]),
    rounds: 5_000,
  },
  {
    name: 'windows of nothing, for which streams are reset',
    piece: (round) => Buffer.concat([post(odd(round)), windowUpdate(odd(round), 0)]),
    rounds: 5_000,
  },
  {
    name: 'malformed requests, for which streams are reset',
    piece: (round) => headers(odd(round), [...pseudo(POISON), ['X-Upper', 'y']]),
    rounds: 5_000,
  },
  { name: 'streams that depend on themselves', piece: (round) => withPriority(odd(round)), rounds: 5_000 },
  { name: 'more streams than there may be', piece: (round) => post(odd(round)), rounds: 5_000 },
  {
    name: 'CONTINUATION without an end',
    first: headers(1, pseudo('/held'), FLAG.endStream),
    piece: () => frame(FRAME.continuation, 0, 1, block([['x-more', 'y'.repeat(100)]])),
    rounds: 10_000,
  },
  {
    name: 'CONTINUATION with nothing in it',
    first: headers(1, pseudo('/held'), FLAG.endStream),
    piece: () => frame(FRAME.continuation, 0, 1),
    rounds: 10_000,
  },
  {
    name: 'DATA with nothing in it',
    first: post(1),
    piece: () => data(1, '', false),
    rounds: 30_000,
  },
  { name: 'SETTINGS', piece: () => settings(65_535), rounds: 5_000 },
  { name: 'PING', piece: () => ping(), rounds: 30_000 },
  {
    name: 'PRIORITY',
    piece: (round) => frame(FRAME.priority, 0, odd(round), Buffer.alloc(5)),
    rounds: 30_000,
  },
  { name: 'frames of an unknown type', piece: () => frame(0xbd, 0, 0), rounds: 30_000 },
];

/** Requests that say something else when they are written as HTTP/1.1, or that two readers could understand differently. */
const SMUGGLED: readonly (readonly [name: string, fields: FieldList])[] = [
  ['a line end in a value', [...pseudo('/'), ['x-a', `b\r\n\r\nGET ${POISON} HTTP/1.1`]]],
  ['a bare LF in a value', [...pseudo('/'), ['x-a', `b\nGET ${POISON} HTTP/1.1`]]],
  ['NUL in a value', [...pseudo(POISON), ['x-a', 'b\0c']]],
  ['a colon in a name', [...pseudo(POISON), ['x-a: b\r\nx-c', 'd']]],
  ['upper case in a name', [...pseudo(POISON), ['X-A', 'b']]],
  ['a request line in :path', pseudo(`/ HTTP/1.1\r\nHost: attacked.test\r\n\r\nGET ${POISON}`)],
  ['a blank in :path', pseudo(`/ ${POISON}`)],
  ['an empty :path', [...pseudo('')]],
  ['a :path without a slash', pseudo('poison')],
  ['a blank in :method', pseudo('/', `GET ${POISON} HTTP/1.1 `)],
  ['two :path', [...pseudo('/'), [':path', POISON]]],
  [
    'a pseudo-field behind a field',
    [...pseudo('/').slice(0, 3), ['x-a', 'b'], [':authority', 'attacked.test']],
  ],
  ['a pseudo-field of responses', [...pseudo(POISON), [':status', '200']]],
  ['transfer-encoding', [...pseudo(POISON, 'POST'), ['transfer-encoding', 'chunked']]],
  ['connection', [...pseudo(POISON), ['connection', 'close']]],
  ['te that is not trailers', [...pseudo(POISON), ['te', 'gzip']]],
  ['a host that is not :authority', [...pseudo(POISON), ['host', 'innocent.test']]],
  ['no host at all', pseudo(POISON).slice(0, 3)],
  ['user and password in :authority', [...pseudo(POISON).slice(0, 3), [':authority', 'a@attacked.test']]],
  ['a length without a body', [...pseudo(POISON, 'POST'), ['content-length', '5']]],
  ['two lengths', [...pseudo(POISON, 'POST'), ['content-length', '0'], ['content-length', '5']]],
  [
    'a cookie in 2,000 crumbs',
    [...pseudo(POISON), ...Array.from({ length: 2_000 }, () => ['cookie', 'a=b'] as const)],
  ],
];

/** Bytes that are no HTTP/2. */
const BROKEN: readonly (readonly [name: string, bytes: Uint8Array])[] = [
  ['a frame longer than there may be', frame(FRAME.data, 0, 1, Buffer.alloc(20_000))],
  ['DATA on stream 0', frame(FRAME.data, 0, 0, Buffer.from('x'))],
  ['a request on an even stream', get(2)],
  ['a window beyond all bounds', windowUpdate(0, 0x7fff_ffff)],
  [
    'a push by a client',
    frame(FRAME.pushPromise, FLAG.endHeaders, 1, Buffer.concat([number(2), block(pseudo('/'))])),
  ],
  [
    'a header block that does not decode',
    frame(
      FRAME.headers,
      FLAG.endHeaders | FLAG.endStream,
      1,
      Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    ),
  ],
  ['padding longer than its frame', frame(FRAME.data, FLAG.padded, 1, Buffer.from([255, 0]))],
  ['SETTINGS of seven octets', frame(FRAME.settings, 0, 0, Buffer.alloc(7))],
];

export const http2: Family = {
  name: 'http2',
  flags: ['--h2c'],
  respond({ startLine }) {
    if (startLine.includes('/held')) return null;
    return startLine.includes('/large') ? LARGE : undefined;
  },
  scenes: [
    ...FLOODS.map(flood),
    ...SMUGGLED.map(smuggled),
    ...BROKEN.map(broken),
    {
      name: 'a small block that unpacks to megabytes (HPACK bomb)',
      promise: 'is refused at the size of a head, whatever it is packed in',
      run: hpackBomb,
    },
    {
      name: 'windows of 0 for 2,000 large responses',
      promise: 'Pods are not read for clients that do not read: 2.5 MiB for each connection',
      fullOnly: true,
      run: zeroWindows,
    },
    {
      name: 'windows of 0 for 2,000 requests of 90 fields, an octet each',
      promise: 'a request costs what its fields take unpacked, and no more: 6 MiB for each connection',
      fullOnly: true,
      run: packedFields,
    },
  ],
};

const LARGE = ok('x'.repeat(3_000_000));

async function open(site: Site, first = settings()): Promise<FrameClient> {
  const socket = connect({ host: site.daemon.address, port: HTTP_PORT });
  const client = frameEnd(socket);
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  client.send(PREFACE, first);
  return client;
}

function flood({ name, first, piece, rounds }: Flood): Scene {
  return {
    name: `a flood: ${name}`,
    promise: 'the connection is ended, and nobody else notices',
    async run(site) {
      using client = await open(site);
      if (first) client.send(first);
      let round = 0;
      while (round < rounds && !client.socket.destroyed && client.socket.writable) {
        const pieces: Uint8Array[] = [];
        for (let i = 0; i < 100; i++) pieces.push(piece(round++));
        client.send(...pieces);
        // The client that floods reads, too: it would be told to stop.
        await new Promise((resolve) => setImmediate(resolve));
      }
      await inTime(client.closed, 'the connection was not ended');
      return site.poisoned() ? 'a poisoned request came to the Pod' : null;
    },
  };
}

function smuggled([name, fields]: (typeof SMUGGLED)[number]): Scene {
  return {
    name: `a request with ${name}`,
    promise: 'is refused; the Pod sees nothing of it',
    async run(site) {
      using client = await open(site);
      client.send(headers(1, fields));
      const end = await inTime(client.until(isEndOf(1)), 'no answer');
      if (site.poisoned()) return 'it came to the Pod';
      if (end.type !== FRAME.headers) return null;
      const status = statusOn(client, 1);
      return status >= 400 ? null : `it was answered with ${status}`;
    },
  };
}

function broken([name, bytes]: (typeof BROKEN)[number]): Scene {
  return {
    name,
    promise: 'ends the connection',
    async run(site) {
      using client = await open(site);
      client.send(bytes);
      await inTime(
        client.until(({ type }) => type === FRAME.goaway || type === FRAME.reset),
        'no error',
      );
      return null;
    },
  };
}

const isEndOf =
  (stream: number) =>
  ({ type, stream: of }: { type: number; stream: number }): boolean =>
    type === FRAME.goaway || (of === stream && (type === FRAME.reset || type === FRAME.headers));

function statusOn(client: FrameClient, stream: number): number {
  const found = blocks(client.frames).find((block) => block.stream === stream);
  return Number(found?.fields.find(([name]) => name === ':status')?.[1] ?? 0);
}

/** One large field in the dynamic table, and then an octet for each time that it is named (RFC 7541 6.1). */
async function hpackBomb(site: Site): Promise<string | null> {
  using client = await open(site);
  const value = Buffer.alloc(3_900, 'x');
  const stored = Buffer.concat([
    Buffer.from([0x40, 1]),
    Buffer.from('b'),
    Buffer.from([127, 0xbd, 0x1d]),
    value,
  ]);
  const named = Buffer.alloc(4_000, 0x80 | 62);
  client.send(
    frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, 1, Buffer.concat([block(pseudo('/')), stored])),
  );
  for (let round = 1; round <= 50; round++) {
    const fields = Buffer.concat([block(pseudo(POISON)), named]);
    client.send(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, odd(round), fields));
  }
  await inTime(client.until(isEndOf(odd(1))), 'no answer');
  return site.poisoned() ? 'it came to the Pod' : null;
}

const CONNECTIONS = 20;
const STREAMS = 100;

function zeroWindows(site: Site): Promise<string | null> {
  return held(site, 2.5, (client) => {
    for (let i = 0; i < STREAMS; i++) client.send(headers(odd(i), pseudo('/large')));
  });
}

/** What takes one octet on the wire is a hundred in a request. */
function packedFields(site: Site): Promise<string | null> {
  return held(site, 6, (client) => {
    const stored = Buffer.concat([
      Buffer.from([0x40, 1]),
      Buffer.from('b'),
      Buffer.from([100]),
      Buffer.alloc(100, 'x'),
    ]);
    const named = Buffer.alloc(90, 0x80 | 62);
    for (let i = 0; i < STREAMS; i++) {
      const fields = Buffer.concat([block(pseudo('/held')), i === 0 ? stored : named]);
      client.send(frame(FRAME.headers, FLAG.endHeaders | FLAG.endStream, odd(i), fields));
    }
  });
}

/** What the process holds while clients with windows of 0 have made these requests, `mostMiB` for each of them. */
async function held(site: Site, mostMiB: number, ask: (client: FrameClient) => void): Promise<string | null> {
  const before = site.residentMiB();
  const asked = site.pod.connections.length;
  const clients: FrameClient[] = [];
  try {
    for (let i = 0; i < CONNECTIONS; i++)
      clients.push(await open(site, settingsOf([SETTING.initialWindowSize, 0])));
    for (const client of clients) ask(client);
    await inTime(site.pod.connection(asked), 'the Pod was never asked');
    // What is held settles in a moment, and is held for much longer.
    await pause(3_000);
    const each = (site.residentMiB() - before) / CONNECTIONS;
    return each > mostMiB ? `each connection makes the process hold ${each.toFixed(1)} MiB` : null;
  } finally {
    for (const client of clients) client[Symbol.dispose]();
  }
}
