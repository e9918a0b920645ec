import { type AddressInfo, type Socket, createServer } from 'node:net';
import { expect, it } from 'vitest';
import type { MirrorConfig } from '../../../src/policies/mirror.ts';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { contract } from '../../support/engines.ts';
import { http2Client } from '../../support/http2-client.ts';
import { startProxy } from '../../support/proxy.ts';
import { chunked, get, rawClient, request } from '../../support/raw-client.ts';
import { happens, until } from '../../support/until.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

function mirrorTo(port: number, parts: Partial<MirrorConfig> = {}): MirrorConfig {
  const to = { scheme: 'http', host: '127.0.0.1', port, verify: true } as const;
  return { namespace: 'default', to, target: null, host: 'test.internal', withoutBodies: false, ...parts };
}

/** A server of bytes: to keep them all as text would take longer than to send them. */
async function byteServer(serve: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await happens(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

contract('mirror', (behaves) => {
  behaves('copies requests, and lets nobody wait for the server that gets the copies', async (create) => {
    await using upstream = await recordingUpstream('main', () => ok('main'));
    // It never says a word.
    await using test = await scriptedUpstream(async (connection) => void (await connection.head()));
    const target = ['/copies', { variable: 'request_uri', name: '' }] as const;
    const policies = { mirror: mirrorTo(test.port, { target }) };
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    client.send(get('/a?b=c', 'Cookie: a=1', 'X-Forwarded-For: 6.6.6.6'));
    expect((await client.message()).body).toBe('main');
    await until(() => test.connections.some(({ text }) => text.includes('\r\n\r\n')));
    const { text } = await test.connection(0);
    expect(text.slice(0, text.indexOf('\r\n'))).toBe('GET /copies/a?b=c HTTP/1.1');
    expect(text).toMatch(/\r\nHost: test\.internal\r\n/i);
    expect(text).toMatch(/\r\nCookie: a=1\r\n/i);
    expect(text).not.toContain('6.6.6.6');
    // Far more than may be under way: those beyond are left out.
    for (let i = 0; i < 100; i++) {
      client.send(get(`/${i}`));
      expect((await client.message()).status).toBe(200);
    }
    expect(test.connections.length).toBeLessThanOrEqual(32);
  });

  behaves('copies no password that was checked', async (create) => {
    await using upstream = await recordingUpstream('main', () => ok('main'));
    await using test = await recordingUpstream('test', () => ok('test'));
    const auth = Buffer.from('ada:{PLAIN}pw').toString('base64');
    const policies = {
      mirror: mirrorTo(test.port),
      'basic-auth': { secret: 'shop/users', format: 'htpasswd', challenge: 'Basic realm="x"' },
    } as const;
    const secrets = new Map([['shop/users', { auth }]]);
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }], { secrets });
    using client = await rawClient(proxy.port);
    client.send(get('/', 'X-Kept: 1', `Authorization: Basic ${Buffer.from('ada:pw').toString('base64')}`));
    expect((await client.message()).status).toBe(200);
    await until(() => test.requests.length === 1);
    expect(['x-kept', 'authorization'].map((name) => test.requests[0]?.values(name))).toEqual([['1'], []]);
  });

  behaves('copies bodies of every framing, or leaves them out', async (create) => {
    await using upstream = await recordingUpstream('main', () => ok('main'));
    await using test = await recordingUpstream('test', () => ok('test'));
    const large = 'x'.repeat(300_000);
    const sent = [
      request('POST', '/length', 'a body'),
      request('PUT', '/large', large),
      `POST /chunks HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(['one ', 'two ', large])}`,
      get('/none'),
    ];
    for (const withoutBodies of [false, true]) {
      const seen = test.requests.length;
      const policies = { mirror: mirrorTo(test.port, { withoutBodies }) };
      await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
      using client = await rawClient(proxy.port);
      for (const each of sent) {
        client.send(each);
        expect((await client.message()).body).toBe('main');
      }
      await until(() => test.requests.length === seen + sent.length);
      const copies = test.requests
        .slice(seen)
        .map(({ startLine, body }) => [startLine.split(' ')[1] ?? '', body]);
      expect(Object.fromEntries(copies)).toEqual(
        withoutBodies
          ? { '/length': '', '/large': '', '/chunks': '', '/none': '' }
          : { '/length': 'a body', '/large': large, '/chunks': `one two ${large}`, '/none': '' },
      );
    }
    expect(upstream.requests.map(({ body }) => body.length)).toEqual([
      6, 300_000, 300_008, 0, 6, 300_000, 300_008, 0,
    ]);
  });

  behaves('copies the body that a client sends when it is asked for it', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 100 Continue\r\n\r\n');
      await connection.until('a body');
      connection.send(ok('main'));
    });
    await using test = await recordingUpstream('test', () => ok('test'));
    await using proxy = await startProxy(create, [
      { ports: [upstream.port], policies: { mirror: mirrorTo(test.port) } },
    ]);
    using client = await rawClient(proxy.port);
    client.send('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n');
    await client.until('100 Continue');
    client.send('a body');
    await client.until('main');
    await until(() => test.requests.length === 1);
    expect(test.requests[0]?.body).toBe('a body');
    expect(test.requests[0]?.values('expect')).toEqual([]);
  });

  behaves('breaks a copy off that its server does not take, and holds up nobody', async (create) => {
    const length = 16 * 1024 * 1024;
    let received = 0;
    await using upstream = await byteServer((socket) =>
      socket.on('data', ({ length: more }: Buffer) => {
        received += more;
        if (received > length) socket.end(ok('main'));
      }),
    );
    // It takes the connection, and reads nothing.
    const copy = Promise.withResolvers<Socket>();
    await using test = await byteServer((socket) => copy.resolve(socket.pause()));
    const policies = { mirror: mirrorTo(test.port) };
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    client.send(request('POST', '/', 'x'.repeat(length)));
    expect((await client.message()).body).toBe('main');
    const socket = await copy.promise;
    let copied = 0;
    socket.on('data', ({ length: more }: Buffer) => (copied += more));
    socket.resume();
    await until(() => socket.closed);
    expect(copied).toBeLessThan(length);
  });

  behaves('ends the copy of a body whose client has left', async (create) => {
    await using upstream = await scriptedUpstream(() => {});
    await using test = await scriptedUpstream(() => {});
    await using proxy = await startProxy(create, [
      { ports: [upstream.port], policies: { mirror: mirrorTo(test.port) } },
    ]);
    const client = await rawClient(proxy.port);
    client.send(`POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(70_000)}`);
    const copy = await test.connection(0);
    await copy.until('xxx');
    client[Symbol.dispose]();
    await copy.ended;
    expect(copy.text).toMatch(/\r\nContent-Length: 100000\r\n/);
  });
});

it('copies the bodies of HTTP/2 requests, whose length only their end tells', async () => {
  await using upstream = await recordingUpstream('main', () => ok('main'));
  await using test = await recordingUpstream('test', () => ok('test'));
  const policies = { mirror: mirrorTo(test.port) };
  await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port], policies }], { h2c: true });
  using client = http2Client(proxy.port);
  const bodies = ['a body', 'x'.repeat(200_000)];
  const answers = await Promise.all(
    bodies.map((body) => client.ask({ ':method': 'POST', ':path': '/' }, body)),
  );
  expect(answers.map(({ body }) => body)).toEqual(['main', 'main']);
  await until(() => test.requests.length === 2);
  const copies = test.requests.map(({ body, framing }) => [body, framing]);
  expect(copies.toSorted()).toEqual(bodies.map((body) => [body, 'chunked']));
});
