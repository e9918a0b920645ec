import { describe, expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { http2Client } from '../../support/http2-client.ts';
import { forEachRequest, framePod, response, valueOf } from '../../support/http2-frame-pod.ts';
import { FLAG, data, headers } from '../../support/http2-frames.ts';
import { startProxy } from '../../support/proxy.ts';
import { rawClient, request as requestText } from '../../support/raw-client.ts';

/** What a pod sends behind a response that can have no body (RFC 9110 6.4.1) is not taken for the next response. */
describe('DATA where there can be none never comes to a client', () => {
  const EVIL = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';
  const cases: Record<string, readonly [method: string, status: string]> = {
    'to HEAD': ['HEAD', '200'],
    '204': ['GET', '204'],
    '304': ['GET', '304'],
  };

  for (const [what, [method, status]] of Object.entries(cases)) {
    it(what, async () => {
      await using pod = await framePod((end) =>
        forEachRequest(end, (request) => {
          const { stream } = request;
          if (valueOf(request, ':path') === '/ok') return end.send(response(stream));
          end.send(headers(stream, [[':status', status]], FLAG.endHeaders), data(stream, EVIL, true));
        }),
      );
      await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], {
        h2c: true,
      });
      using old = await rawClient(proxy.port);
      old.send(requestText(method, '/bad', '') + requestText('GET', '/ok', '', 'Connection: close'));
      await old.ended;
      expect(old.text).not.toContain('evil');
      using client = http2Client(proxy.port);
      expect(JSON.stringify(await client.ask({ ':method': method, ':path': '/bad' }))).not.toContain('evil');
      expect(await client.ask({ ':path': '/ok' })).toMatchObject({ status: 200, body: 'ok' });
    });
  }
});
