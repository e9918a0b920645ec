import { expect } from 'vitest';
import type { EngineFactory } from '../../src/proxy/engine.ts';
import type { EngineName } from './engines.ts';
import { http2Upstream } from './http2-upstream.ts';
import { startProxy } from './proxy.ts';
import { get, rawClient, request } from './raw-client.ts';
import { until } from './until.ts';
import { ok, recordingUpstream, scriptedUpstream } from './upstream.ts';

/** What an engine is known to do differently from the contract, and why it stays that way. */
export interface Deviation {
  readonly engine: EngineName;
  /** The title of the behaviour in the contract suite. */
  readonly behaviour: string;
  readonly reason: string;
  /** Asserts what the engine does instead, so that the declaration goes when it no longer holds. */
  readonly instead: (create: EngineFactory) => Promise<void>;
}

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

const BODY_TOO_LARGE = 'a body that is larger than the server gets is 413, and reaches nobody';

export const deviations: readonly Deviation[] = [
  readsStrictly('blanks after chunk sizes', `${CHUNKED}5   \r\nhello\r\n0 \t\r\n\r\n`),
  readsStrictly('blanks before chunk sizes', `${CHUNKED}   5\r\nhello\r\n   0\r\n\r\n`),
  readsStrictly('blanks before a chunk extension', `${CHUNKED}5 ; a=b\r\nhello\r\n0 ;c\r\n\r\n`),
  readsStrictly('blanks before a colon, which stay here', 'HTTP/1.1 200 OK\r\nX-A : a\r\n\r\n'),
  readsStrictly(
    'lines that end with LF alone, where that is asked for',
    'HTTP/1.1 200 OK\nContent-Length: 5\n\nhello',
  ),
  {
    engine: 'http-proxy',
    behaviour: 'relays a method nobody knows',
    reason: 'node:http knows a fixed list of methods and its parser refuses any other: the client gets 501',
    async instead(create) {
      await using upstream = await recordingUpstream();
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      client.send(request('BREW', '/pot', ''));
      expect((await client.message()).status).toBe(501);
      expect(upstream.connections).toHaveLength(0);
    },
  },
  {
    engine: 'http-proxy',
    behaviour: 'an interim response nobody knows is relayed ahead of the response',
    reason:
      'node:http writes 100, 102 and 103 and has no way to write another interim response: it is dropped',
    async instead(create) {
      await using upstream = await scriptedUpstream(async (connection) => {
        await connection.head();
        connection.send('HTTP/1.1 104 Upload Resumption Supported\r\nX-Resume: yes\r\n\r\n');
        connection.send(ok('done'));
      });
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      client.send(get('/'));
      expect(await client.message()).toMatchObject({ status: 200, body: 'done' });
    },
  },
  {
    engine: 'http-proxy',
    behaviour: '414 for a target that is longer than a whole head may be',
    reason:
      'node:http has one limit for the whole head and does not say where it was passed: the client gets 431',
    async instead(create) {
      const limits = { requestLineBytes: 1024, headBytes: 2048 };
      await using proxy = await startProxy(create, [], { limits });
      using client = await rawClient(proxy.port);
      client.send(get(`/${'a'.repeat(3000)}`));
      expect((await client.message()).status).toBe(431);
    },
  },
  {
    engine: 'http-proxy',
    behaviour: 'a pipelined request is not sent on before the one ahead of it was answered',
    reason: 'node:http hands out pipelined requests as they are parsed and only puts the responses in order',
    async instead(create) {
      await using second = await recordingUpstream('second');
      await using first = await scriptedUpstream((connection) => connection.until('\r\n\r\n'));
      await using proxy = await startProxy(create, [
        { ports: [first.port] },
        { host: 'other.test', ports: [second.port] },
      ]);
      using client = await rawClient(proxy.port);
      client.send(get('/one') + get('/two').replace('app.test', 'other.test'));
      const connection = await first.connection(0);
      await until(() => second.requests.length === 1);
      connection.send(ok('first'));
      expect((await client.message()).body).toBe('first');
      expect((await client.message()).body).toBe('second');
    },
  },
  {
    engine: 'http-proxy',
    behaviour: 'HTTP/2 is served to clients that ask for it',
    reason:
      'http-proxy answers through node:http, and over TLS only http/1.1 is offered: the client gets 400',
    async instead(create) {
      await using pod = await recordingUpstream();
      await using proxy = await startProxy(create, [{ ports: [pod.port] }], { h2c: true });
      using client = await rawClient(proxy.port);
      client.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      expect(await client.message()).toMatchObject({ startLine: 'HTTP/1.1 400 Bad Request' });
      expect(pod.connections).toHaveLength(0);
    },
  },
  {
    engine: 'http-proxy',
    behaviour: 'a pod that speaks HTTP/2 is spoken to in HTTP/2',
    reason: 'http-proxy sends requests through node:http only: the client gets 501',
    async instead(create) {
      await using pod = await http2Upstream((stream) => stream.close());
      await using proxy = await startProxy(create, [{ ports: [pod.port], protocol: 'h2c' }]);
      using client = await rawClient(proxy.port);
      client.send(get('/'));
      expect((await client.message()).status).toBe(501);
      expect(await proxy.exchange(0)).toMatchObject({ status: 501, attempts: 0 });
    },
  },
  ...[
    'the server gets the whole body, however it comes, and the Pod, too',
    'the server gets the whole body, or nobody does',
    BODY_TOO_LARGE,
  ].map((behaviour): Deviation => ({
    engine: 'http-proxy',
    behaviour,
    reason: 'http-proxy pipes the request of node:http, which gives its body once: the client gets 501',
    async instead(create) {
      await using pod = await recordingUpstream();
      const config = { namespace: 'default', prefix: '', allowedHeaders: [], responseHeaders: null };
      const policies = {
        'external-auth-filter': { ...config, to: { backend: 'default/auth.test:80' }, maxBodyBytes: 10 },
      };
      await using proxy = await startProxy(create, [{ ports: [pod.port], policies }]);
      using client = await rawClient(proxy.port);
      client.send(request('POST', '/', 'hello'));
      expect((await client.message()).status).toBe(501);
      expect(pod.connections).toHaveLength(0);
    },
  })),
];

/** With `insecureHTTPParser` it would read more than these bytes of a pod, and more than is safe. */
function readsStrictly(behaviour: string, bytes: string): Deviation {
  return {
    engine: 'http-proxy',
    behaviour,
    reason: 'node:http reads responses as strictly as requests: the client gets 502, or a cut response',
    async instead(create) {
      await using upstream = await scriptedUpstream(async (connection) => {
        await connection.head();
        connection.send(bytes);
      });
      const sites = [{ ports: [upstream.port] }];
      await using proxy = await startProxy(create, sites, { bareLfInResponses: true });
      using client = await rawClient(proxy.port);
      client.send(get('/'));
      const outcome = await client.message().then(
        ({ status }) => status,
        () => 'cut',
      );
      expect([502, 'cut']).toContain(outcome);
    },
  };
}
