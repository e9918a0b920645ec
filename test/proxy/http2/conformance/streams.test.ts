import { describe, expect, it } from 'vitest';
import {
  CODE,
  FLAG,
  FRAME,
  block,
  data,
  frame,
  frameClient,
  headers,
  number,
  ping,
  requestFields,
  reset,
  windowUpdate,
} from '../../../support/http2-frames.ts';
import { until } from '../../../support/until.ts';
import {
  CONNECTION_FRAME_SIZE,
  CONNECTION_PROTOCOL,
  IGNORED,
  MALFORMED,
  type Outcome,
  answerOn,
  conforms,
  goesOn,
  siteForAll,
} from './site.ts';

const site = siteForAll();
const get = (stream: number, path = '/ok'): Buffer => headers(stream, requestFields('GET', path));
const upload = (stream: number, path = '/sum'): Buffer =>
  headers(stream, requestFields('POST', path), FLAG.endHeaders);
const priority = (stream: number, on: number, weight = 15): Buffer =>
  frame(FRAME.priority, 0, stream, Buffer.concat([number(on), Buffer.from([weight])]));
const fragment = (stream: number, bytes: Uint8Array, flags = 0): Buffer =>
  frame(FRAME.continuation, flags, stream, bytes);
const evil = block(requestFields('GET', '/evil'));

const CLOSED: Outcome = { stream: [CODE.streamClosed], connection: [CODE.streamClosed] };

describe('stream identifiers (RFC 9113 5.1.1)', () => {
  conforms(site, {
    'of the server': { sends: [get(2, '/evil')], outcome: CONNECTION_PROTOCOL },
    'of the connection': { sends: [get(0, '/evil')], outcome: CONNECTION_PROTOCOL },
    'lower than one before': {
      sends: [get(5), get(3, '/evil')],
      outcome: { connection: [CODE.protocolError, CODE.streamClosed] },
    },
    'with gaps': { sends: [get(1), get(7), get(99)], outcome: IGNORED },
    'in use twice': {
      sends: [get(1, '/held'), get(1, '/evil')],
      outcome: { stream: [CODE.streamClosed], connection: [CODE.streamClosed, CODE.protocolError] },
    },
  });

  it('may be the highest there is', async () => {
    using client = await frameClient(site().proxy.port);
    client.send(get(0x7fff_ffff));
    expect((await answerOn(client, 0x7fff_ffff)).status).toBe(200);
    await site().neighbourIsServed();
  });
});

describe('a stream that is idle (RFC 9113 5.1)', () => {
  conforms(site, {
    DATA: { sends: [data(1, 'x', true)], outcome: CONNECTION_PROTOCOL },
    RST_STREAM: { sends: [reset(1, CODE.cancel)], outcome: CONNECTION_PROTOCOL },
    WINDOW_UPDATE: { sends: [windowUpdate(1, 100)], outcome: CONNECTION_PROTOCOL },
    CONTINUATION: { sends: [fragment(1, evil, FLAG.endHeaders)], outcome: CONNECTION_PROTOCOL },
    'DATA, beside others': {
      sends: [get(1, '/held'), data(3, 'x', true)],
      stream: 3,
      outcome: CONNECTION_PROTOCOL,
    },
    PRIORITY: { sends: [priority(5, 0), get(1), priority(3, 5), get(3)], outcome: IGNORED },
    'RST_STREAM on a stream of the server': { sends: [reset(2, CODE.cancel)], outcome: CONNECTION_PROTOCOL },
  });
});

describe('a stream whose request is over (RFC 9113 5.1)', () => {
  const over = get(1, '/held');
  conforms(site, {
    DATA: { sends: [over, data(1, 'evil', true)], outcome: CLOSED },
    'DATA without an octet': { sends: [over, data(1, '', false)], outcome: CLOSED },
    HEADERS: {
      sends: [over, headers(1, [['x-evil', 'evil']])],
      outcome: { ...CLOSED, connection: [CODE.streamClosed, CODE.protocolError] },
    },
    CONTINUATION: { sends: [over, fragment(1, evil, FLAG.endHeaders)], outcome: CONNECTION_PROTOCOL },
    'WINDOW_UPDATE, PRIORITY': { sends: [over, windowUpdate(1, 100), priority(1, 0)], outcome: IGNORED },
  });

  it('RST_STREAM takes the request from the pod, and no other', async () => {
    const { proxy, pod } = site();
    using client = await frameClient(proxy.port);
    const before = new Set(pod.connections.filter(({ text }) => text.includes('/held')));
    client.send(get(1, '/held'));
    const taken = () => pod.connections.find((each) => !before.has(each) && each.text.includes('/held'));
    await until(() => taken() !== undefined, 'the request is at the pod');
    client.send(reset(1, CODE.cancel));
    await goesOn(client);
    expect(await taken()?.ended).toMatch(/^(end|reset)$/);
  });
});

describe('DATA, HEADERS and their padding (RFC 9113 6.1, 6.2)', () => {
  const padded = (type: number, flags: number, payload: Uint8Array): Buffer =>
    frame(type, flags | FLAG.padded, 1, payload);
  const fields = block(requestFields('GET', '/ok'));
  const bad = { connection: [CODE.protocolError, CODE.frameSizeError] };
  conforms(site, {
    'padded DATA': {
      sends: [
        upload(1),
        padded(FRAME.data, 0, Buffer.from('\x03abc\0\0\0')),
        padded(FRAME.data, FLAG.endStream, Buffer.from('\0')),
      ],
      outcome: { status: [200] },
    },
    'padded HEADERS': {
      sends: [padded(FRAME.headers, 5, Buffer.concat([Buffer.from([200]), fields, Buffer.alloc(200)]))],
      outcome: { status: [200] },
    },
    'padded HEADERS with a priority': {
      sends: [
        padded(
          FRAME.headers,
          5 | FLAG.priority,
          Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 15]), fields, Buffer.alloc(2)]),
        ),
      ],
      outcome: { status: [200] },
    },
    'DATA with no more than padding': {
      sends: [upload(1), padded(FRAME.data, FLAG.endStream, Buffer.from([3, 0, 0, 0]))],
      outcome: { status: [200] },
    },
    'DATA with more padding than there is': {
      sends: [upload(1), padded(FRAME.data, 1, Buffer.from([4, 0, 0, 0]))],
      outcome: CONNECTION_PROTOCOL,
    },
    'DATA that is padded by nothing it has': {
      sends: [upload(1), padded(FRAME.data, 1, Buffer.alloc(0))],
      outcome: bad,
    },
    'HEADERS with more padding than there is': {
      sends: [padded(FRAME.headers, 5, Buffer.concat([Buffer.from([255]), evil]))],
      outcome: CONNECTION_PROTOCOL,
    },
    'HEADERS with padding where the priority is': {
      sends: [padded(FRAME.headers, 5 | FLAG.priority, Buffer.from([1, 0, 0, 0, 0, 0]))],
      outcome: bad,
    },
    'HEADERS that are padded by nothing they have': {
      sends: [padded(FRAME.headers, 5, Buffer.alloc(0))],
      outcome: bad,
    },
    'HEADERS with half a priority': {
      sends: [frame(FRAME.headers, 5 | FLAG.priority, 1, Buffer.alloc(4))],
      outcome: bad,
    },
    'DATA of the connection': { sends: [data(0, 'x', false)], outcome: CONNECTION_PROTOCOL },
    'PUSH_PROMISE of a client': {
      sends: [
        get(1, '/held'),
        frame(FRAME.pushPromise, FLAG.endHeaders, 1, Buffer.concat([number(2), evil])),
      ],
      outcome: CONNECTION_PROTOCOL,
    },
  });
});

describe('PRIORITY (RFC 9113 5.3, 6.3)', () => {
  // RFC 9113 has no more priorities; RFC 7540 5.3.1 had an error of the stream.
  const itself: Outcome = { ignored: true, stream: [CODE.protocolError], connection: [CODE.protocolError] };
  const depending = Buffer.concat([number(1), Buffer.from([15]), block(requestFields('GET', '/ok'))]);
  conforms(site, {
    'of the connection': { sends: [priority(0, 1)], outcome: CONNECTION_PROTOCOL },
    'of any kind': {
      sends: [get(1, '/held'), priority(1, 3, 0), priority(1, 0x8000_0000, 255), priority(9, 11)],
      outcome: IGNORED,
    },
    'of four octets': {
      sends: [get(1, '/held'), frame(FRAME.priority, 0, 1, Buffer.alloc(4))],
      outcome: { stream: [CODE.frameSizeError], connection: [CODE.frameSizeError] },
    },
    'of six octets': {
      sends: [get(1, '/held'), frame(FRAME.priority, 0, 1, Buffer.alloc(6))],
      outcome: { stream: [CODE.frameSizeError], connection: [CODE.frameSizeError] },
    },
    'of a stream under itself': { sends: [get(1, '/held'), priority(1, 1)], outcome: itself },
    'of a stream under itself, in its HEADERS': {
      sends: [frame(FRAME.headers, 5 | FLAG.priority, 1, depending)],
      outcome: { ...itself, status: [200] },
    },
  });
});

describe('RST_STREAM (RFC 9113 6.4)', () => {
  conforms(site, {
    'of the connection': { sends: [reset(0, CODE.cancel)], outcome: CONNECTION_PROTOCOL },
    'of three octets': {
      sends: [upload(1), frame(FRAME.reset, 0, 1, Buffer.alloc(3))],
      outcome: CONNECTION_FRAME_SIZE,
    },
    'of five octets': {
      sends: [upload(1), frame(FRAME.reset, 0, 1, Buffer.alloc(5))],
      outcome: CONNECTION_FRAME_SIZE,
    },
  });
});

describe('CONTINUATION (RFC 9113 6.10)', () => {
  const fields = block(requestFields('GET', '/ok', ['x-long', 'y'.repeat(200)]));
  const begun = frame(FRAME.headers, FLAG.endStream, 1, evil.subarray(0, 5));
  const rest = fragment(1, evil.subarray(5), FLAG.endHeaders);
  conforms(site, {
    'octet by octet': {
      sends: [
        frame(FRAME.headers, FLAG.endStream, 1, fields.subarray(0, -24)),
        ...[...fields.subarray(-24)].map((octet) => fragment(1, Buffer.from([octet]))),
        fragment(1, Buffer.alloc(0), FLAG.endHeaders),
      ],
      outcome: { status: [200] },
    },
    'in seven pieces': {
      sends: [
        frame(FRAME.headers, FLAG.endStream, 1, fields.subarray(0, fields.length - 6)),
        ...[...fields.subarray(-6)].map((octet) => fragment(1, Buffer.from([octet]))),
        fragment(1, Buffer.alloc(0), FLAG.endHeaders),
      ],
      outcome: { status: [200] },
    },
    'with everything, after HEADERS with nothing': {
      sends: [
        frame(FRAME.headers, FLAG.endStream, 1),
        fragment(1, Buffer.alloc(0)),
        fragment(1, fields, FLAG.endHeaders),
      ],
      outcome: { status: [200] },
    },
    'after padded HEADERS': {
      sends: [
        frame(
          FRAME.headers,
          FLAG.padded,
          1,
          Buffer.concat([Buffer.from([4]), fields.subarray(0, 7), Buffer.alloc(4)]),
        ),
        fragment(1, fields.subarray(7), FLAG.endHeaders),
        data(1, '', true),
      ],
      outcome: { status: [200] },
    },
    'of trailers': {
      sends: [
        upload(1),
        data(1, 'abc', false),
        frame(FRAME.headers, FLAG.endStream, 1),
        fragment(1, block([['x-sum', '1']]), FLAG.endHeaders),
      ],
      outcome: { status: [200] },
    },
    'of another stream': {
      sends: [begun, fragment(3, evil.subarray(5), FLAG.endHeaders)],
      outcome: CONNECTION_PROTOCOL,
    },
    'of the connection': {
      sends: [begun, fragment(0, evil.subarray(5), FLAG.endHeaders)],
      outcome: CONNECTION_PROTOCOL,
    },
    'after the end of the fields': { sends: [get(1, '/held'), rest], outcome: CONNECTION_PROTOCOL },
    'after its own end': {
      sends: [
        frame(FRAME.headers, 0, 1),
        fragment(1, fields, FLAG.endHeaders),
        fragment(1, evil, FLAG.endHeaders),
      ],
      outcome: CONNECTION_PROTOCOL,
    },
    'after DATA': {
      sends: [upload(1), data(1, 'x', false), fragment(1, evil, FLAG.endHeaders)],
      outcome: CONNECTION_PROTOCOL,
    },
    ...Object.fromEntries(
      Object.entries({
        DATA: data(1, 'x', false),
        'HEADERS of another stream': get(3, '/evil'),
        'HEADERS of the same': get(1, '/evil'),
        PING: ping(),
        SETTINGS: frame(FRAME.settings, 0, 0),
        PRIORITY: priority(1, 0),
        WINDOW_UPDATE: windowUpdate(0, 1),
        RST_STREAM: reset(1, CODE.cancel),
        'a frame nobody knows': frame(0xbd, 0, 0),
      }).map(([name, between]) => [
        `with ${name} in between`,
        { sends: [begun, between, rest], outcome: CONNECTION_PROTOCOL },
      ]),
    ),
  });
});

describe('trailers (RFC 9113 8.1)', () => {
  conforms(site, {
    'without END_STREAM': {
      sends: [upload(1), data(1, 'x', false), headers(1, [['x-sum', '1']], FLAG.endHeaders)],
      outcome: MALFORMED,
    },
    'with END_STREAM': {
      sends: [upload(1), data(1, 'x', false), headers(1, [['x-sum', '1']])],
      outcome: { status: [200] },
    },
    'and no DATA before': { sends: [upload(1), headers(1, [['x-sum', '1']])], outcome: { status: [200] } },
    'with not one field': {
      sends: [upload(1), data(1, 'x', false), headers(1, [])],
      outcome: { status: [200] },
    },
  });
});
