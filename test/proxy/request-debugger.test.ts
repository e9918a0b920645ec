import { expect, it } from 'vitest';
import { nativeEngine } from '../../src/proxy/native-engine.ts';
import type { DebugLine, DebugSession } from '../../src/proxy/debug/debug-session.ts';
import { DEBUG_TOPICS } from '../../src/proxy/debug/debug-session.ts';
import { RequestDebugger } from '../../src/proxy/debug/request-debugger.ts';
import { unusedPort } from '../support/loopback.ts';
import { type Site, startProxy } from '../support/proxy.ts';
import { get, rawClient } from '../support/raw-client.ts';
import { recordingUpstream } from '../support/upstream.ts';

const SESSION: DebugSession = { id: 7, topics: DEBUG_TOPICS, host: null, until: 1_000, requests: 2 };

interface Told {
  readonly lines: readonly DebugLine[];
  /** By request, in order, without times. */
  stories(): readonly (readonly string[])[];
}

/** What is told while these requests are served one after the other, at a time. */
async function told(
  sites: readonly Site[],
  requests: readonly string[],
  session = SESSION,
  now = 0,
): Promise<Told> {
  const lines: DebugLine[] = [];
  const debug = new RequestDebugger(
    (line) => void lines.push(line),
    () => now,
  );
  debug.use([session]);
  await using proxy = await startProxy(nativeEngine, sites, { debug });
  using client = await rawClient(proxy.port);
  for (const request of requests) {
    client.send(request);
    await client.message();
  }
  await proxy.exchange(requests.length - 1);
  return {
    lines,
    stories() {
      const byRequest = Map.groupBy(lines, ({ requestId }) => requestId);
      return [...byRequest.values()].map((story) =>
        story.map(({ topic, text }) => `${topic}: ${text.replaceAll(/[\d.]+ ms/g, 'T')}`),
      );
    },
  };
}

it('tells the story of a request that is tried again, without what looks like a credential', async () => {
  await using pod = await recordingUpstream();
  const refusing = await unusedPort();
  const { stories } = await told(
    [{ ports: [refusing, pod.port] }],
    [get('/a?sig=1', 'Authorization: Basic c2VjcmV0'), get('/b')],
  );
  const story = stories().find((each) => each.some((line) => line.includes('refused')));
  const path = story?.[0]?.includes('/b') ? '/b' : '/a?sig=REDACTED';
  expect(story).toEqual([
    `head: GET ${path} HTTP/1.1 for app.test by http from 127.0.0.1`,
    'decide: Ingress default/app.test, path /: to default/app.test:80',
    'policy: the policies let it go on',
    `upstream: attempt 1: 127.0.0.1:${refusing}, HTTP/1.1, connecting`,
    'upstream: attempt 1: refused after T, another attempt follows',
    expect.stringMatching(/^upstream: attempt 2: .*, (?:connecting|on an open connection)$/),
    ...(story?.includes('upstream: attempt 2: connected after T')
      ? ['upstream: attempt 2: connected after T']
      : []),
    `upstream: attempt 2: sent GET ${path}`,
    'upstream: attempt 2: answered with 200 after T',
    'response: over with 200 after T, 0 bytes in, 2 bytes out',
  ]);
});

it('tells of a response of Portico', async () => {
  const { stories } = await told([{ ports: [] }], [get('/'), get('/').replace('app.test', 'nobody.test')]);
  const [first, second] = stories();
  expect(first?.slice(3)).toEqual([
    'upstream: no endpoint to try, given up as no-endpoint',
    'response: Portico responds with 503 for no-endpoint',
    expect.stringContaining('response: over with 503'),
  ]);
  expect(second?.slice(1)).toEqual([
    'decide: refused as no-route',
    'response: Portico responds with 404 for no-route',
    expect.stringContaining('response: over with 404'),
  ]);
});

it('tells only of the topics, the host, the time and the number of requests that were asked for', async () => {
  await using pod = await recordingUpstream();
  const sites = [{ ports: [pod.port] }, { host: 'b.test', ports: [pod.port] }];
  const requests = [get('/'), get('/'), get('/'), get('/').replace('app.test', 'B.test:8080')];
  const some = await told(sites, requests, { ...SESSION, topics: ['decide'], host: 'app.test' });
  expect(some.lines.map(({ session, topic }) => [session, topic])).toEqual([
    [7, 'decide'],
    [7, 'decide'],
  ]);
  const other = await told(sites, requests, { ...SESSION, topics: ['head'], host: 'b.test' });
  expect(other.lines.map(({ text }) => text)).toEqual([expect.stringContaining('for B.test:8080')]);
  expect((await told(sites, requests, SESSION, 1_000)).lines).toEqual([]);
});

it('goes on counting for a session that stays, and is no more active when none is left', () => {
  const lines: DebugLine[] = [];
  const debug = new RequestDebugger(
    (line) => void lines.push(line),
    () => 0,
  );
  const connectionInfo = {
    peer: '10.0.0.1',
    trusted: false,
    clientAddress: '10.0.0.1',
    scheme: 'http',
    port: 80,
    tls: false,
  } as const;
  const request = {
    ...{ method: 'GET', host: 'a.test', target: `/${'x'.repeat(5_000)}\u001b[2J`, httpVersion: '2' },
    ...{ scheme: 'http' as const, clientAddress: '192.0.2.1', connectionInfo, requestId: 'r' },
  } as const;
  const begun = (): boolean => debug.begin(request) !== null;
  expect([debug.isActive, begun()]).toEqual([false, false]);
  debug.use([SESSION]);
  expect([begun(), begun(), begun()]).toEqual([true, true, false]);
  debug.use([SESSION, { ...SESSION, id: 8, requests: 1 }]);
  expect([begun(), begun()]).toEqual([true, false]);
  debug.use([]);
  expect(debug.isActive).toBe(false);
  expect(lines.every(({ text }) => text.length < 1_100 && !text.includes('\u001b'))).toBe(true);
});
