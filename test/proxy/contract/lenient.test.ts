import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';
import type { WireMessage } from '../../support/wire.ts';
import type { EngineFactory } from '../../../src/proxy/engine.ts';

/** What a client gets of these bytes of a pod, which come whole or one by one. */
async function relayed(
  create: EngineFactory,
  bytes: string,
  settings: { readonly bareLfInResponses?: boolean; readonly inPieces?: boolean } = {},
): Promise<WireMessage> {
  await using upstream = await scriptedUpstream(async (connection) => {
    await connection.message();
    if (!settings.inPieces) return connection.send(bytes);
    for (const byte of bytes) {
      connection.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
  await using proxy = await startProxy(create, [{ ports: [upstream.port] }], settings);
  using client = await rawClient(proxy.port);
  client.send(get('/'));
  const response = await client.message();
  // What goes on is in the strict form, whatever came.
  expect(client.text.slice(0, client.text.indexOf('\r\n\r\n'))).not.toMatch(/[^\r]\n|[ \t]:/);
  return response;
}

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

contract('responses may be written carelessly', (behaves) => {
  for (const [what, body] of [
    ['after chunk sizes', '5   \r\nhello\r\n0 \t\r\n\r\n'],
    ['before chunk sizes', '   5\r\nhello\r\n   0\r\n\r\n'],
    ['before a chunk extension', '5 ; a=b\r\nhello\r\n0 ;c\r\n\r\n'],
  ] as const) {
    behaves(`blanks ${what}`, async (create) => {
      for (const inPieces of [false, true]) {
        const response = await relayed(create, CHUNKED + body, { inPieces });
        expect(response).toMatchObject({ status: 200, body: 'hello' });
      }
    });
  }

  for (const body of [
    '5 5\r\nhello\r\n',
    `5${' '.repeat(300)}\r\nhello\r\n`,
    '5 \nhello\r\n',
    ' \r\nhello\r\n',
  ]) {
    behaves(`but not so: ${JSON.stringify(body.slice(0, 20))}`, async (create) => {
      // By then the head may have gone on: then the body never comes to its end.
      const status = await relayed(create, `${CHUNKED}${body}0\r\n\r\n`).then(
        (response) => response.status,
        () => 'cut',
      );
      expect([502, 'cut']).toContain(status);
    });
  }

  behaves('blanks before a colon, which stay here', async (create) => {
    const bytes = 'HTTP/1.1 200 OK\r\nX-A : a\r\nContent-Length \t : 5\r\nX-B\t:b\r\n\r\nhello';
    for (const inPieces of [false, true]) {
      const response = await relayed(create, bytes, { inPieces });
      expect(response).toMatchObject({ status: 200, body: 'hello' });
      expect(response.values('x-a')).toEqual(['a']);
      expect(response.values('x-b')).toEqual(['b']);
    }
  });

  const BARE = 'HTTP/1.1 200 OK\nX-A: a\nX-B: b\r\nConnection: X-B\nContent-Length: 5\n\nhello';
  behaves('lines that end with LF alone, where that is asked for', async (create) => {
    for (const inPieces of [false, true]) {
      const response = await relayed(create, BARE, { bareLfInResponses: true, inPieces });
      expect(response).toMatchObject({ startLine: 'HTTP/1.1 200 OK', status: 200, body: 'hello' });
      expect(response.values('x-a')).toEqual(['a']);
      expect(response.values('x-b')).toEqual([]);
    }
  });

  behaves('lines that end with LF alone are not accepted otherwise', async (create) => {
    expect((await relayed(create, BARE)).status).toBe(502);
  });

  behaves('requests may not', async (create) => {
    await using upstream = await recordingUpstream();
    const settings = { bareLfInResponses: true };
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }], settings);
    for (const bytes of [
      'GET / HTTP/1.1\r\nHost : app.test\r\n\r\n',
      'GET / HTTP/1.1\nHost: app.test\n\n',
      'POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n',
      'POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5 ;a\r\nhello\r\n0\r\n\r\n',
    ]) {
      using client = await rawClient(proxy.port);
      client.send(bytes);
      expect([400, 505]).toContain((await client.message()).status);
    }
    expect(upstream.requests).toEqual([]);
  });
});
