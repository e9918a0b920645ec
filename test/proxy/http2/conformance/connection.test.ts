import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import {
  CODE,
  FLAG,
  FRAME,
  PREFACE,
  SETTING,
  codeOf,
  data,
  frame,
  frameClient,
  frameEnd,
  goaway,
  headers,
  number,
  ping,
  requestFields,
  settings,
  settingsOf,
} from '../../../support/http2-frames.ts';
import {
  CONNECTION_FRAME_SIZE,
  CONNECTION_PROTOCOL,
  IGNORED,
  answerOn,
  barrier,
  conforms,
  siteForAll,
} from './site.ts';

const site = siteForAll();
const request = headers(1, requestFields('GET', '/ok'));
const held = headers(1, requestFields('GET', '/held'));
const upload = headers(1, requestFields('POST', '/sum'), FLAG.endHeaders);

describe('the preface (RFC 9113 3.4)', () => {
  it('is answered with SETTINGS before anything else, and they are acknowledged', async () => {
    using client = await frameClient(site().proxy.port);
    client.send(request, settingsOf([SETTING.enablePush, 0]));
    await answerOn(client, 1);
    await barrier(client);
    const [first] = client.frames;
    expect([first?.type, first?.flags, first?.stream]).toEqual([FRAME.settings, 0, 0]);
    const acknowledged = client.frames.filter(
      ({ type, flags, payload }) => type === FRAME.settings && flags === FLAG.ack && payload.length === 0,
    );
    expect(acknowledged).toHaveLength(2);
  });

  it('may come octet by octet, with all that follows', async () => {
    const socket = connect({ port: site().proxy.port, host: '127.0.0.1' });
    using client = frameEnd(socket);
    for (const octet of Buffer.concat([PREFACE, settings(), request])) {
      await new Promise((resolve) => socket.write(Buffer.from([octet]), resolve));
    }
    expect((await answerOn(client, 1)).status).toBe(200);
  });

  it('may come in one piece with all that follows', async () => {
    const socket = connect({ port: site().proxy.port, host: '127.0.0.1' });
    using client = frameEnd(socket);
    client.send(PREFACE, settings(), request);
    expect((await answerOn(client, 1)).status).toBe(200);
  });

  for (const [what, bytes] of Object.entries({
    'that turns into something else': Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\nGET /evil HTTP/1.1\r\n\r\n'),
    'with another body': Buffer.from(
      'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\nGET /evil HTTP/1.1\r\nHost: app.test\r\n\r\n',
    ),
  })) {
    it(`${what} ends the connection`, async () => {
      const { proxy, pod, neighbourIsServed } = site();
      const socket = connect({ port: proxy.port, host: '127.0.0.1' });
      using client = frameEnd(socket);
      client.send(bytes);
      await client.closed;
      expect(pod.requests.filter(({ startLine }) => startLine.includes('evil'))).toEqual([]);
      await neighbourIsServed();
    });
  }

  const noSettings = Buffer.alloc(0);
  conforms(site, {
    'is not complete without SETTINGS: a request': {
      first: noSettings,
      sends: [headers(1, requestFields('GET', '/evil'))],
      outcome: CONNECTION_PROTOCOL,
    },
    'is not complete without SETTINGS: PING': {
      first: noSettings,
      sends: [ping()],
      outcome: CONNECTION_PROTOCOL,
    },
    'is not complete with an acknowledgement': {
      first: frame(FRAME.settings, FLAG.ack, 0),
      sends: [ping()],
      outcome: CONNECTION_PROTOCOL,
    },
  });
});

describe('frames (RFC 9113 4)', () => {
  const longest = Buffer.alloc(16_384, 'x');
  const tooLong = Buffer.alloc(16_385, 'x');
  /** The head of a frame whose payload never comes. */
  const announced = (type: number, flags: number, stream: number): Buffer => {
    const head = frame(type, flags, stream);
    head.writeUIntBE(0xffffff, 0, 3);
    return head;
  };
  conforms(site, {
    'of unknown type are ignored': {
      sends: [
        frame(0xbd, 0xff, 0, longest),
        frame(0x16, 0, 1),
        request,
        frame(0xbd, 1, 1),
        frame(0x10, 0, 0, Buffer.alloc(4)),
      ],
      outcome: IGNORED,
    },
    'of unknown type are ignored on streams that were never begun': {
      sends: [frame(0xbd, 0, 77)],
      outcome: IGNORED,
    },
    'have flags that mean nothing': {
      sends: [
        ping('12345678', 0xfe),
        frame(FRAME.settings, 0xfe, 0),
        frame(FRAME.windowUpdate, 0xff, 0, number(1)),
        headers(1, requestFields('GET', '/ok'), 0xd2 | FLAG.endHeaders | FLAG.endStream),
      ],
      outcome: IGNORED,
    },
    'have a reserved bit': {
      sends: [
        headers(0x8000_0001, requestFields('GET', '/ok')),
        frame(FRAME.windowUpdate, 0, 0, number(0x8000_0001)),
      ],
      outcome: IGNORED,
    },
    'may be as long as was allowed': {
      sends: [upload, frame(FRAME.data, FLAG.endStream, 1, longest)],
      outcome: { status: [200] },
    },
    'must not be longer: DATA': {
      sends: [upload, frame(FRAME.data, 0, 1, tooLong)],
      outcome: { stream: [CODE.frameSizeError], connection: [CODE.frameSizeError] },
    },
    'must not be longer: HEADERS': {
      sends: [frame(FRAME.headers, 5, 1, tooLong)],
      outcome: CONNECTION_FRAME_SIZE,
    },
    'must not be longer: SETTINGS': {
      sends: [frame(FRAME.settings, 0, 0, Buffer.alloc(16_386))],
      outcome: CONNECTION_FRAME_SIZE,
    },
    'must not be longer, also when nobody knows them': {
      sends: [frame(0xbd, 0, 0, tooLong)],
      outcome: CONNECTION_FRAME_SIZE,
    },
    'are refused by their length, before they are there: HEADERS': {
      sends: [announced(FRAME.headers, 5, 1)],
      outcome: CONNECTION_FRAME_SIZE,
    },
    'are refused by their length, before they are there: CONTINUATION': {
      sends: [headers(1, requestFields('GET', '/evil'), FLAG.endStream), announced(FRAME.continuation, 0, 1)],
      outcome: CONNECTION_FRAME_SIZE,
    },
    'are refused by their length, before they are there: PING': {
      sends: [announced(FRAME.ping, 0, 0)],
      outcome: CONNECTION_FRAME_SIZE,
    },
  });
});

describe('SETTINGS (RFC 9113 6.5)', () => {
  const flow = { connection: [CODE.flowControlError] };
  conforms(site, {
    'nobody knows are ignored': {
      sends: [settingsOf([0x99, 1], [0, 0], [0xffff, 0xffff_ffff]), request],
      outcome: IGNORED,
    },
    'without a single one': { sends: [settingsOf()], outcome: IGNORED },
    'MAX_HEADER_LIST_SIZE and MAX_CONCURRENT_STREAMS of the client, any': {
      sends: [settingsOf([SETTING.maxHeaderListSize, 0xffff_ffff], [SETTING.maxConcurrentStreams, 0])],
      outcome: IGNORED,
    },
    'the bounds of all that have some': {
      sends: [
        settingsOf(
          [SETTING.enablePush, 1],
          [SETTING.initialWindowSize, 0x7fff_ffff],
          [SETTING.maxFrameSize, 16_384],
        ),
        settingsOf(
          [SETTING.enablePush, 0],
          [SETTING.initialWindowSize, 0],
          [SETTING.maxFrameSize, 0xff_ffff],
        ),
        settingsOf([SETTING.initialWindowSize, 65_535]),
      ],
      outcome: IGNORED,
    },
    'an acknowledgement with a payload': {
      sends: [frame(FRAME.settings, FLAG.ack, 0, Buffer.alloc(6))],
      outcome: CONNECTION_FRAME_SIZE,
    },
    'a length that is no multiple of six': {
      sends: [frame(FRAME.settings, 0, 0, Buffer.alloc(5))],
      outcome: CONNECTION_FRAME_SIZE,
    },
    'a length that is one more than a multiple of six': {
      sends: [frame(FRAME.settings, 0, 0, Buffer.alloc(7))],
      outcome: CONNECTION_FRAME_SIZE,
    },
    'on a stream': { sends: [held, frame(FRAME.settings, 0, 1)], outcome: CONNECTION_PROTOCOL },
    'ENABLE_PUSH 2': { sends: [settingsOf([SETTING.enablePush, 2])], outcome: CONNECTION_PROTOCOL },
    'INITIAL_WINDOW_SIZE 2^31': {
      sends: [settingsOf([SETTING.initialWindowSize, 0x8000_0000])],
      outcome: flow,
    },
    'INITIAL_WINDOW_SIZE 2^31 in the preface': {
      first: settingsOf([SETTING.initialWindowSize, 0x8000_0000]),
      sends: [],
      outcome: flow,
    },
    'MAX_FRAME_SIZE below 2^14': {
      sends: [settingsOf([SETTING.maxFrameSize, 16_383])],
      outcome: CONNECTION_PROTOCOL,
    },
    'MAX_FRAME_SIZE of 2^24': {
      sends: [settingsOf([SETTING.maxFrameSize, 0x100_0000])],
      outcome: CONNECTION_PROTOCOL,
    },
  });

  it('HEADER_TABLE_SIZE of nothing is kept to, and said in the first header block', async () => {
    using client = await frameClient(site().proxy.port, settingsOf([SETTING.headerTableSize, 0]));
    for (const stream of [1, 3, 5]) client.send(headers(stream, requestFields('GET', '/ok')));
    for (const stream of [1, 3, 5]) expect((await answerOn(client, stream, 0)).status).toBe(200);
  });

  it('HEADER_TABLE_SIZE may change while responses come', async () => {
    using client = await frameClient(site().proxy.port);
    client.send(headers(1, requestFields('GET', '/ok')));
    await answerOn(client, 1);
    client.send(settingsOf([SETTING.headerTableSize, 0], [SETTING.headerTableSize, 4096]));
    client.send(headers(3, requestFields('GET', '/ok')));
    expect((await answerOn(client, 3)).status).toBe(200);
    client.send(settingsOf([SETTING.headerTableSize, 100]));
    client.send(headers(5, requestFields('GET', '/ok')), headers(7, requestFields('GET', '/ok')));
    expect((await answerOn(client, 5)).status).toBe(200);
    expect((await answerOn(client, 7)).status).toBe(200);
  });
});

describe('PING (RFC 9113 6.7)', () => {
  it('comes back with its payload, whatever that is, once', async () => {
    using client = await frameClient(site().proxy.port);
    client.send(ping('\0\xff\r\nabcd'));
    await client.until(({ type }) => type === FRAME.ping);
    await barrier(client);
    const texts = client.frames
      .filter(({ type }) => type === FRAME.ping)
      .map(({ flags, payload }) => [flags, payload.toString('latin1')]);
    expect(texts[0]).toEqual([FLAG.ack, '\0\xff\r\nabcd']);
    expect(texts).toHaveLength(2);
  });

  conforms(site, {
    'that is acknowledged without having been sent': {
      sends: [ping('12345678', FLAG.ack)],
      outcome: IGNORED,
    },
    'of seven octets': { sends: [frame(FRAME.ping, 0, 0, Buffer.alloc(7))], outcome: CONNECTION_FRAME_SIZE },
    'of nine octets': { sends: [frame(FRAME.ping, 0, 0, Buffer.alloc(9))], outcome: CONNECTION_FRAME_SIZE },
    'without any': { sends: [frame(FRAME.ping, FLAG.ack, 0)], outcome: CONNECTION_FRAME_SIZE },
    'on a stream': { sends: [held, frame(FRAME.ping, 0, 1, Buffer.alloc(8))], outcome: CONNECTION_PROTOCOL },
  });
});

describe('GOAWAY (RFC 9113 6.8)', () => {
  conforms(site, {
    'on a stream': {
      sends: [held, frame(FRAME.goaway, 0, 1, Buffer.alloc(8))],
      outcome: CONNECTION_PROTOCOL,
    },
    'of seven octets': {
      sends: [frame(FRAME.goaway, 0, 0, Buffer.alloc(7))],
      outcome: CONNECTION_FRAME_SIZE,
    },
  });

  it.each([
    ['no error', CODE.noError],
    ['a code nobody knows', 0xffff],
  ])('with %s: what was asked before is answered', async (_what, code) => {
    const { proxy, neighbourIsServed } = site();
    using client = await frameClient(proxy.port);
    client.send(upload, goaway(0, code, 'words'), data(1, 'hello', true));
    expect(await answerOn(client, 1)).toMatchObject({ status: 200, body: '5' });
    await neighbourIsServed();
  });

  it('names the last stream that was served, when it is the answer to an error', async () => {
    using client = await frameClient(site().proxy.port);
    client.send(headers(1, requestFields('GET', '/ok')), headers(7, requestFields('GET', '/ok')));
    await Promise.all([answerOn(client, 1), answerOn(client, 7)]);
    client.send(frame(FRAME.ping, 0, 0));
    const end = await client.until(({ type }) => type === FRAME.goaway);
    expect([codeOf(end), end.payload.readUInt32BE(0)]).toEqual([CODE.frameSizeError, 7]);
    await client.closed;
  });
});
