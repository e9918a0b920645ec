import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

contract('connections', (behaves) => {
  behaves('keep-alive on both sides', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    for (let i = 0; i < 5; i++) {
      client.send(get(`/${i}`));
      expect((await client.message()).body).toBe('ok');
      await proxy.exchange(i);
    }
    expect(upstream.connections).toHaveLength(1);
  });

  behaves('an idle upstream connection is shared between clients', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    for (let i = 0; i < 3; i++) {
      using client = await rawClient(proxy.port);
      client.send(get('/'));
      expect((await client.message()).body).toBe('ok');
    }
    expect(upstream.connections).toHaveLength(1);
  });

  behaves('pipelined requests are answered in order', async (create) => {
    await using upstream = await recordingUpstream('', ({ startLine }) => ok(startLine.split(' ')[1] ?? ''));
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(
      get('/1') + request('POST', '/2', 'body') + get('/3') + request('HEAD', '/4', '') + get('/5'),
    );
    for (const path of ['/1', '/2', '/3']) expect((await client.message()).body).toBe(path);
    expect((await client.message({ toHead: true })).field('content-length')).toBe('2');
    expect((await client.message()).body).toBe('/5');
    expect(client.unread).toBe('');
  });

  behaves('a pipelined request is not sent on before the one ahead of it was answered', async (create) => {
    await using upstream = await recordingUpstream('', ({ startLine }) => ok(startLine.split(' ')[1] ?? ''));
    await using first = await scriptedUpstream((connection) => connection.until('\r\n\r\n'));
    await using proxy = await startProxy(create, [
      { ports: [first.port] },
      { host: 'other.test', ports: [upstream.port] },
    ]);
    using client = await rawClient(proxy.port);
    client.send(
      request('POST', '/withdraw', 'all') + request('POST', '/close', '').replace('app.test', 'other.test'),
    );
    const connection = await first.connection(0);
    await connection.until('all');
    // A whole exchange of somebody else: time enough for the second request, were it sent.
    using other = await rawClient(proxy.port);
    other.send(get('/meanwhile').replace('app.test', 'other.test'));
    await other.message();
    expect(upstream.requests.map(({ startLine }) => startLine)).toEqual(['GET /meanwhile HTTP/1.1']);
    connection.send(ok('done'));
    expect((await client.message()).body).toBe('done');
    expect((await client.message()).body).toBe('/close');
  });

  behaves('a head may come in pieces', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    for (const byte of get('/slow', 'X-A: b')) {
      client.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await client.message()).status).toBe(200);
    expect(upstream.requests[0]?.values('x-a')).toEqual(['b']);
  });

  behaves('Connection: close of the client ends its connection, not the upstream one', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using first = await rawClient(proxy.port);
    first.send(get('/', 'Connection: close'));
    const response = await first.message();
    expect(response.field('connection')?.toLowerCase()).toBe('close');
    expect(await first.ended).toBe('end');
    using second = await rawClient(proxy.port);
    second.send(get('/'));
    expect((await second.message()).status).toBe(200);
    expect(upstream.connections).toHaveLength(1);
  });

  behaves('Connection: close of the upstream does not end the client connection', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send(ok('bye', 'Connection: close'));
      connection.end();
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    for (let i = 0; i < 2; i++) {
      client.send(get('/'));
      expect((await client.message()).body).toBe('bye');
    }
    expect(upstream.connections).toHaveLength(2);
  });

  behaves('an HTTP/1.0 client gets a plain body and the end of the connection', async (create) => {
    await using upstream = await recordingUpstream(
      '',
      () => 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    );
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send('GET / HTTP/1.0\r\nHost: app.test\r\n\r\n');
    const response = await client.message();
    expect(response.field('transfer-encoding')).toBeUndefined();
    expect(response.body).toBe('hello');
    expect(await client.ended).toBe('end');
    expect(upstream.requests[0]?.startLine).toBe('GET / HTTP/1.1');
  });

  behaves('an HTTP/1.0 client may keep its connection', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    for (let i = 0; i < 2; i++) {
      client.send('GET / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n');
      const response = await client.message();
      expect(response.field('connection')?.toLowerCase()).toBe('keep-alive');
      expect(response.framing).toBe('length');
    }
  });

  behaves('a stale upstream connection is noticed: the request goes over another', async (create) => {
    await using upstream = await scriptedUpstream(async (connection, index) => {
      await connection.message();
      connection.send(ok(`first of ${index}`));
      // Closes on the second request without an answer, as a server does whose idle time has run out.
      if (index === 0) await connection.message().then(() => connection.reset());
      else await connection.message().then(() => connection.send(ok('more')));
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).body).toBe('first of 0');
    await proxy.exchange(0);
    client.send(get('/'));
    expect((await client.message()).body).toBe('first of 1');
    expect(await proxy.exchange(1)).toMatchObject({ attempts: 2, status: 200, detail: '' });
  });

  behaves(
    'idle connections to an endpoint that left the table are closed, others are not',
    async (create) => {
      await using leaving = await recordingUpstream('leaving');
      await using staying = await recordingUpstream('staying');
      const site = { host: 'other.test', ports: [staying.port] };
      await using proxy = await startProxy(create, [{ ports: [leaving.port] }, site]);
      using client = await rawClient(proxy.port);
      client.send(get('/'));
      expect((await client.message()).body).toBe('leaving');
      client.send('GET / HTTP/1.1\r\nHost: other.test\r\n\r\n');
      expect((await client.message()).body).toBe('staying');
      await proxy.exchange(1);
      proxy.adopt([{ ports: [staying.port] }, site]);
      await (
        await leaving.connection(0)
      ).ended;
      client.send(get('/'));
      expect((await client.message()).body).toBe('staying');
      expect(staying.connections).toHaveLength(1);
    },
  );

  behaves(
    'an exchange in flight at an endpoint that left the table finishes, then its connection closes',
    async (create) => {
      await using leaving = await scriptedUpstream((connection) => connection.until('\r\n\r\n'));
      await using staying = await recordingUpstream('staying');
      await using proxy = await startProxy(create, [{ ports: [leaving.port] }]);
      using client = await rawClient(proxy.port);
      client.send(get('/'));
      const connection = await leaving.connection(0);
      await connection.until('\r\n\r\n');
      proxy.adopt([{ ports: [staying.port] }]);
      connection.send(ok('finished'));
      expect((await client.message()).body).toBe('finished');
      await connection.ended;
      client.send(get('/'));
      expect((await client.message()).body).toBe('staying');
    },
  );
});
