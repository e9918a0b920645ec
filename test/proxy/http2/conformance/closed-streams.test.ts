import { describe, expect, it } from 'vitest';
import {
  CODE,
  FLAG,
  FRAME,
  type FrameClient,
  codeOf,
  data,
  frame,
  frameClient,
  headers,
  number,
  requestFields,
  reset,
  windowUpdate,
} from '../../../support/http2-frames.ts';
import { IGNORED, type Outcome, answerOn, conforms, goesOn, siteForAll } from './site.ts';

const site = siteForAll();
const get = (stream: number, path = '/ok'): Buffer => headers(stream, requestFields('GET', path));
const upload = (stream: number, path = '/sum'): Buffer =>
  headers(stream, requestFields('POST', path), FLAG.endHeaders);
const priority = (stream: number, on: number, weight = 15): Buffer =>
  frame(FRAME.priority, 0, stream, Buffer.concat([number(on), Buffer.from([weight])]));

const CLOSED: Outcome = { stream: [CODE.streamClosed], connection: [CODE.streamClosed] };
const CLOSED_ID: Outcome = {
  stream: [CODE.streamClosed],
  connection: [CODE.streamClosed, CODE.protocolError],
};

describe('a stream that is closed (RFC 9113 5.1)', () => {
  const ended = async (): Promise<FrameClient> => {
    const client = await frameClient(site().proxy.port);
    client.send(get(1));
    await answerOn(client, 1);
    return client;
  };
  for (const [what, bytes] of Object.entries({ DATA: data(1, 'evil', true), HEADERS: get(1, '/evil') })) {
    it(`by its end: ${what} is an error`, async () => {
      using client = await ended();
      client.send(bytes);
      const end = await client.until(({ type }) => type === FRAME.goaway || type === FRAME.reset);
      const codes = [CODE.streamClosed, ...(end.type === FRAME.goaway ? [CODE.protocolError] : [])];
      expect(codes).toContain(codeOf(end));
      expect(site().pod.requests.filter(({ startLine }) => startLine.includes('evil'))).toEqual([]);
    });
  }

  it('by its end: WINDOW_UPDATE, RST_STREAM and PRIORITY are not', async () => {
    using client = await frameClient(site().proxy.port);
    client.send(get(1));
    await answerOn(client, 1);
    client.send(windowUpdate(1, 1), reset(1, CODE.cancel), priority(1, 0), windowUpdate(1, 1));
    await goesOn(client);
  });

  conforms(site, {
    'by the client, twice, with codes nobody knows': {
      sends: [upload(1), reset(1, 0xffff_fff0), reset(1, CODE.noError), windowUpdate(1, 1)],
      outcome: IGNORED,
    },
  });

  it('by us: what was under way is taken, and its header blocks are read', async () => {
    using client = await frameClient(site().proxy.port);
    client.send(headers(1, requestFields('POST', '/evil', ['connection', 'close']), FLAG.endHeaders));
    await client.until(
      ({ type, stream }) => (type === FRAME.reset || type === FRAME.headers) && stream === 1,
    );
    client.send(data(1, 'evil', false), windowUpdate(1, 5), priority(1, 0), headers(1, [['x-last', 'evil']]));
    await goesOn(client);
  });

  const cancelled = Buffer.concat([upload(1), reset(1, CODE.cancel)]);
  conforms(site, {
    'by the client: DATA': { sends: [cancelled, data(1, 'evil', true)], outcome: CLOSED },
    'by the client: HEADERS': { sends: [cancelled, get(1, '/evil')], outcome: CLOSED_ID },
  });
});

describe('WINDOW_UPDATE', () => {
  conforms(site, {
    'of nothing, for a stream': {
      sends: [upload(1), windowUpdate(1, 0)],
      outcome: { stream: [CODE.protocolError] },
    },
  });

  it('of nothing ends its stream; what was under way is taken, and its header blocks are read', async () => {
    using client = await frameClient(site().proxy.port);
    client.send(upload(1), windowUpdate(1, 0));
    await client.until(({ type, stream }) => type === FRAME.reset && stream === 1);
    client.send(data(1, 'evil', false), windowUpdate(1, 5), headers(1, [['x-last', 'evil']]));
    await goesOn(client);
  });
});
