import {
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  Metadata,
  ServerCredentials,
  type ServiceError,
  credentials,
  status,
} from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { authority } from '../../support/tls-proxy.ts';
import { type EchoServer, echoClient, echoServer } from '../../proxy/grpc/echo.ts';
import { HTTPS_PORT } from '../../support/daemon.ts';
import { type ServedHosts, serveHosts } from './site.ts';

const GRPC = { 'portico.dev/backend-protocol': 'GRPC' };
const GRPCS = { 'nginx.ingress.kubernetes.io/backend-protocol': 'GRPCS' };

let pod: EchoServer;
let served: ServedHosts;

beforeAll(async () => {
  pod = await echoServer('pod');
  const { certificate, key } = authority().issue(['pod.internal']);
  const pair = { cert_chain: Buffer.from(certificate), private_key: Buffer.from(key) };
  const secure = await new Promise<number>((resolve, reject) =>
    pod.server.bindAsync('127.0.0.1:0', ServerCredentials.createSsl(null, [pair]), (error, port) =>
      error ? reject(error) : resolve(port),
    ),
  );
  served = await serveHosts([
    { host: 'grpc.test', port: pod.port, annotations: GRPC },
    { host: 'app.test', port: pod.port, appProtocol: 'grpc' },
    { host: 'grpcs.test', port: secure, annotations: GRPCS },
  ]);
});

afterAll(async () => {
  await served[Symbol.asyncDispose]();
  await pod[Symbol.asyncDispose]();
});

describe.each(['grpc.test', 'app.test', 'grpcs.test'])('grpc-js over TLS, for %s', (host) => {
  let client: ReturnType<typeof echoClient>;
  beforeAll(() => {
    const trust = credentials.createSsl(Buffer.from(authority().certificate));
    client = echoClient(HTTPS_PORT, host, { address: served.daemon.address, credentials: trust });
  });
  afterAll(() => client.close());

  const unary = (
    text: string,
    deadlineMs = 20_000,
  ): Promise<{
    text: string | undefined;
    error: ServiceError | null;
    initial: Metadata;
    trailers: Metadata;
  }> =>
    new Promise((resolve) => {
      let initial = new Metadata();
      let given: [ServiceError | null, string | undefined] = [null, undefined];
      const sent = new Metadata();
      sent.set('x-text', 'some text');
      sent.set('x-bytes-bin', Buffer.from([0, 1, 254, 255]));
      const options = { deadline: Date.now() + deadlineMs };
      const call = client['unary']!(text, sent, options, (error: ServiceError | null, answer?: string) => {
        given = [error, answer];
      });
      call.on('metadata', (metadata: Metadata) => (initial = metadata));
      call.on('status', ({ metadata }: { metadata: Metadata }) =>
        setImmediate(() => resolve({ error: given[0], text: given[1], initial, trailers: metadata })),
      );
    });

  it('a unary call, with its metadata', async () => {
    const { text, error, initial, trailers } = await unary('hello');
    expect([error, text]).toEqual([null, 'hello']);
    expect(initial.get('x-text')).toEqual(['some text']);
    expect(initial.get('x-bytes-bin')).toEqual([Buffer.from([0, 1, 254, 255])]);
    expect(trailers.get('x-pod')).toEqual(['pod']);
    expect(trailers.get('x-binary-bin')).toEqual([Buffer.from([0, 255])]);
  });

  it('a message of a megabyte', async () => {
    const large = 'ü'.repeat(500_000);
    expect((await unary(large)).text === large).toBe(true);
  });

  it("the pod's own status", async () => {
    expect((await unary('fail')).error).toMatchObject({
      code: status.NOT_FOUND,
      details: 'no such: ünïcode',
    });
  });

  it('a deadline', async () => {
    expect((await unary('wait', 200)).error?.code).toBe(status.DEADLINE_EXCEEDED);
  });

  it('a client that streams', async () => {
    const answer = await new Promise((resolve, reject) => {
      const call: ClientWritableStream<string> = client['upload']!((error: unknown, text: string) =>
        error ? reject(error) : resolve(text),
      );
      for (let i = 0; i < 200; i++) call.write(String(i));
      call.end();
    });
    expect(answer).toBe(Array.from({ length: 200 }, (_, index) => index).join(' '));
  });

  it('a pod that streams', async () => {
    const call: ClientReadableStream<string> = client['download']!('1000');
    let count = 0;
    for await (const text of call) expect(text).toBe(`message ${count++}`);
    expect(count).toBe(1_000);
  });

  it('both at once, each message as soon as it is said', async () => {
    const call: ClientDuplexStream<string, string> = client['chat']!();
    for (const text of ['one', 'two', 'three']) {
      call.write(text);
      expect(await new Promise((resolve) => call.once('data', resolve))).toBe(`you said ${text}`);
    }
    const over = new Promise<{ code: number }>((resolve) => call.once('status', resolve));
    call.resume();
    call.end();
    expect((await over).code).toBe(status.OK);
  });
});
