import { describe, expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { type Http2Client, type Http2Response, http2Client } from '../../support/http2-client.ts';
import {
  type FramePod,
  type PodEnd,
  forEachRequest,
  framePod,
  response,
  responseHead,
} from '../../support/http2-frame-pod.ts';
import { CODE, SETTING, data, goaway, headers, settingsOf } from '../../support/http2-frames.ts';
import { type RunningProxy, startProxy } from '../../support/proxy.ts';
import { refused } from './bad-pod.ts';

const proxyFor = (pod: FramePod): Promise<RunningProxy> =>
  startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], { h2c: true });

const post = (client: Http2Client, path = '/'): Promise<Http2Response> =>
  client.ask({ ':path': path, ':method': 'POST' }, 'body');

/** Answers what comes with the number of its connection. */
const serve = (end: PodEnd, index: number): Promise<void> =>
  forEachRequest(end, ({ stream }) => end.send(response(stream, `served by ${index}`)));

describe('a connection that breaks the rules is ended (RFC 9113 5.4.1)', () => {
  refused(
    {
      'ENABLE_PUSH of a server': settingsOf([SETTING.enablePush, 1]),
    },
    { connection: [CODE.protocolError] },
  );
});

describe('a malformed response is a stream error of type PROTOCOL_ERROR (RFC 9113 8.1.1)', () => {
  refused(
    {
      'a name in upper case': headers(1, [
        [':status', '200'],
        ['X-Evil', 'evil'],
      ]),
    },
    { stream: [CODE.protocolError] },
  );
});

describe('GOAWAY', () => {
  for (const [what, code] of Object.entries({
    'without an error': CODE.noError,
    'with an error': CODE.internalError,
    'because we were too much': CODE.calm,
  })) {
    it(`${what}: streams up to the last are finished, those above go elsewhere`, async () => {
      await using pod = await framePod(async (end, index) => {
        if (index > 0) return serve(end, index);
        const [low, high] = await Promise.all([end.request(0), end.request(1)]);
        end.send(responseHead(low.stream), data(low.stream, 'begun ', false));
        end.send(goaway(low.stream, code), data(low.stream, 'ended', true));
        expect(high.stream).toBeGreaterThan(low.stream);
      });
      await using proxy = await proxyFor(pod);
      using client = http2Client(proxy.port);
      const low = post(client, '/low');
      await (await pod.connection(0)).request(0);
      const high = post(client, '/high');
      expect(await low).toMatchObject({ status: 200, body: 'begun ended', code: 0 });
      expect(await high).toMatchObject({ status: 200, body: 'served by 1', code: 0 });
      // There is nothing left on it.
      await pod.connections[0]!.closed;
      expect(await post(client)).toMatchObject({ status: 200, body: 'served by 1' });
    });
  }
});
