import { on, once } from 'node:events';
import type { Socket } from 'node:net';
import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { chunked, get, rawClient, request } from '../../support/raw-client.ts';
import { unusedPort } from '../../support/loopback.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';
import { happens } from '../../support/until.ts';

const MIB = 1024 * 1024;

contract('bodies', (behaves) => {
  behaves('chunked both ways', async (create) => {
    await using upstream = await recordingUpstream(
      '',
      ({ body }) => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(['you said ', body])}`,
    );
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(request('POST', '/', chunked(['one', ' and ', 'two']), 'Transfer-Encoding: chunked'));
    const response = await client.message();
    expect(response.framing).toBe('chunked');
    expect(response.body).toBe('you said one and two');
    expect(upstream.requests[0]?.framing).toBe('chunked');
    expect(await proxy.exchange(0)).toMatchObject({ requestBytes: 11, responseBytes: 20 });
  });

  behaves('chunks pass as they come, without waiting for the next', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      await connection.until('ping');
      connection.send('4\r\npong\r\n');
      await connection.until('last');
      connection.send('0\r\n\r\n');
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n');
    await client.until('200 OK');
    client.send('4\r\nping\r\n');
    await client.until('pong');
    client.send('4\r\nlast\r\n0\r\n\r\n');
    expect((await client.message()).body).toBe('pong');
  });

  behaves('chunks without content, whole before there is a connection to send them on', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      expect((await connection.message()).framing).toBe('chunked');
      connection.send(ok('got it', 'Connection: close'));
      connection.end();
    });
    const refused = await unusedPort();
    for (const ports of [[upstream.port], [refused, upstream.port]]) {
      await using proxy = await startProxy(create, [{ ports }]);
      using client = await rawClient(proxy.port);
      for (let i = 0; i < 10; i++) {
        client.send(request('POST', '/', chunked([]), 'Transfer-Encoding: chunked'));
        expect((await client.message()).body).toBe('got it');
      }
    }
  });

  behaves('a response that ends with the connection', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 200 OK\r\n\r\nuntil the end');
      connection.end();
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).body).toBe('until the end');
  });

  behaves('trailers both ways', async (create) => {
    await using upstream = await recordingUpstream('', () => {
      const body = chunked(['body'], ['X-Sum: 42', 'Set-Cookie: a=b']);
      return `HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    const body = chunked(['body'], ['X-Check: 7', 'X-Forwarded-For: 6.6.6.6', 'Host: evil.test']);
    client.send(request('POST', '/', body, 'Transfer-Encoding: chunked', 'Trailer: X-Check', 'TE: trailers'));
    const response = await client.message();
    expect(response.body).toBe('body');
    expect(response.trailers).toEqual([['X-Sum', '42']]);
    expect(upstream.requests[0]?.trailers).toEqual([['X-Check', '7']]);
  });

  behaves('trailers that cannot be passed on do no harm', async (create) => {
    await using upstream = await recordingUpstream('', () => {
      return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(['body'], ['X-Del: a\x7fb'])}`;
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(request('POST', '/', chunked(['body'], ['X-Del: a\x7fb']), 'Transfer-Encoding: chunked'));
    await client.until('HTTP/1.1 ');
    await Promise.race([client.message().catch(() => null), client.ended]);
    expect(client.text).not.toContain('\x7f');
    expect(upstream.connections.map(({ text }) => text).join('')).not.toContain('\x7f');
    using second = await rawClient(proxy.port);
    second.send(get('/').replace('app.test', 'other.test'));
    expect((await second.message()).status).toBe(404);
  });

  for (const [status, fields] of [
    ['204 No Content', ''],
    ['304 Not Modified', 'ETag: "x"\r\nContent-Length: 99\r\n'],
  ] as const) {
    behaves(`${status} has no body and the connection goes on`, async (create) => {
      await using upstream = await recordingUpstream('', ({ startLine }) =>
        startLine.includes('/next') ? ok('next') : `HTTP/1.1 ${status}\r\n${fields}\r\n`,
      );
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      client.send(get('/'));
      const response = await client.message();
      expect(response.startLine).toBe(`HTTP/1.1 ${status}`);
      expect(response.field('transfer-encoding')).toBeUndefined();
      client.send(get('/next'));
      expect((await client.message()).body).toBe('next');
    });
  }

  behaves('HEAD keeps the length and has no body', async (create) => {
    await using upstream = await recordingUpstream('', ({ startLine }) =>
      startLine.startsWith('HEAD') ? 'HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n' : ok('next'),
    );
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(request('HEAD', '/', ''));
    const response = await client.message({ toHead: true });
    expect(response.field('content-length')).toBe('1234');
    client.send(get('/next'));
    expect((await client.message()).body).toBe('next');
    expect(await proxy.exchange(0)).toMatchObject({ method: 'HEAD', status: 200, responseBytes: 0 });
  });

  behaves('an early response while the request body still flows', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.until('start');
      connection.send('HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nstop');
      connection.end();
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000000\r\n\r\nstart');
    const response = await client.message();
    expect(response.status).toBe(413);
    expect(response.body).toBe('stop');
    client.socket.destroy();
    expect((await proxy.exchange(0)).status).toBe(413);
  });

  behaves('an early response: a small rest of the request is thrown away', async (create) => {
    await using upstream = await scriptedUpstream(async (connection, index) => {
      if (index > 0) return void connection.message().then(() => connection.send(ok('next')));
      await connection.until('start');
      connection.send('HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno');
      await connection.closed;
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000005\r\n\r\nstart');
    const early = await client.message();
    expect(early).toMatchObject({ status: 401, body: 'no' });
    expect(early.field('connection')).not.toBe('close');
    client.send(`${'x'.repeat(1_000_000)}${get('/next')}`);
    expect((await client.message()).body).toBe('next');
  });

  for (const [what, framing, part] of [
    ['that is large', `Content-Length: ${16 * MIB}`, 'x'.repeat(64 * 1024)],
    ['of unknown length', 'Transfer-Encoding: chunked', `10000\r\n${'x'.repeat(64 * 1024)}\r\n`],
  ] as const) {
    behaves(`an early response: a rest ${what} is read until the client has the response`, async (create) => {
      await using upstream = await scriptedUpstream(async (connection) => {
        await connection.until('xxxx');
        connection.send('HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno');
        await connection.closed;
      });
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      // It reads nothing before it has sent all but the end.
      client.socket.pause();
      client.send(`POST / HTTP/1.1\r\nHost: app.test\r\n${framing}\r\n\r\n`);
      for (let i = 0; i < 200; i++) {
        client.send(part);
        if (client.socket.writableNeedDrain) await happens(client.socket, 'drain');
      }
      client.socket.resume();
      const early = await client.message();
      expect(early).toMatchObject({ status: 401, body: 'no' });
      expect(early.field('connection')).toBe('close');
      expect(await client.ended).toBe('end');
    });
  }

  behaves('a response of our own before the end of an upload', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    const elsewhere = (length: number): string =>
      `POST / HTTP/1.1\r\nHost: other.test\r\nContent-Length: ${length}\r\n\r\n`;
    client.send(`${elsewhere(500_000)}xx`);
    const kept = await client.message();
    expect(kept.status).toBe(404);
    expect(kept.field('connection')).not.toBe('close');
    client.send(`${'x'.repeat(499_998)}${get('/next')}`);
    expect((await client.message()).body).toBe('ok');
    client.send(`${elsewhere(16 * MIB)}xx`);
    expect((await client.message()).field('connection')).toBe('close');
    await client.ended;
  });

  behaves('16 MiB down, whole', async (create) => {
    const size = 16 * MIB;
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
      connection.send(Buffer.alloc(size, 'd'));
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    await client.head();
    const rest = size - client.unread.length;
    expect(await counted(client.socket, rest)).toBe(rest);
    expect(await proxy.exchange(0)).toMatchObject({ status: 200, responseBytes: size });
  });

  behaves('16 MiB up, whole', async (create) => {
    const size = 16 * MIB;
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      await counted(connection.socket, size - connection.unread.length);
      connection.send(ok('all of it'));
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(`POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: ${size}\r\n\r\n`);
    client.send(Buffer.alloc(size, 'u'));
    expect((await client.message()).body).toBe('all of it');
    expect(await proxy.exchange(0)).toMatchObject({ status: 200, requestBytes: size });
  });
});

/** Counts what comes instead of keeping it, until there are as many bytes as this. */
async function counted(socket: Socket, size: number): Promise<number> {
  let count = 0;
  socket.removeAllListeners('data');
  for await (const [chunk] of on(socket, 'data', { close: ['close'] })) {
    count += (chunk as Buffer).length;
    if (count >= size) break;
  }
  return count;
}

/** More than the kernel and both proxies' buffers hold between two sockets on the loopback. */
const FAR_TOO_MUCH = 64 * MIB;

contract('back-pressure', (behaves) => {
  behaves('a client that does not read stops the upstream', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${FAR_TOO_MUCH}\r\n\r\n`);
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    await client.until('200 OK');
    client.socket.pause();
    const taken = await writeUntilStuck((await upstream.connection(0)).socket);
    expect(taken).toBeLessThan(FAR_TOO_MUCH / 2);
  });

  behaves('an upstream that does not read stops the client', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.socket.pause();
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(`POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: ${FAR_TOO_MUCH}\r\n\r\n`);
    await (await upstream.connection(0)).until('\r\n\r\n');
    const taken = await writeUntilStuck(client.socket);
    expect(taken).toBeLessThan(FAR_TOO_MUCH / 2);
  });
});

/** Writes until nothing has been taken for a while, or there is nothing left to write; gives the bytes taken. */
async function writeUntilStuck(socket: Socket): Promise<number> {
  const chunk = Buffer.alloc(256 * 1024);
  const before = socket.bytesWritten;
  let written = 0;
  while (written < FAR_TOO_MUCH) {
    written += chunk.length;
    if (socket.write(chunk)) continue;
    const drained = await Promise.race([
      once(socket, 'drain').then(() => true),
      new Promise((resolve) => setTimeout(resolve, 300, false)),
    ]);
    if (!drained) break;
  }
  return socket.bytesWritten - before - socket.writableLength;
}
