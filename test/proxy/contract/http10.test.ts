import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { chunked, get, rawClient } from '../../support/raw-client.ts';
import { recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

contract('HTTP/1.0', (behaves) => {
  behaves('a request without a host is for the rules without one', async (create) => {
    await using upstream = await recordingUpstream('anybody');
    await using named = await recordingUpstream('named');
    await using proxy = await startProxy(create, [
      { host: '', ports: [upstream.port] },
      { ports: [named.port] },
    ]);
    const said: [string, string][] = [
      ['GET / HTTP/1.0\r\n\r\n', 'anybody'],
      ['GET / HTTP/1.0\r\nHost:\r\n\r\n', 'anybody'],
      ['GET / HTTP/1.0\r\nHost: app.test\r\n\r\n', 'named'],
      ['GET http://app.test/ HTTP/1.0\r\n\r\n', 'named'],
    ];
    for (const [bytes, body] of said) {
      using client = await rawClient(proxy.port);
      client.send(bytes);
      expect((await client.message()).body, bytes).toBe(body);
    }
    const here = `127.0.0.1:${proxy.port}`;
    for (const request of upstream.requests) {
      expect(request.startLine).toBe('GET / HTTP/1.1');
      expect(request.values('host')).toEqual([here]);
      expect(request.values('x-forwarded-host')).toEqual([here]);
    }
    for (const request of named.requests) expect(request.values('host')).toEqual(['app.test']);
    expect((await proxy.exchange(0)).host).toBe('');
  });

  for (const bytes of [
    'GET / HTTP/1.0\r\nHost: app.test\r\nHost: app.test\r\n\r\n',
    'POST / HTTP/1.0\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'POST / HTTP/1.0\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n',
    'GET http://other.test/ HTTP/1.0\r\nHost: app.test\r\n\r\n',
  ]) {
    behaves(`is refused: ${JSON.stringify(bytes)}`, async (create) => {
      await using upstream = await recordingUpstream();
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      client.send(bytes);
      expect((await client.message()).status).toBe(400);
      await client.ended;
      expect(upstream.requests).toEqual([]);
    });
  }

  behaves(
    'a client that asks to be kept gets another response, one that does not gets the end',
    async (create) => {
      await using upstream = await recordingUpstream();
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      for (const word of ['keep-alive', 'Keep-Alive']) {
        client.send(`GET / HTTP/1.0\r\nHost: app.test\r\nConnection: ${word}\r\n\r\n`);
        const kept = await client.message();
        expect(kept.body).toBe('ok');
        expect(kept.field('connection')).toBe('keep-alive');
      }
      client.send('GET / HTTP/1.0\r\nHost: app.test\r\n\r\nGET / HTTP/1.0\r\nHost: app.test\r\n\r\n');
      expect((await client.message()).field('connection')).toBe('close');
      await client.ended;
      expect(client.unread).toBe('');
    },
  );

  behaves(
    'a body of unknown length ends with the connection, even where it was to be kept',
    async (create) => {
      await using upstream = await recordingUpstream(
        '',
        () =>
          `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(['in ', 'chunks'], ['X-Sum: 1'])}`,
      );
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      client.send('GET / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n');
      const response = await client.message();
      expect(response).toMatchObject({ framing: 'close', body: 'in chunks' });
      expect(response.field('connection')).toBe('close');
    },
  );

  behaves('a pod that speaks it keeps its connection only when it says so', async (create) => {
    await using upstream = await scriptedUpstream(async (connection, index) => {
      for (let i = 0; ; i++) {
        await connection.message();
        const word = index === 0 && i === 0 ? 'Connection: keep-alive\r\n' : '';
        connection.send(`HTTP/1.0 200 OK\r\n${word}Content-Length: 3\r\n\r\n${index}/${i}`);
      }
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    for (const body of ['0/0', '0/1', '1/0']) {
      client.send(get('/'));
      const response = await client.message();
      expect(response.startLine).toBe('HTTP/1.1 200 OK');
      expect(response.body).toBe(body);
      expect(response.field('connection')).not.toBe('close');
    }
  });

  behaves('a pod that speaks it has no chunks', async (create) => {
    await using upstream = await recordingUpstream(
      '',
      () => `HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(['x'])}`,
    );
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).status).toBe(502);
  });
});
