import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { rawClient, request } from '../../support/raw-client.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

const policies = { 'request-body': { maxBytes: 10, gatherBytes: null } };

contract('the largest body of a route', (behaves) => {
  behaves('413 for a longer Content-Length, before a Pod sees anything', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    client.send(request('POST', '/', 'x'.repeat(10)));
    expect((await client.message()).status).toBe(200);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 11\r\n\r\n');
    expect(await client.message()).toMatchObject({ status: 413 });
    await client.ended;
    expect(upstream.requests).toHaveLength(1);
    expect(await proxy.exchange(1)).toMatchObject({ status: 413, detail: 'body-too-large' });
  });

  behaves('413 without asking for the body of a client that waits to be asked', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    client.send(request('POST', '/', '', 'Expect: 100-continue', 'Content-Length: 11'));
    expect(await client.message()).toMatchObject({ status: 413 });
    await client.ended;
    expect(upstream.connections).toHaveLength(0);
  });

  behaves(
    '413 as soon as a chunked body is longer, and the Pod sees that it was not the end',
    async (create) => {
      await using upstream = await scriptedUpstream(() => undefined);
      await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
      using client = await rawClient(proxy.port);
      client.send(request('POST', '/', '', 'Transfer-Encoding: chunked'));
      client.send('5\r\n12345\r\n');
      const connection = await upstream.connection(0);
      await connection.until('12345');
      client.send('6\r\nmuch more\r\n'.replace('6', '9'));
      expect(await client.message()).toMatchObject({ status: 413 });
      await client.ended;
      await connection.ended;
      expect(connection.text).not.toContain('\r\n0\r\n');
    },
  );

  behaves('what follows a body that was cut off is not taken for a request', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    const head = request('POST', '/first', '', 'Transfer-Encoding: chunked');
    client.send(`${head}b\r\n12345678901\r\n0\r\n\r\n${request('GET', '/second', '')}`);
    expect(await client.message()).toMatchObject({ status: 413 });
    await client.ended;
    expect(client.unread).toBe('');
    expect(upstream.requests).toHaveLength(0);
  });

  behaves('a chunked body within it passes', async (create) => {
    await using upstream = await recordingUpstream('ok', ({ body }) => ok(body));
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    client.send(request('POST', '/', '', 'Transfer-Encoding: chunked'));
    client.send('5\r\n12345\r\n5\r\n67890\r\n0\r\n\r\n');
    expect(await client.message()).toMatchObject({ status: 200 });
  });
});

contract('buffering', (behaves) => {
  behaves('a body that is not gathered goes on as it comes', async (create) => {
    const site = { 'request-body': { maxBytes: null, gatherBytes: 0 } };
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.until('half');
      connection.send(ok('early'));
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies: site }]);
    using client = await rawClient(proxy.port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 8\r\n\r\nhalf');
    expect(await client.message()).toMatchObject({ status: 200, body: 'early' });
  });
});
