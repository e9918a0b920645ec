import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { ok, scriptedUpstream } from '../../support/upstream.ts';

contract('client aborts', (behaves) => {
  // A client that ends its half looks like one that closed: it is taken for gone, as nginx and Go do.
  for (const how of ['reset', 'end'] as const) {
    behaves(`before the response: the upstream is aborted (${how})`, async (create) => {
      await using upstream = await scriptedUpstream((connection) => connection.until('\r\n\r\n'));
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      client.send(get('/'));
      const connection = await upstream.connection(0);
      await connection.until('\r\n\r\n');
      client[how]();
      await connection.ended;
      expect(await proxy.exchange(0)).toMatchObject({ status: 499, detail: 'client-gone', attempts: 1 });
    });
  }

  behaves('amid the response: the upstream is aborted', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nstart');
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    await client.until('start');
    client.reset();
    await (
      await upstream.connection(0)
    ).ended;
    expect(await proxy.exchange(0)).toMatchObject({ status: 499, detail: 'client-gone' });
  });

  behaves('amid its own body: the upstream sees a broken request, never a whole one', async (create) => {
    await using upstream = await scriptedUpstream(() => undefined);
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nstart\r\n');
    const connection = await upstream.connection(0);
    await connection.until('start');
    client.reset();
    await connection.ended;
    expect(connection.text).not.toContain('\r\n0\r\n');
    expect((await proxy.exchange(0)).status).toBe(499);
  });
});

contract('upstream aborts', (behaves) => {
  for (const how of ['reset', 'end'] as const) {
    behaves(`before the head of a POST: 502, sent once (${how})`, async (create) => {
      await using upstream = await scriptedUpstream(async (connection) => {
        await connection.message();
        connection[how]();
      });
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      client.send(request('POST', '/', 'body'));
      expect((await client.message()).status).toBe(502);
      expect(await proxy.exchange(0)).toMatchObject({ status: 502, detail: 'upstream-reset', attempts: 1 });
      expect(upstream.connections).toHaveLength(1);
    });

    behaves(`before the head of a GET: tried again once (${how})`, async (create) => {
      await using upstream = await scriptedUpstream(async (connection, index) => {
        await connection.message();
        if (index === 0) connection[how]();
        else connection.send(ok('second'));
      });
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      client.send(get('/'));
      expect((await client.message()).body).toBe('second');
      expect(await proxy.exchange(0)).toMatchObject({ status: 200, detail: '', attempts: 2 });
    });

    behaves(`amid a body with a length: the client is cut (${how})`, async (create) => {
      await using upstream = await scriptedUpstream(async (connection) => {
        await connection.head();
        connection.send('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nstart');
      });
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      client.send(get('/'));
      await client.until('start');
      (await upstream.connection(0))[how]();
      await client.ended;
      await expect(client.message()).rejects.toThrow('connection over');
      expect(await proxy.exchange(0)).toMatchObject({ status: 200, detail: 'upstream-reset' });
    });

    behaves(`amid a chunked body: the client never sees its end (${how})`, async (create) => {
      await using upstream = await scriptedUpstream(async (connection) => {
        await connection.head();
        connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nstart\r\n');
      });
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      client.send(get('/'));
      await client.until('start');
      (await upstream.connection(0))[how]();
      await client.ended;
      expect(client.text).not.toContain('\r\n0\r\n');
    });
  }

  behaves('amid a chunked body to an HTTP/1.0 client: a reset, not an end', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nstart\r\n');
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send('GET / HTTP/1.0\r\nHost: app.test\r\n\r\n');
    await client.until('start');
    (await upstream.connection(0)).end();
    expect(await client.ended).toBe('reset');
  });

  behaves('amid a bad chunk: the client is cut', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nstart\r\n');
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    await client.until('start');
    (await upstream.connection(0)).send('nonsense\r\n');
    await client.ended;
    expect(client.text).not.toContain('\r\n0\r\n');
    await (
      await upstream.connection(0)
    ).ended;
    expect((await proxy.exchange(0)).status).toBe(200);
    expect(proxy.exchanges).toHaveLength(1);
  });

  behaves('silence amid a body: the client is cut', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nstart');
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }], {
      limits: { upstreamIdleTimeoutMs: 50 },
    });
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    await client.ended;
    await (
      await upstream.connection(0)
    ).ended;
    expect(await proxy.exchange(0)).toMatchObject({ status: 200, detail: 'upstream-timed-out' });
  });
});
