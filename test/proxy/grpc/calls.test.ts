import {
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { afterEach, expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { FLAG, frameClient, headers, requestFields } from '../../support/http2-frames.ts';
import { http2Upstream } from '../../support/http2-upstream.ts';
import { type RunningProxy, startProxy } from '../../support/proxy.ts';
import { unusedPort } from '../../support/loopback.ts';
import { recordingUpstream } from '../../support/upstream.ts';
import { echoClient, echoServer } from './echo.ts';
import { soon } from '../../support/until.ts';

type Client = ReturnType<typeof echoClient>;
type Called = {
  readonly text: string | undefined;
  readonly error: ServiceError | null;
  readonly trailers: Metadata;
};

const clients: Client[] = [];
afterEach(() => clients.splice(0).forEach((client) => client.close()));

function clientOf(proxy: RunningProxy, authority?: string): Client {
  const client = echoClient(proxy.port, authority);
  clients.push(client);
  return client;
}

function unary(client: Client, text: string, deadlineMs = 10_000): Promise<Called> {
  return new Promise((resolve) => {
    const made: Omit<Called, 'trailers'>[] = [];
    let trailers = new Metadata();
    const options = { deadline: Date.now() + deadlineMs };
    const call = client['unary']!(
      text,
      new Metadata(),
      options,
      (error: ServiceError | null, answer?: string) => {
        made.push({ error, text: answer });
      },
    );
    call.on('status', (given: { metadata: Metadata }) => {
      trailers = given.metadata;
      setImmediate(() => resolve({ ...made[0]!, trailers }));
    });
  });
}

const grpc = (...ports: number[]) => ({ ports, protocol: 'grpc' as const });

it('a unary call comes back with its trailers', async () => {
  await using pod = await echoServer('one');
  await using proxy = await startProxy(nativeEngine, [grpc(pod.port)], { h2c: true });
  const { text, error, trailers } = await unary(clientOf(proxy), 'hello');
  expect([error, text]).toEqual([null, 'hello']);
  expect(trailers.get('x-pod')).toEqual(['one']);
  expect(trailers.get('x-binary-bin')).toEqual([Buffer.from([0, 255])]);
});

it("the pod's own failure is the pod's own", async () => {
  await using pod = await echoServer();
  await using proxy = await startProxy(nativeEngine, [grpc(pod.port)], { h2c: true });
  const { error } = await unary(clientOf(proxy), 'fail');
  expect(error).toMatchObject({ code: status.NOT_FOUND, details: 'no such: ünïcode' });
});

it('a client that streams is answered once', async () => {
  await using pod = await echoServer();
  await using proxy = await startProxy(nativeEngine, [grpc(pod.port)], { h2c: true });
  const answer = await new Promise((resolve, reject) => {
    const call: ClientWritableStream<string> = clientOf(proxy)['upload']!((error: unknown, text: string) =>
      error ? reject(error) : resolve(text),
    );
    for (const text of ['a', 'b', 'c']) call.write(text);
    call.end();
  });
  expect(answer).toBe('a b c');
});

it('a pod that streams is heard to its end', async () => {
  await using pod = await echoServer();
  await using proxy = await startProxy(nativeEngine, [grpc(pod.port)], { h2c: true });
  const call: ClientReadableStream<string> = clientOf(proxy)['download']!('500');
  const texts: string[] = [];
  for await (const text of call) texts.push(text as string);
  expect(texts).toHaveLength(500);
  expect(texts.at(-1)).toBe('message 499');
});

it('both talk at once, each message as soon as it is said', async () => {
  await using pod = await echoServer();
  await using proxy = await startProxy(nativeEngine, [grpc(pod.port)], { h2c: true });
  const call: ClientDuplexStream<string, string> = clientOf(proxy)['chat']!();
  for (const text of ['one', 'two', 'three']) {
    call.write(text);
    expect(await new Promise((resolve) => call.once('data', resolve))).toBe(`you said ${text}`);
  }
  const over = new Promise<{ code: number }>((resolve) => call.once('status', resolve));
  // The pod ends the call; the client has not.
  call.write('enough');
  call.resume();
  expect((await over).code).toBe(status.OK);
});

it.each(['grpc', 'h2c'] as const)('a call may be silent for longer than a body: %s', async (protocol) => {
  await using pod = await echoServer();
  const limits = { bodyIdleTimeoutMs: 50, upstreamIdleTimeoutMs: 50 };
  await using proxy = await startProxy(
    nativeEngine,
    [
      { ports: [pod.port], protocol },
      { ports: [pod.port], protocol, host: 'other.test' },
    ],
    {
      h2c: true,
      limits,
    },
  );
  const call: ClientDuplexStream<string, string> = clientOf(proxy)['chat']!();
  call.write('one');
  await new Promise((resolve) => call.once('data', resolve));
  // Another call that is given up for its silence before it was answered: so much time has passed.
  const { error } = await unary(clientOf(proxy, 'other.test'), 'wait');
  expect(error?.code).toBe(status.UNAVAILABLE);
  call.write('two');
  expect(await new Promise((resolve) => call.once('data', resolve))).toBe('you said two');
  const over = new Promise((resolve) => call.once('status', resolve));
  call.end();
  call.resume();
  await over;
});

it.each([
  ['a Pod of HTTP/1.1', 'http'],
  ['a Pod of HTTP/2 that does not answer as gRPC', 'h2c'],
] as const)('a client that only calls itself gRPC is not waited for: %s', async (_what, protocol) => {
  await using pod = protocol === 'http' ? await recordingUpstream() : await http2Upstream(() => undefined);
  const limits = { bodyIdleTimeoutMs: 50 };
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], protocol }], {
    h2c: true,
    limits,
  });
  using client = await frameClient(proxy.port);
  const fields = requestFields('POST', '/', ['content-type', 'application/grpc']);
  client.send(headers(1, fields, FLAG.endHeaders));
  expect((await proxy.exchange(0)).detail).toBe('request-timed-out');
});

it('calls of one client are balanced one by one', async () => {
  await using one = await echoServer('one');
  await using two = await echoServer('two');
  await using proxy = await startProxy(nativeEngine, [grpc(one.port, two.port)], { h2c: true });
  const client = clientOf(proxy);
  await Promise.all(Array.from({ length: 20 }, () => unary(client, 'x')));
  expect([one.calls, two.calls]).toEqual([10, 10]);
});

it('a call that takes longer than its deadline is ended by the proxy, and at the pod', async () => {
  const cancelled = Promise.withResolvers<void>();
  const reached: unknown[] = [];
  await using pod = await http2Upstream((stream) => {
    reached.push(stream);
    stream.once('close', cancelled.resolve);
  });
  await using proxy = await startProxy(nativeEngine, [grpc(pod.port)], { h2c: true });
  // On a busy machine a deadline may pass before the call is at the pod.
  for (let deadline = 150; reached.length === 0; deadline *= 2) {
    const { error } = await unary(clientOf(proxy), 'x', deadline);
    expect(error?.code).toBe(status.DEADLINE_EXCEEDED);
  }
  await soon(cancelled.promise, () => 'the stream to the pod is closed');
  // Who of the two was faster does not matter to the client.
  const { status: logged } = await proxy.exchange(0);
  expect([499, 504]).toContain(logged);
});

it('the deadline that a call names is kept even for a client that does not', async () => {
  await using pod = await http2Upstream(() => undefined);
  await using proxy = await startProxy(nativeEngine, [grpc(pod.port)], { h2c: true });
  const { http2Client } = await import('../../support/http2-client.ts');
  using client = http2Client(proxy.port);
  const fields = { ':method': 'POST', 'content-type': 'application/grpc+proto', 'grpc-timeout': '50m' };
  const answer = await client.ask(fields, '');
  expect(answer).toMatchObject({ status: 200, body: '' });
  expect(answer.headers).toMatchObject({ 'grpc-status': '4', 'content-type': 'application/grpc' });
  expect(await proxy.exchange(0)).toMatchObject({ status: 504, detail: 'deadline-exceeded' });
});

it.each([
  ['no route', 'none.test', status.UNIMPLEMENTED],
  ['no endpoint', 'empty.test', status.UNAVAILABLE],
  ['a pod that refuses', 'refused.test', status.UNAVAILABLE],
  ['a pod that does not answer in time', 'late.test', status.UNAVAILABLE],
])('%s is a status of gRPC', async (_what, authority, code) => {
  await using late = await http2Upstream(() => undefined);
  const sites = [
    { ...grpc(), host: 'empty.test', unavailable: 'no-endpoints' as const },
    { ...grpc(await unusedPort()), host: 'refused.test' },
    { ...grpc(late.port), host: 'late.test' },
  ];
  const limits = { upstreamIdleTimeoutMs: 50 };
  await using proxy = await startProxy(nativeEngine, sites, { h2c: true, limits });
  const { error } = await unary(clientOf(proxy, authority), 'x');
  expect(error?.code).toBe(code);
  expect(error?.details).not.toContain('<');
});

it('a client that cancels cancels at the pod', async () => {
  await using pod = await echoServer();
  await using proxy = await startProxy(nativeEngine, [grpc(pod.port)], { h2c: true });
  const call: ClientDuplexStream<string, string> = clientOf(proxy)['chat']!();
  call.on('error', () => undefined);
  call.write('one');
  await new Promise((resolve) => call.once('data', resolve));
  call.cancel();
  expect((await proxy.exchange(0)).detail).toBe('client-gone');
});
