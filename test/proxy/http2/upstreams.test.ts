import { expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { eventually } from '../../support/daemon.ts';
import { http2Client } from '../../support/http2-client.ts';
import { http2Upstream } from '../../support/http2-upstream.ts';
import { startProxy } from '../../support/proxy.ts';
import { unusedPort } from '../../support/loopback.ts';
import { scriptedUpstream } from '../../support/upstream.ts';

it('requests of one connection are balanced one by one, over one connection to each pod', async () => {
  await using one = await http2Upstream((stream) => {
    stream.respond();
    stream.end('one');
  });
  await using two = await http2Upstream((stream) => {
    stream.respond();
    stream.end('two');
  });
  const site = { ports: [one.port, two.port], protocol: 'h2c' as const };
  await using proxy = await startProxy(nativeEngine, [site], { h2c: true });
  using client = http2Client(proxy.port);
  const answers = await Promise.all(Array.from({ length: 40 }, () => client.ask({})));
  expect(answers.filter(({ body }) => body === 'one')).toHaveLength(20);
  expect(answers.filter(({ body }) => body === 'two')).toHaveLength(20);
  expect([one.sessions.length, two.sessions.length]).toEqual([1, 1]);
  expect(proxy.engine.gauges().upstreamConnections).toBe(2);
});

it('a pod that takes few streams at a time gets more connections', async () => {
  const held: (() => void)[] = [];
  await using pod = await http2Upstream((stream) => {
    stream.respond();
    held.push(() => stream.end('ok'));
    if (held.length >= 6) for (const end of held) end();
  }, 2);
  const site = { ports: [pod.port], protocol: 'h2c' as const };
  await using proxy = await startProxy(nativeEngine, [site], { h2c: true });
  using client = http2Client(proxy.port);
  // So that it is known how few.
  const first = client.ask({});
  await new Promise((resolve) => pod.server.once('stream', resolve));
  const answers = await Promise.all([first, ...Array.from({ length: 5 }, () => client.ask({}))]);
  expect(answers.map(({ body }) => body)).toEqual(Array(6).fill('ok'));
  expect(pod.sessions.length).toBe(3);
});

it('a stream that the pod refuses is tried again, whatever the method', async () => {
  let refused = 0;
  await using pod = await http2Upstream((stream) => {
    if (refused++ === 0) return stream.close(7);
    stream.respond();
    stream.pipe(stream);
  });
  const site = { ports: [pod.port], protocol: 'h2c' as const };
  await using proxy = await startProxy(nativeEngine, [site], { h2c: true });
  using client = http2Client(proxy.port);
  const answer = await client.ask({ ':method': 'POST', 'content-length': 5 }, 'hello');
  expect(answer).toMatchObject({ status: 200, body: 'hello' });
  expect((await proxy.exchange(0)).attempts).toBe(2);
});

it('a stream that the pod resets is tried again only where that is safe', async () => {
  await using pod = await http2Upstream((stream) => stream.close(2));
  const site = { ports: [pod.port], protocol: 'h2c' as const };
  await using proxy = await startProxy(nativeEngine, [site], { h2c: true });
  using client = http2Client(proxy.port);
  expect((await client.ask({ ':method': 'POST', 'content-length': 5 }, 'hello')).status).toBe(502);
  expect((await client.ask({})).status).toBe(502);
  const [post, got] = proxy.exchanges;
  expect(post).toMatchObject({ attempts: 1, detail: 'upstream-reset' });
  expect(got?.attempts).toBeGreaterThan(1);
});

it('a pod that goes away finishes its streams, and the next requests get a new connection', async () => {
  const ends: (() => void)[] = [];
  await using pod = await http2Upstream((stream) => {
    stream.respond();
    stream.write('begun ');
    ends.push(() => stream.end('ended'));
  });
  const site = { ports: [pod.port], protocol: 'h2c' as const };
  await using proxy = await startProxy(nativeEngine, [site], { h2c: true });
  using client = http2Client(proxy.port);
  const first = client.ask({});
  await new Promise((resolve) => pod.server.once('stream', resolve));
  pod.sessions[0]?.close();
  const second = client.ask({});
  await new Promise((resolve) => pod.server.once('stream', resolve));
  for (const end of ends) end();
  expect((await first).body).toBe('begun ended');
  expect((await second).body).toBe('begun ended');
  expect(pod.sessions).toHaveLength(2);
});

it('a pod that is not there, or speaks something else, is 502 and goes elsewhere first', async () => {
  await using good = await http2Upstream((stream) => {
    stream.respond();
    stream.end('good');
  });
  await using other = await scriptedUpstream(async (connection) => {
    await connection.until(() => true);
    connection.send('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n');
  });
  const sites = [
    { ports: [await unusedPort(), good.port], protocol: 'h2c' as const },
    { host: 'gone.test', ports: [await unusedPort()], protocol: 'h2c' as const },
    { host: 'other.test', ports: [other.port], protocol: 'h2c' as const },
  ];
  await using proxy = await startProxy(nativeEngine, sites, { h2c: true });
  using client = http2Client(proxy.port);
  for (let i = 0; i < 4; i++) expect((await client.ask({ ':method': 'POST' }, 'x')).body).toBe('good');
  expect((await client.ask({ ':authority': 'gone.test' })).status).toBe(502);
  expect((await client.ask({ ':authority': 'other.test' })).status).toBe(502);
});

it('a pod that does not answer in time is 504, and its stream is cancelled', async () => {
  const cancelled = Promise.withResolvers<void>();
  await using pod = await http2Upstream((stream) => stream.once('close', cancelled.resolve));
  const site = { ports: [pod.port], protocol: 'h2c' as const };
  const limits = { upstreamIdleTimeoutMs: 100 };
  await using proxy = await startProxy(nativeEngine, [site], { h2c: true, limits });
  using client = http2Client(proxy.port);
  expect((await client.ask({})).status).toBe(504);
  await cancelled.promise;
});

it('a client that does not read holds its pod back, and nobody else', async () => {
  let written = 0;
  await using pod = await http2Upstream((stream, fields) => {
    stream.respond();
    if (fields.includes('/small')) return stream.end('small');
    const piece = Buffer.alloc(64 * 1024, 'x');
    const write = (): void => {
      while (!stream.destroyed) {
        written += piece.length;
        if (written >= 64 * 1024 * 1024) return void stream.end(piece);
        if (!stream.write(piece)) return void stream.once('drain', write);
      }
    };
    write();
  });
  const site = { ports: [pod.port], protocol: 'h2c' as const };
  await using proxy = await startProxy(nativeEngine, [site], { h2c: true });
  using slow = http2Client(proxy.port);
  const stream = slow.session.request({ ':path': '/big', ':authority': 'app.test' });
  await new Promise((resolve) => stream.once('response', resolve));
  using other = http2Client(proxy.port);
  for (let i = 0; i < 50; i++) expect((await other.ask({ ':path': '/small' })).body).toBe('small');
  // What one stream holds on its way: windows and buffers of both hops.
  expect(written).toBeLessThan(2 * 1024 * 1024);
  let read = 0;
  for await (const bytes of stream) read += (bytes as Buffer).length;
  expect(read).toBe(written);
});

it('a pod that does not read holds its client back', async () => {
  const going = Promise.withResolvers<() => void>();
  let received = 0;
  await using pod = await http2Upstream((stream) => {
    stream.pause();
    going.resolve(() => {
      stream.on('data', (bytes: Buffer) => (received += bytes.length));
      stream.on('end', () => {
        stream.respond();
        stream.end(String(received));
      });
      stream.resume();
    });
  });
  const site = { ports: [pod.port], protocol: 'h2c' as const };
  await using proxy = await startProxy(nativeEngine, [site], { h2c: true });
  using client = http2Client(proxy.port);
  const stream = client.session.request({ ':path': '/', ':method': 'POST', ':authority': 'app.test' });
  const body = Buffer.alloc(8 * 1024 * 1024, 'y');
  let sent = 0;
  for (let at = 0; at < body.length; at += 65_536) {
    stream.write(body.subarray(at, at + 65_536), () => (sent += 65_536));
  }
  stream.end();
  const go = await going.promise;
  // Long enough for all that goes without the pod reading.
  for (let i = 0; i < 50; i++) await new Promise((resolve) => client.session.ping(resolve));
  expect(sent).toBeLessThan(2 * 1024 * 1024);
  go();
  let answer = '';
  for await (const bytes of stream) answer += String(bytes);
  expect(answer).toBe(String(body.length));
});

it('an endpoint that leaves the table loses its connection when it is idle, and after its streams', async () => {
  const ends: (() => void)[] = [];
  await using pod = await http2Upstream((stream) => {
    stream.respond();
    stream.write('begun ');
    ends.push(() => stream.end('ended'));
  });
  const site = { ports: [pod.port], protocol: 'h2c' as const };
  await using proxy = await startProxy(nativeEngine, [site], { h2c: true });
  using client = http2Client(proxy.port);
  const asked = client.ask({});
  await new Promise((resolve) => pod.server.once('stream', resolve));
  const closed = new Promise((resolve) => pod.sessions[0]?.once('close', resolve));
  proxy.adopt([{ ports: [], protocol: 'h2c' }]);
  for (const end of ends) end();
  expect((await asked).body).toBe('begun ended');
  await closed;
  expect(proxy.engine.gauges().upstreamConnections).toBe(0);
});

it('streams that wait for the connection to an endpoint that leaves go on with those there are now', async () => {
  await using silent = await scriptedUpstream(() => undefined);
  await using alive = await http2Upstream((stream) => {
    stream.respond();
    stream.end('alive');
  });
  const limits = { connectTimeoutMs: 600_000, attempts: 1 };
  const site = { ports: [silent.port], protocol: 'h2c' as const };
  await using proxy = await startProxy(nativeEngine, [site], { h2c: true, limits });
  using client = http2Client(proxy.port);
  const asked = [client.ask({}), client.ask({})];
  await eventually(async () => proxy.endpoint()?.inFlight === 2);
  proxy.adopt([{ ...site, ports: [alive.port] }]);
  for (const { body } of await Promise.all(asked)) expect(body).toBe('alive');
  expect(await proxy.exchange(1)).toMatchObject({ attempts: 2, connectFailures: ['endpoint-gone'] });
  const [waited] = silent.connections;
  await waited?.ended;
});

it('draining tells clients, lets streams finish, and cuts what is left', async () => {
  const ends: (() => void)[] = [];
  await using pod = await http2Upstream((stream, fields) => {
    stream.respond();
    stream.write('begun ');
    if (!fields.includes('/stuck')) ends.push(() => stream.end('ended'));
  });
  const site = { ports: [pod.port], protocol: 'h2c' as const };
  await using proxy = await startProxy(nativeEngine, [site], { h2c: true });
  using client = http2Client(proxy.port);
  const asked = client.ask({});
  await new Promise((resolve) => pod.server.once('stream', resolve));
  const stuck = client.ask({ ':path': '/stuck' });
  await new Promise((resolve) => pod.server.once('stream', resolve));
  const told = new Promise((resolve) => client.session.once('goaway', resolve));
  const drained = proxy.engine.drain(600);
  await told;
  for (const end of ends) end();
  expect(await asked).toMatchObject({ status: 200, body: 'begun ended', code: 0 });
  expect(await drained).toBe(1);
  expect((await stuck).code).not.toBe(0);
  expect(proxy.engine.gauges()).toMatchObject({ clientConnections: 0, inFlight: 0, upstreamConnections: 0 });
});

it('a drained connection closes by itself when its streams are over', async () => {
  await using pod = await http2Upstream((stream) => {
    stream.respond();
    stream.end('ok');
  });
  const site = { ports: [pod.port], protocol: 'h2c' as const };
  await using proxy = await startProxy(nativeEngine, [site], { h2c: true });
  using client = http2Client(proxy.port);
  expect((await client.ask({})).body).toBe('ok');
  expect(await proxy.engine.drain(5_000)).toBe(0);
});

it('a body that was passed on is passed on again to a pod that did nothing with it, unless it is large', async () => {
  let refused = 0;
  const bodies: number[] = [];
  await using pod = await http2Upstream((stream) => {
    let length = 0;
    stream.on('data', (bytes: Buffer) => {
      length += bytes.length;
      if (length >= 5 && refused++ % 2 === 0) stream.close(7);
    });
    stream.on('end', () => {
      if (stream.closed) return;
      bodies.push(length);
      stream.respond();
      stream.end('done');
    });
  });
  const site = { ports: [pod.port], protocol: 'h2c' as const };
  const limits = { bufferBytes: 16 * 1024 };
  await using proxy = await startProxy(nativeEngine, [site], { h2c: true, limits });
  using client = http2Client(proxy.port);
  expect(await client.ask({ ':method': 'POST' }, 'hello')).toMatchObject({ status: 200, body: 'done' });
  expect(bodies).toEqual([5]);
  refused = 0;
  const stream = client.session.request({ ':method': 'POST', ':path': '/', ':authority': 'app.test' });
  const status = new Promise((resolve) => stream.once('response', (fields) => resolve(fields[':status'])));
  stream.on('error', () => undefined);
  stream.end(Buffer.alloc(200_000));
  expect(await status).toBe(502);
  expect(bodies).toEqual([5]);
});
