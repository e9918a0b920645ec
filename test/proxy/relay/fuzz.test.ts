import { METHODS, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { scriptedUpstream } from '../../support/upstream.ts';
import { STAYS_OPEN } from '../../support/stays-open.ts';
import { examples } from '../../support/examples.ts';

/** Pieces of requests, good and bad, and bytes that are neither. */
const piece = fc.oneof(
  { weight: 3, arbitrary: fc.constant('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n') },
  {
    weight: 2,
    arbitrary: fc.constant('POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n'),
  },
  { weight: 2, arbitrary: fc.constant('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 7\r\n\r\n') },
  fc.constantFrom(
    '5\r\nhello\r\n',
    '0\r\n\r\n',
    '0\r\nX: y\r\n\r\n',
    'seven..',
    '\r\n',
    '\n',
    '\r',
    'GET ',
    'Host: app.test\r\n',
    'Content-Length: 3\r\n',
    'Transfer-Encoding: chunked\r\n',
    'Connection: close\r\n',
    ' HTTP/1.1\r\n',
    '\0',
    '1;a=b\r\nx\r\n',
    'HEAD / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n',
    'PUT / HTTP/1.1\r\nHost: app.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n',
  ),
  fc.string({ unit: 'binary-ascii', maxLength: 20 }),
);

test('any bytes in any pieces: the relay lives, lets go of everything, and a pod sees well-formed requests only', async () => {
  const complaints: string[] = [];
  // Node's own parser is the judge of what arrives.
  const pod = createServer(STAYS_OPEN, (request, response) => {
    request.on('data', () => undefined);
    request.on('end', () => response.end('ok'));
    request.on('error', () => undefined);
  });
  pod.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const { code = '' } = error;
    // A request that its client did not finish ends in the middle: that is no bad request.
    if (code.startsWith('HPE_') && code !== 'HPE_INVALID_EOF_STATE') complaints.push(code);
    socket.destroy();
  });
  await new Promise<void>((resolve) => pod.listen(0, '127.0.0.1', resolve));
  const { port } = pod.address() as AddressInfo;
  let arrived = 0;
  pod.on('request', () => arrived++);
  {
    await using proxy = await startProxy(nativeEngine, [{ ports: [port] }], {
      limits: { headBytes: 2048, requestLineBytes: 512 },
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 12 }),
        fc.array(fc.nat(400), { maxLength: 6 }),
        fc.boolean(),
        async (pieces, cuts, abort) => {
          const message = pieces.join('');
          using client = await rawClient(proxy.port);
          let from = 0;
          for (const cut of [...cuts, message.length].sort((a, b) => a - b)) {
            client.send(message.slice(from, cut));
            from = Math.max(from, Math.min(cut, message.length));
            await nextTurn();
          }
          if (abort) client.reset();
          else client.end();
          await client.ended;
        },
      ),
      { numRuns: examples(150) },
    );
    using after = await rawClient(proxy.port);
    after.send(get('/'));
    expect((await after.message()).status).toBe(200);
    const forwarded = proxy.exchanges.filter(({ attempts }) => attempts > 0);
    // Any token is a method, though Node knows only some.
    const unknown = forwarded.filter(({ method }) => !METHODS.includes(method)).length;
    expect(complaints.filter((code) => code !== 'HPE_INVALID_METHOD')).toEqual([]);
    expect(complaints.length).toBeLessThanOrEqual(unknown);
    expect(arrived).toBeGreaterThan(50);
    expect(arrived).toBeLessThanOrEqual(forwarded.length - unknown);
    expect(proxy.engine.gauges()).toMatchObject({ clientConnections: 1, inFlight: 0, tunnels: 0 });
  }
  pod.closeAllConnections();
  pod.close();
});

test('any response in any pieces: the client gets a well-formed one, or none that has an end', async () => {
  const responsePiece = fc.oneof(
    { weight: 3, arbitrary: fc.constant('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello') },
    { weight: 3, arbitrary: fc.constant('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n') },
    fc.constantFrom(
      '5\r\nhello\r\n',
      '0\r\n\r\n',
      'HTTP/1.1 103 Early Hints\r\n\r\n',
      'HTTP/1.0 200 OK\r\n\r\n',
      'HTTP/1.1 204 No\r\n\r\n',
      'HTTP/1.1 ',
      '200',
      '\r\n',
      '\n',
      'X: y\r\n',
      'Content-Length: 9\r\n',
      'zzz',
      'HTTP/1.1 101 S\r\nUpgrade: a\r\n\r\n',
    ),
    fc.string({ unit: 'binary-ascii', maxLength: 12 }),
  );
  let script: readonly string[] = [];
  await using upstream = await scriptedUpstream(async (connection) => {
    await connection.head();
    for (const part of script) {
      connection.send(part);
      await nextTurn();
    }
    connection.end();
  });
  await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port] }]);
  await fc.assert(
    fc.asyncProperty(fc.array(responsePiece, { maxLength: 8 }), async (pieces) => {
      script = pieces;
      const before = proxy.exchanges.length;
      using client = await rawClient(proxy.port);
      client.send(get('/', 'Connection: close'));
      const exchange = await proxy.exchange(before);
      await client.ended;
      const responses: number[] = [];
      try {
        for (;;) responses.push((await client.message()).status);
      } catch {
        // No more whole messages.
      }
      const final = responses.filter((status) => status >= 200);
      if (exchange.detail === '') expect(final).toEqual([exchange.status]);
      else expect(final.length).toBeLessThanOrEqual(1);
      if (exchange.detail.startsWith('upstream-protocol-error') && final.length === 1)
        expect(final).toEqual([502]);
    }),
    { numRuns: examples(150) },
  );
  expect(proxy.engine.gauges()).toMatchObject({ inFlight: 0, tunnels: 0 });
});
