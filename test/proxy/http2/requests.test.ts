import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { frameClient, headers, requestFields } from '../../support/http2-frames.ts';
import { http2Client } from '../../support/http2-client.ts';
import { fieldOf, http2Upstream } from '../../support/http2-upstream.ts';
import { startProxy } from '../../support/proxy.ts';
import { rawClient } from '../../support/raw-client.ts';
import { unusedPort } from '../../support/loopback.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

it('a request goes to an HTTP/1.1 pod and its response comes back', async () => {
  await using pod = await recordingUpstream('hello', () => ok('hello', 'Set-Cookie: a=1', 'Set-Cookie: b=2'));
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
  using client = http2Client(proxy.port);
  const answer = await client.ask({ ':path': '/a?b=c', cookie: ['x=1', 'y=2'], 'user-agent': 'caf\xe9' });
  expect(answer).toMatchObject({ status: 200, body: 'hello', code: 0 });
  expect(answer.headers['set-cookie']).toEqual(['a=1', 'b=2']);
  const [request] = pod.requests;
  expect(request?.startLine).toBe('GET /a?b=c HTTP/1.1');
  expect(request?.field('host')).toBe('app.test');
  expect(request?.field('cookie')).toBe('x=1; y=2');
  expect(request?.field('user-agent')).toBe('caf\xe9');
  expect(request?.field('x-forwarded-proto')).toBe('http');
  expect(request?.field('transfer-encoding')).toBeUndefined();
  const account = await proxy.exchange(0);
  expect(account).toMatchObject({ httpVersion: '2', status: 200, responseBytes: 5, detail: '' });
});

it('bodies go with their length, or in chunks with their trailers', async () => {
  await using pod = await recordingUpstream();
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
  using client = http2Client(proxy.port);
  await client.ask({ ':method': 'POST', 'content-length': 5 }, 'hello');
  await client.ask({ ':method': 'POST' }, 'hello', { 'x-check': '1', 'x-forwarded-for': 'me' });
  await client.ask({ ':method': 'POST' }, '');
  expect(pod.requests.map(({ framing, body }) => [framing, body])).toEqual([
    ['length', 'hello'],
    ['chunked', 'hello'],
    ['chunked', ''],
  ]);
  expect(pod.requests[1]?.trailers).toEqual([['x-check', '1']]);
});

it('what several streams say at once stays apart, up to their trailers', async () => {
  await using pod = await recordingUpstream();
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
  using client = http2Client(proxy.port);
  const letters = ['a', 'bb', 'ccc'];
  // None of the Pod's connections is made when their trailers come.
  await Promise.all(
    letters.map((each) =>
      client.ask({ ':method': 'POST', ':path': `/${each}`, 'x-name': each }, each, { 'x-check': each }),
    ),
  );
  const got = pod.requests.map((each) => [each.startLine, each.field('x-name'), each.body, each.trailers]);
  const wanted = letters.map((each) => [`POST /${each} HTTP/1.1`, each, each, [['x-check', each]]]);
  expect(got.toSorted()).toEqual(wanted);
});

it('chunked responses, their trailers and interim responses come as HTTP/2 has them', async () => {
  await using pod = await scriptedUpstream(async (connection) => {
    await connection.message();
    connection.send(
      'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n',
    );
    connection.send('Connection: keep-alive, x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\r\n3\r\nabc\r\n');
    connection.send('0\r\nx-sum: 6\r\nContent-Length: 9\r\n\r\n');
  });
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
  using client = http2Client(proxy.port);
  const hints: unknown[] = [];
  client.session.on('stream', () => undefined);
  const stream = client.session.request({ ':path': '/', ':authority': 'app.test' });
  stream.on('headers', (fields) => hints.push(fields['link']));
  const response = Promise.withResolvers<Record<string, unknown>>();
  const trailers = Promise.withResolvers<Record<string, unknown>>();
  stream.on('response', response.resolve);
  stream.on('trailers', trailers.resolve);
  let body = '';
  for await (const bytes of stream) body += String(bytes);
  expect(body).toBe('abc');
  expect(hints).toEqual(['</a>']);
  const fields = await response.promise;
  for (const name of ['connection', 'keep-alive', 'x-hop', 'transfer-encoding', 'content-length'])
    expect(fields).not.toHaveProperty(name);
  expect(Object.keys(await trailers.promise)).toEqual(['x-sum']);
});

it('HEAD, 204 and 304 have no body', async () => {
  await using pod = await scriptedUpstream(async (connection) => {
    await connection.message();
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n');
    await connection.message();
    connection.send('HTTP/1.1 204 No Content\r\n\r\n');
    await connection.message();
    connection.send('HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n');
  });
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
  using client = http2Client(proxy.port);
  const head = await client.ask({ ':method': 'HEAD' });
  expect(head).toMatchObject({ status: 200, body: '' });
  expect(head.headers['content-length']).toBe('7');
  expect(await client.ask({})).toMatchObject({ status: 204, body: '', code: 0 });
  expect(await client.ask({})).toMatchObject({ status: 304, body: '', code: 0 });
});

it('big bodies pass whole both ways while the other requests go on', async () => {
  await using pod = await http2Upstream((stream) => {
    stream.respond({ ':status': 200 });
    stream.pipe(stream);
  });
  await using plain = await scriptedUpstream(async (connection) => {
    for (;;) {
      const request = await connection.message();
      connection.send(ok(request.body));
    }
  });
  const sites = [
    { ports: [pod.port], protocol: 'h2c' as const },
    { host: 'plain.test', ports: [plain.port] },
  ];
  await using proxy = await startProxy(nativeEngine, sites, { h2c: true });
  using client = http2Client(proxy.port);
  const big = Buffer.alloc(3_000_000, 'abcdefghijklmnopqrstuvwxyz');
  const answers = await Promise.all([
    client.ask({ ':method': 'POST' }, big),
    client.ask({ ':method': 'POST', ':authority': 'plain.test' }, big),
    client.ask({ ':method': 'POST', ':authority': 'plain.test', 'content-length': big.length }, big),
    client.ask({ ':method': 'POST' }, 'small'),
  ]);
  expect(answers.map(({ status, body }) => [status, body.length])).toEqual([
    [200, big.length],
    [200, big.length],
    [200, big.length],
    [200, 5],
  ]);
  expect(answers[1]?.body).toBe(big.toString('latin1'));
  expect(answers[0]?.body).toBe(big.toString('latin1'));
});

it('an HTTP/1.1 client reaches a pod that speaks HTTP/2, trailers and all', async () => {
  const seen: (readonly string[])[] = [];
  await using pod = await http2Upstream((stream, fields) => {
    seen.push(fields);
    stream.respond({ ':status': 200, 'x-pod': 'one' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '5' }));
    stream.pipe(stream);
  });
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }]);
  using client = await rawClient(proxy.port);
  client.send('POST /a HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nX-Two:  spaced\t\r\n\r\nhello');
  const answer = await client.message();
  expect(answer).toMatchObject({
    status: 200,
    body: 'hello',
    framing: 'chunked',
    trailers: [['x-sum', '5']],
  });
  expect(answer.field('x-pod')).toBe('one');
  const fields = seen[0] ?? [];
  expect(fieldOf(fields, ':authority')).toBe('app.test');
  expect(fieldOf(fields, ':path')).toBe('/a');
  expect(fieldOf(fields, 'x-two')).toBe('spaced');
  expect(fieldOf(fields, 'content-length')).toBe('5');
  expect(fieldOf(fields, 'host')).toBeUndefined();
  client.send('GET /b HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  expect((await client.message()).status).toBe(200);
  expect(pod.sessions).toHaveLength(1);
});

it('what Portico itself answers is the same as over HTTP/1.1', async () => {
  await using proxy = await startProxy(nativeEngine, [{ ports: [await unusedPort()] }], { h2c: true });
  using client = http2Client(proxy.port);
  const missing = await client.ask({ ':authority': 'other.test', accept: 'application/json' });
  expect(missing.status).toBe(404);
  expect(JSON.parse(missing.body)).toMatchObject({ reason: 'no-route' });
  expect((await client.ask({})).status).toBe(502);
  expect((await client.ask({ ':method': 'TRACE' })).status).toBe(405);
  expect((await client.ask({ ':path': `/${'a'.repeat(9_000)}` })).status).toBe(414);
});

it('without being asked for, HTTP/2 is not served without TLS', async () => {
  await using proxy = await startProxy(nativeEngine, [{ ports: [1] }]);
  using client = await rawClient(proxy.port);
  client.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  expect((await client.message()).status).toBe(505);
});

it('a preface in pieces is a preface, and HTTP/1.1 is served beside it', async () => {
  await using pod = await recordingUpstream('hello');
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
  using plain = await rawClient(proxy.port);
  plain.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n');
  expect((await plain.message()).body).toBe('hello');
  const socket = connect({ port: proxy.port, host: '127.0.0.1', noDelay: true });
  const settled = Promise.withResolvers<Buffer>();
  socket.once('data', settled.resolve);
  socket.on('error', settled.reject);
  for (const piece of ['P', 'RI * HT', 'TP/2.0\r', '\n\r\nSM\r\n', '\r\n\0\0\0\x04\0\0\0\0\0']) {
    await new Promise((resolve) => socket.write(Buffer.from(piece, 'latin1'), resolve));
  }
  expect((await settled.promise)[3]).toBe(4);
  socket.destroy();
});

it('a client that resets its stream takes the request from the pod', async () => {
  await using pod = await scriptedUpstream(async (connection) => {
    await connection.message();
    await connection.ended;
  });
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
  using client = http2Client(proxy.port);
  const stream = client.session.request({ ':path': '/', ':authority': 'app.test' });
  stream.on('error', () => undefined);
  const connection = await pod.connection(0);
  await connection.until('\r\n\r\n');
  stream.close(8);
  await connection.ended;
  expect(await proxy.exchange(0)).toMatchObject({ status: 499, detail: 'client-gone' });
});

it('a pod that breaks off within a response resets the stream and no other', async () => {
  await using pod = await scriptedUpstream(async (connection, index) => {
    await connection.message();
    if (index > 0) return connection.send(ok('fine'));
    connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
    await connection.until(() => true);
    setImmediate(() => connection.reset());
  });
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
  using client = http2Client(proxy.port);
  const broken = await client.ask({});
  expect(broken.code).not.toBe(0);
  expect(await client.ask({})).toMatchObject({ status: 200, body: 'fine' });
});

it('a pod may say anything twice', async () => {
  const twice =
    'Content-Type: a/b\r\nContent-Type: c/d\r\nDate: x\r\nDate: y\r\nETag: 1\r\nETag: 2\r\nTE: gzip\r\n';
  await using pod = await scriptedUpstream(async (connection) => {
    for (;;) {
      await connection.message();
      connection.send(
        `HTTP/1.1 103 Early\r\n${twice}\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n${twice}\r\n`,
      );
      connection.send('2\r\nok\r\n0\r\nETag: 1\r\nETag: 2\r\nAge: 1\r\nAge: 2\r\n\r\n');
    }
  });
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
  using client = http2Client(proxy.port);
  for (let i = 0; i < 2; i++)
    expect(await client.ask({})).toMatchObject({ status: 200, body: 'ok', code: 0 });
});

it('a client that ends its connection is gone, with all it asked', async () => {
  await using pod = await scriptedUpstream(async (connection) => {
    await connection.message();
    await connection.ended;
  });
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true });
  using client = await frameClient(proxy.port);
  client.send(headers(1, requestFields()));
  const connection = await pod.connection(0);
  await connection.until('\r\n\r\n');
  client.socket.end();
  await connection.ended;
  await client.closed;
  expect((await proxy.exchange(0)).detail).toBe('client-gone');
});

it('a health check is answered', async () => {
  const healthCheck = { path: '/healthz', isDraining: false };
  await using proxy = await startProxy(nativeEngine, [], { h2c: true, healthCheck });
  using client = http2Client(proxy.port);
  expect(await client.ask({ ':path': '/healthz' })).toMatchObject({ status: 200, code: 0 });
  expect((await client.ask({ ':path': '/' })).status).toBe(404);
});
