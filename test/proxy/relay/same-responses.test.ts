import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EngineName, engines } from '../../support/engines.ts';
import { type RunningProxy, type Site, startProxy } from '../../support/proxy.ts';
import { chunked, get, rawClient, request } from '../../support/raw-client.ts';
import { type Upstream, ok, scriptedUpstream } from '../../support/upstream.ts';
import type { WireMessage } from '../../support/wire.ts';

const NO_BODY = 'HTTP/1.1 200 OK\r\n';
const DATED = 'Date: Thu, 01 Jan 2026 00:00:00 GMT';
const CHUNKS = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(['a', 'b'], ['X-Sum: 2'])}`;
const old = (...lines: string[]): string => ['GET / HTTP/1.0', ...lines, '', ''].join('\r\n');

const sites = (port: number): Site[] => [
  { ports: [port] },
  { host: '', ports: [port] },
  { host: 'broken.test', ports: [], unavailable: 'service-not-found' },
];

/** What a client sends, and what the pod answers. Then the client asks once more, if its connection is still there. */
const CASES: Readonly<Record<string, readonly [sent: string, given: string]>> = {
  'a length': [get('/'), ok('body')],
  'a date of the pod': [get('/'), ok('body', DATED)],
  'no reason phrase': [get('/'), 'HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n'],
  'a reason phrase of its own': [get('/'), 'HTTP/1.1 418 I am a Teapot\r\nContent-Length: 0\r\n\r\n'],
  'a status nobody knows': [get('/'), 'HTTP/1.1 599 What\r\nContent-Length: 0\r\n\r\n'],
  chunks: [get('/'), CHUNKS],
  'chunks to HTTP/1.0': [old('Host: app.test'), CHUNKS],
  'chunks to HTTP/1.0 that asks to be kept': [old('Host: app.test', 'Connection: keep-alive'), CHUNKS],
  'until the close': [get('/'), `${NO_BODY}Connection: close\r\n\r\nbody`],
  'until the close to HTTP/1.0': [
    old('Host: app.test', 'Connection: keep-alive'),
    `${NO_BODY}Connection: close\r\n\r\nbody`,
  ],
  'HEAD with a length': [request('HEAD', '/', ''), `${NO_BODY}Content-Length: 9\r\n\r\n`],
  'HEAD without a length': [request('HEAD', '/', ''), `${NO_BODY}\r\n`],
  'HEAD with chunks': [request('HEAD', '/', ''), `${NO_BODY}Transfer-Encoding: chunked\r\n\r\n`],
  '204': [get('/'), 'HTTP/1.1 204 No Content\r\n\r\n'],
  '204 with a length': [get('/'), 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n'],
  '304 with a length': [get('/'), 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 9\r\n\r\n'],
  '304 without a length': [get('/'), 'HTTP/1.1 304 Not Modified\r\n\r\n'],
  '205 without a body': [get('/'), 'HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n'],
  'a pod of HTTP/1.0': [get('/'), 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok'],
  'hop-by-hop fields of the pod': [
    get('/'),
    ok('', 'Connection: X-A, keep-alive', 'X-A: 1', 'Keep-Alive: timeout=3', 'Upgrade: h2c', 'X-B: 2'),
  ],
  'repeated fields of the pod': [get('/'), ok('', 'Set-Cookie: a', 'Set-Cookie: b', 'Vary: a', 'vary: b')],
  'the client closes': [get('/', 'Connection: close'), ok('body')],
  'HTTP/1.0': [old('Host: app.test'), ok('body')],
  'HTTP/1.0 that asks to be kept': [old('Host: app.test', 'Connection: Keep-Alive'), ok('body')],
  'HTTP/1.0 without a host': [old(), ok('body')],
  'an upload': [request('POST', '/', 'body'), ok('body')],
  'an upload in chunks': [request('POST', '/', chunked(['body']), 'Transfer-Encoding: chunked'), ok('body')],
  'an upload that stops short': [
    'POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 200000\r\n\r\nbody',
    ok('early'),
  ],
  'a large upload that stops short': [
    'POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 20000000\r\n\r\nbody',
    ok('early'),
  ],
  'chunks that stop short': [
    'POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n',
    ok('early'),
  ],
  'no endpoint': [get('/').replace('app.test', 'broken.test'), ''],
  'no endpoint, as JSON': [get('/', 'Accept: application/json').replace('app.test', 'broken.test'), ''],
  'no endpoint, HEAD': [request('HEAD', '/', '').replace('app.test', 'broken.test'), ''],
  'no endpoint, HTTP/1.0': [old('Host: broken.test', 'Connection: keep-alive'), ''],
  'no endpoint, an upload that stops short': [
    'POST / HTTP/1.1\r\nHost: broken.test\r\nContent-Length: 200000\r\n\r\nbody',
    '',
  ],
  'no Host': ['GET / HTTP/1.1\r\n\r\n', ''],
  'two lengths': [get('/', 'Content-Length: 0', 'Content-Length: 0'), ''],
  TRACE: [request('TRACE', '/', ''), ''],
  CONNECT: ['CONNECT app.test:80 HTTP/1.1\r\nHost: app.test\r\n\r\n', ''],
  'an unknown expectation': [get('/', 'Expect: magic'), ''],
  'a pod that says nothing sensible': [get('/'), 'SSH-2.0-OpenSSH\r\n'],
  'a pod with two lengths': [get('/'), `${NO_BODY}Content-Length: 1\r\nContent-Length: 1\r\n\r\nx`],
  'a pod that switches unasked': [get('/'), 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n'],
  'a request behind one that closes': [get('/', 'Connection: close') + get('/behind'), ok('body')],
  'two requests at once': [get('/') + get('/behind'), ok('body')],
  'a malformed request behind another': [`${get('/')}GET / HTTP/1.1\r\nX(y): z\r\n\r\n`, ok('body')],
};

/** As one line each; Node says of HTTP/1.1 what goes without saying. */
function described({ startLine, fields, body, trailers }: WireMessage, isOld: boolean): string[] {
  const lines = fields
    .map(([name, value]) => `${name.toLowerCase()}: ${value}`)
    .filter((line) => !line.startsWith('keep-alive:') && (isOld || line !== 'connection: keep-alive'))
    .map((line) => (line.startsWith('date: ') && !line.includes('Jan 2026') ? 'date: now' : line));
  return [startLine, ...lines.toSorted(), body, ...trailers.map(String)];
}

describe('both engines give the same response, and do the same with the connection', () => {
  let given = '';
  let pod: Upstream;
  const proxies = new Map<EngineName, RunningProxy>();

  beforeAll(async () => {
    pod = await scriptedUpstream(async (connection) => {
      for (;;) {
        const head = await connection.head();
        const next = head.startLine.includes('/next');
        connection.send(next ? ok('next') : given);
        if (!next && /^(?:HTTP\/1.0|SSH)|\nConnection: close/.test(given)) return connection.end();
      }
    });
    for (const { name, create } of engines) {
      proxies.set(name, await startProxy(create, sites(pod.port)));
    }
  });
  afterAll(async () => {
    for (const proxy of proxies.values()) await proxy[Symbol.asyncDispose]();
    await pod[Symbol.asyncDispose]();
  });

  async function seen(proxy: RunningProxy, sent: string): Promise<string[]> {
    using client = await rawClient(proxy.port);
    client.send(sent);
    const out: string[] = [];
    const isOld = sent.includes(' HTTP/1.0\r\n');
    const toHead = sent.startsWith('HEAD');
    const messages = sent.split(' HTTP/1.').length - 1;
    for (let i = 0; i < messages; i++) {
      const message = await client.message({ toHead }).catch(() => null);
      if (!message) break;
      out.push(...described(message, isOld));
    }
    const length = Number(/Content-Length: (\d{4,7})\r/.exec(sent)?.[1] ?? 0);
    if (length > 0) client.send('x'.repeat(length - 4));
    client.send(get('/next'));
    const next = await client.message().catch(() => null);
    return [...out, next ? `then ${next.status} ${next.body}` : 'then the end'];
  }

  test.each(Object.entries(CASES))('%s', async (_, [sent, answer]) => {
    given = answer;
    const expected = await seen(proxies.get('http-proxy')!, sent);
    expect(await seen(proxies.get('relay')!, sent)).toEqual(expected);
    expect(expected.length).toBeGreaterThan(1);
  });
});
