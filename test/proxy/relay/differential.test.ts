import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { engines } from '../../support/engines.ts';
import { type RunningProxy, startProxy } from '../../support/proxy.ts';
import { chunked, rawClient } from '../../support/raw-client.ts';
import { scriptedUpstream } from '../../support/upstream.ts';
import type { WireMessage } from '../../support/wire.ts';
import { examples } from '../../support/examples.ts';

interface Sent {
  readonly method: string;
  readonly target: string;
  readonly version: '1.0' | '1.1';
  readonly fields: readonly string[];
  readonly body: Body;
}

interface Given {
  readonly status: number;
  readonly fields: readonly string[];
  readonly body: Body | { readonly kind: 'until-close'; readonly text: string };
}

type Body =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly text: string }
  | { readonly kind: 'chunked'; readonly chunks: readonly string[]; readonly trailers: readonly string[] };

const text = fc.string({ unit: 'binary-ascii', maxLength: 200 });
const body = fc.oneof(
  fc.constant<Body>({ kind: 'none' }),
  fc.record({ kind: fc.constant('length' as const), text }),
  fc.record({
    kind: fc.constant('chunked' as const),
    chunks: fc.array(fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 80 }), { maxLength: 5 }),
    trailers: fc.constantFrom([], ['X-Sum: 12'], ['X-Sum: 12', 'X-Other: a b']),
  }),
);
const value = fc.stringMatching(/^[!-~]([ -~]{0,30}[!-~])?$/);
/** Fields that mean nothing to a proxy, and some that mean much. */
const fields = fc
  .uniqueArray(
    fc.oneof(
      fc.tuple(
        fc.constantFrom('X-A', 'x-b', 'Accept', 'Cookie', 'User-Agent', 'ETag', 'Cache-Control', 'Vary'),
        value,
      ),
      fc.constantFrom(
        ['Connection', 'X-Hop'],
        ['X-Hop', 'gone'],
        ['Keep-Alive', 'timeout=9'],
        ['TE', 'trailers'],
        ['X-Forwarded-For', '6.6.6.6'],
        ['X_Forwarded_Proto', 'https'],
        ['Forwarded', 'for=6.6.6.6'],
        ['X-Real-IP', '6.6.6.6'],
        ['Proxy-Connection', 'keep-alive'],
      ),
    ),
    { maxLength: 8, selector: ([name]) => name?.toLowerCase() },
  )
  .map((pairs) => pairs.map(([name, content]) => `${name}: ${content}`));

const sent: fc.Arbitrary<Sent> = fc.record({
  method: fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'),
  target: fc.constantFrom('/', '/a/b?c=d', '/a//b/../c', '/%7Euser/%2F', '/?', "/a;b=1,2'(x)"),
  version: fc.constantFrom('1.1', '1.1', '1.1', '1.0'),
  fields,
  body,
});
const given: fc.Arbitrary<Given> = fc.record({
  status: fc.constantFrom(200, 200, 201, 204, 206, 301, 304, 404, 500, 503),
  fields,
  body: fc.oneof(body, fc.record({ kind: fc.constant('until-close' as const), text })),
});

function bytesOf(head: readonly string[], content: Given['body']): string {
  switch (content.kind) {
    case 'none':
      return [...head, '', ''].join('\r\n');
    case 'length':
      return [...head, `Content-Length: ${content.text.length}`, '', content.text].join('\r\n');
    case 'chunked':
      return [...head, 'Transfer-Encoding: chunked', '', chunked(content.chunks, content.trailers)].join(
        '\r\n',
      );
    case 'until-close':
      return [...head, 'Connection: close', '', content.text].join('\r\n');
    default:
      return content satisfies never;
  }
}

/** What an exchange came to, without what engines may do each in their own way. */
interface Seen {
  readonly request: unknown;
  readonly response: unknown;
}

const OWN_WAY = new Set([
  'connection',
  'keep-alive',
  'x-request-id',
  // Each engine listens on its own.
  'x-forwarded-port',
]);

function described(message: WireMessage, withoutBody: boolean): unknown {
  const kept = message.fields
    .map(([name, content]) => `${name.toLowerCase()}: ${name === 'Date' ? 'now' : content}`)
    .filter((line) => !OWN_WAY.has(line.slice(0, line.indexOf(':'))));
  const { startLine, trailers } = message;
  return { startLine, fields: kept.toSorted(), body: withoutBody ? '' : message.body, trailers };
}

test('random valid exchanges come to the same through both engines', async () => {
  let answer = '';
  let request: WireMessage | null = null;
  await using upstream = await scriptedUpstream(async (connection) => {
    for (;;) {
      request = await connection.message();
      connection.send(answer);
      if (answer.includes('Connection: close')) return connection.end();
    }
  });
  const proxies: [string, RunningProxy][] = [];
  for (const { name, create } of engines) {
    proxies.push([name, await startProxy(create, [{ ports: [upstream.port] }])]);
  }

  async function exchange(proxy: RunningProxy, asked: Sent, response: Given): Promise<Seen> {
    const bodiless = asked.method === 'HEAD' || response.status === 204 || response.status === 304;
    const { kind } = response.body;
    const content = bodiless && kind !== 'until-close' ? ({ kind: 'none' } as const) : response.body;
    const plain = content.kind === 'none' && !bodiless ? ['Content-Length: 0'] : [];
    const closing = bodiless && content.kind === 'until-close' ? { ...content, text: '' } : content;
    answer = bytesOf([`HTTP/1.1 ${response.status} Some Reason`, ...response.fields, ...plain], closing);
    request = null;
    using client = await rawClient(proxy.port);
    const start = `${asked.method} ${asked.target} HTTP/${asked.version}`;
    client.send(bytesOf([start, 'Host: app.test', ...asked.fields], asked.body));
    const message = await client.message({ toHead: asked.method === 'HEAD' });
    if (!request) throw new Error('the upstream was not asked');
    return { request: described(request, false), response: described(message, bodiless) };
  }

  await fc.assert(
    fc.asyncProperty(sent, given, async (asked, response) => {
      fc.pre(asked.version === '1.1' || asked.body.kind !== 'chunked');
      const seen: [string, Seen][] = [];
      for (const [name, proxy] of proxies) seen.push([name, await exchange(proxy, asked, response)]);
      const [[, first] = [], ...others] = seen;
      for (const [name, other] of others) expect(other, name).toEqual(first);
    }),
    { numRuns: examples(50) },
  );
  for (const [, proxy] of proxies) await proxy[Symbol.asyncDispose]();
});
