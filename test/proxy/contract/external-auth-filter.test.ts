import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HeaderField } from '../../../src/http/head-edit.ts';
import type { SubrequestOutcome } from '../../../src/http/subrequest.ts';
import { checkOutcome } from '../../../src/policies/auth/check-call.ts';
import { checkAnswer } from '../../../src/policies/auth/check-response.ts';
import type { ExternalAuthFilterConfig } from '../../../src/policies/external-auth-filter.ts';
import type { PolicyConfigs } from '../../../src/policies/registry.ts';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { authServer } from '../../support/auth-server.ts';
import { contract } from '../../support/engines.ts';
import { examples } from '../../support/examples.ts';
import { checkResponse, checkServer } from '../../support/ext-authz.ts';
import { http2Client } from '../../support/http2-client.ts';
import { startProxy } from '../../support/proxy.ts';
import { chunked, get, rawClient, request } from '../../support/raw-client.ts';
import { until } from '../../support/until.ts';
import { recordingUpstream } from '../../support/upstream.ts';

/** An authentication server of a filter, with the bodies that it got. */
async function bodyServer() {
  const bodies: string[] = [];
  const server = await authServer((message, response) => {
    const chunks: Buffer[] = [];
    message.on('data', (chunk: Buffer) => chunks.push(chunk));
    message.on('end', () => {
      bodies.push(Buffer.concat(chunks).toString('latin1'));
      const status = Number(message.headers['x-want'] ?? 200);
      response.writeHead(status, {
        'X-User': 'ada',
        'Content-Type': 'text/x-auth',
        'X-Forwarded-For': '6.6.6.6',
        ...(status === 302 && { Location: '/sign-in' }),
        ...(status === 401 && { 'WWW-Authenticate': 'Bearer' }),
      });
      response.end('said by the server');
    });
  });
  return { ...server, bodies };
}

const filter = (config: Partial<ExternalAuthFilterConfig> = {}): PolicyConfigs => ({
  'external-auth-filter': {
    ...{ namespace: 'default', to: { backend: 'default/auth.test:80' }, prefix: '', allowedHeaders: [] },
    ...{ responseHeaders: null, maxBodyBytes: 0, ...config },
  },
});

contract('the filter ExternalAuth', (behaves) => {
  behaves('tells a Service what it may know, and the Pod what it says', async (create) => {
    await using auth = await bodyServer();
    await using pod = await recordingUpstream('ok');
    const allowedHeaders = ['x-tenant', 'x-forwarded-for', 'x-want', 'x-group'];
    const policies = filter({ prefix: '/check', allowedHeaders });
    const sites = [
      { ports: [pod.port], policies },
      { host: 'auth.test', ports: [auth.port] },
    ];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    const fields = ['Authorization: Bearer a', 'Cookie: a=b', 'X-Tenant: t', 'X-Forwarded-For: 9.9.9.9'];
    client.send(
      request('POST', '/a/../%62?c=/../d', 'hello', 'Content-Type: text/plain', 'X-User: eve', ...fields),
    );
    expect((await client.message()).status).toBe(200);
    client.send(get('/', 'Connection: X-Group', 'X-Group: admins'));
    expect((await client.message()).status).toBe(200);
    const group = [auth.requests[1]?.headers['x-group'], pod.requests[1]?.field('x-group')];
    expect(group).toEqual([undefined, undefined]);
    const [asked] = auth.requests;
    expect(`${asked?.method} ${asked?.url}`).toBe('POST /check/b?c=/../d');
    expect(asked?.headers).toMatchObject({
      host: 'app.test',
      authorization: 'Bearer a',
      'content-length': '0',
    });
    expect(asked?.headers).toMatchObject({ 'x-tenant': 't', 'x-forwarded-for': '127.0.0.1' });
    expect(asked?.headers['cookie']).toBeUndefined();
    const [got] = pod.requests;
    expect(got).toMatchObject({ startLine: 'POST /a/../%62?c=/../d HTTP/1.1', body: 'hello' });
    expect(got?.values('x-user')).toEqual(['ada']);
    expect(got?.values('content-type')).toEqual(['text/plain']);
    expect(got?.values('x-forwarded-for')).toEqual(['127.0.0.1']);
  });

  behaves('200 alone lets a request pass, and no answer is 503', async (create) => {
    await using auth = await bodyServer();
    await using pod = await recordingUpstream('ok');
    const allowedHeaders = ['x-want'];
    const closed = filter({ to: null });
    const sites = [
      { ports: [pod.port], policies: filter({ allowedHeaders, responseHeaders: ['x-user', 'x-group'] }) },
      { host: 'auth.test', ports: [auth.port] },
      { host: 'closed.test', ports: [pod.port], policies: closed },
    ];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    const statuses: number[] = [];
    for (const want of [201, 204, 302, 401, 403, 404, 500, 200]) {
      client.send(get('/', `X-Want: ${want}`, 'X-Group: admins'));
      const { status, field } = await client.message();
      statuses.push(status);
      if (status === 302) expect(field('location')).toBe('/sign-in');
      if (status === 401) expect(field('www-authenticate')).toBe('Bearer');
    }
    expect(statuses).toEqual([403, 403, 302, 401, 403, 403, 503, 200]);
    client.send(get('/').replace('app.test', 'closed.test'));
    expect((await client.message()).status).toBe(503);
    expect(pod.requests.map((seen) => [seen.field('x-user'), seen.field('x-group')])).toEqual([
      ['ada', undefined],
    ]);
  });
});

contract('the filter ExternalAuth with bodies', (behaves) => {
  behaves('the server gets the whole body, however it comes, and the Pod, too', async (create) => {
    await using auth = await bodyServer();
    await using pod = await recordingUpstream('ok');
    const sites = [
      { ports: [pod.port], policies: filter({ maxBodyBytes: 1_000, allowedHeaders: ['x-want'] }) },
      { host: 'auth.test', ports: [auth.port] },
    ];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    client.send(request('POST', '/', 'hello'));
    expect((await client.message()).status).toBe(200);
    const head = request('POST', '/', '', 'Transfer-Encoding: chunked');
    client.send(`${head}3\r\nabc\r\n`);
    client.send('3\r\ndef\r\n0\r\nX-Sum: 1\r\n\r\n');
    expect((await client.message()).status).toBe(200);
    client.send(request('POST', '/', '', 'Expect: 100-continue', 'Content-Length: 4'));
    expect((await client.head()).status).toBe(100);
    client.send('wait');
    expect((await client.message()).status).toBe(200);
    client.send(get('/'));
    expect((await client.message()).status).toBe(200);
    client.send(request('POST', '/', 'no', 'X-Want: 403'));
    expect((await client.message()).status).toBe(403);
    expect(auth.bodies).toEqual(['hello', 'abcdef', 'wait', '', 'no']);
    expect(auth.requests.map(({ headers }) => headers['content-length'])).toEqual([
      '5',
      '6',
      '4',
      undefined,
      '2',
    ]);
    expect(pod.requests.map(({ body }) => body)).toEqual(['hello', 'abcdef', 'wait', '']);
    expect(pod.requests[1]?.trailers).toEqual([['X-Sum', '1']]);
  });

  behaves('a body that is larger than the server gets is 413, and reaches nobody', async (create) => {
    await using auth = await bodyServer();
    await using pod = await recordingUpstream('ok');
    const sites = [
      { ports: [pod.port], policies: filter({ maxBodyBytes: 10 }) },
      { host: 'auth.test', ports: [auth.port] },
    ];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    client.send(request('POST', '/', 'x'.repeat(11)));
    expect((await client.message()).status).toBe(413);
    using other = await rawClient(proxy.port);
    other.send(request('POST', '/', chunked(['x'.repeat(6), 'x'.repeat(6)]), 'Transfer-Encoding: chunked'));
    expect((await other.message()).status).toBe(413);
    expect([auth.requests, pod.requests]).toEqual([[], []]);
  });
});

it('the server of a filter gets whole bodies over HTTP/2, too', async () => {
  await using auth = await bodyServer();
  await using pod = await recordingUpstream('ok');
  const sites = [
    { ports: [pod.port], policies: filter({ maxBodyBytes: 65_535 }) },
    { host: 'auth.test', ports: [auth.port] },
  ];
  await using proxy = await startProxy(nativeEngine, sites, { h2c: true });
  using client = http2Client(proxy.port);
  const post = { ':method': 'POST' };
  const body = 'x'.repeat(65_535);
  expect(await client.ask(post, body)).toMatchObject({ status: 200, body: 'ok' });
  expect(await client.ask({ ...post, 'content-length': 5 }, 'hello')).toMatchObject({ status: 200 });
  expect(await client.ask(post, `${body}x`)).toMatchObject({ status: 413 });
  expect(auth.bodies).toEqual([body, 'hello']);
  expect(pod.requests.map((seen) => seen.body)).toEqual([body, 'hello']);
});

const LONG_FIELDS = Array.from({ length: 3 }, (_, n) => ({ key: `x-${n}`, value: 'x'.repeat(8_000) }));

it('what a server has clients told counts as held until the Pod answers', async () => {
  const held: number[] = [];
  await using auth = await checkServer(() => checkResponse({ ok: { toClient: LONG_FIELDS } }));
  await using pod = await recordingUpstream('ok', () => {
    held.push(proxy.engine.gauges().heldBytes);
    return 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';
  });
  const sites = [
    { ports: [pod.port], policies: byGrpc() },
    { host: 'auth.test', ports: [auth.port] },
  ];
  await using proxy = await startProxy(nativeEngine, sites);
  using client = await rawClient(proxy.port);
  client.send(get('/'));
  expect((await client.message()).field('x-2')).toHaveLength(8_000);
  expect(held[0]).toBeGreaterThan(3 * 8_000);
  await until(() => proxy.engine.gauges().heldBytes === 0, 'nothing is held any more');
});

const GRPC = { protocol: 'grpc', serverName: null, caCertificates: null } as const;
const byGrpc = (config: Partial<ExternalAuthFilterConfig> = {}): PolicyConfigs =>
  filter({
    to: { backend: 'default/auth.test:80', transport: { 'backend-transport': GRPC } },
    grpc: { authority: 'auth.default.svc:80' },
    ...config,
  });

contract('the filter ExternalAuth by gRPC', (behaves) => {
  behaves('tells a server of ext_authz what it may know, and does what it says', async (create) => {
    const headers = [
      { key: 'X-User', value: 'ada' },
      { key: 'x-role', value: 'reader', append: true },
      { key: 'x-empty', value: '' },
    ];
    const toClient = [
      { key: 'Set-Cookie', value: 'a=1' },
      { key: 'Set-Cookie', value: 'b=2' },
    ];
    await using auth = await checkServer(() =>
      checkResponse({ ok: { headers, remove: ['Authorization', ':path', 'Host'], toClient } }),
    );
    await using pod = await recordingUpstream('ok');
    const sites = [
      { ports: [pod.port], policies: byGrpc() },
      {
        host: 'listed.test',
        ports: [pod.port],
        policies: byGrpc({ allowedHeaders: ['x-tenant', 'x-real-ip'] }),
      },
      { host: 'auth.test', ports: [auth.port] },
    ];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    const fields = [
      'Authorization: Bearer a',
      'X-User: eve',
      'X-Role: guest',
      'X-Empty: eve',
      'X-Tenant: t\xe9',
    ];
    const hostile = ['X-Forwarded-For: 9.9.9.9', 'Connection: X-Group', 'X-Group: admins'];
    client.send(get('/a/../%62?c=/../d', ...fields, ...hostile));
    const response = await client.message();
    expect([response.status, response.values('set-cookie')]).toEqual([200, ['a=1', 'b=2']]);
    const [asked] = auth.asked;
    expect(asked).toMatchObject({
      ...{ method: 'GET', path: '/b?c=/../d', host: 'app.test', source: '127.0.0.1', protocol: 'HTTP/1.1' },
      ...{ body: '', headers: { authorization: 'Bearer a', 'x-user': 'eve', 'x-tenant': 't\ufffd' } },
    });
    expect(asked?.headers).toMatchObject({ 'x-forwarded-for': '127.0.0.1', ':path': '/b?c=/../d' });
    expect(asked?.headers).not.toHaveProperty('x-group');
    const [got] = pod.requests;
    expect(got?.startLine).toBe('GET /a/../%62?c=/../d HTTP/1.1');
    expect(['x-user', 'x-role', 'x-empty', 'authorization'].map((name) => got?.values(name))).toEqual([
      ['ada'],
      ['guest, reader'],
      [],
      [],
    ]);
    client.send(get('/', ...fields).replace('app.test', 'listed.test'));
    expect((await client.message()).status).toBe(200);
    const told = Object.keys(auth.asked[1]?.headers ?? {}).filter((name) => !name.startsWith(':'));
    expect(told).toEqual(['x-tenant', 'x-real-ip']);
  });

  behaves(
    'a client that may not pass gets what the server says, and a gRPC call its status',
    async (create) => {
      const headers = [
        { key: 'WWW-Authenticate', value: 'Bearer' },
        { key: 'Content-Length', value: '1' },
      ];
      await using auth = await checkServer(({ path }) =>
        path === '/'
          ? checkResponse({ code: 7 })
          : checkResponse({ code: 16, denied: { status: 401, headers, body: 'nëin' } }),
      );
      await using pod = await recordingUpstream('ok');
      const sites = [
        { ports: [pod.port], policies: byGrpc() },
        { host: 'auth.test', ports: [auth.port] },
      ];
      await using proxy = await startProxy(create, sites);
      using client = await rawClient(proxy.port);
      client.send(get('/'));
      expect((await client.message()).status).toBe(403);
      client.send(get('/said'));
      const response = await client.message();
      expect(response).toMatchObject({ status: 401, body: Buffer.from('nëin').toString('latin1') });
      expect(['www-authenticate', 'content-length'].map((name) => response.values(name))).toEqual([
        ['Bearer'],
        ['5'],
      ]);
      client.send(request('POST', '/said', '', 'Content-Type: application/grpc'));
      const call = await client.message();
      expect([call.status, call.field('grpc-status')]).toEqual([200, '16']);
      expect(pod.requests).toEqual([]);
    },
  );

  behaves('no clear yes is 503, whatever the server does', async (create) => {
    const answers: readonly (Buffer | null)[] = [
      null,
      Buffer.alloc(0),
      Buffer.from('ff', 'hex'),
      Buffer.alloc(70_000, checkResponse({})),
      checkResponse({ denied: { status: 200 } }),
      checkResponse({ code: 7, ok: {} }),
      checkResponse({ ok: { query: 'admin' } }),
      ...['host', ':path', 'content-length', 'x-forwarded-for', 'x y', ''].map((key) =>
        checkResponse({ ok: { headers: [{ key, value: 'a' }] } }),
      ),
      checkResponse({ ok: { headers: [{ key: 'x-user', value: 'a\r\nx-admin: 1' }] } }),
      checkResponse({ ok: { toClient: [{ key: 'transfer-encoding', value: 'chunked' }] } }),
    ];
    await using auth = await checkServer(({ headers }) => answers[Number(headers['x-case'])] ?? null);
    await using pod = await recordingUpstream('ok');
    const sites = [
      { ports: [pod.port], policies: byGrpc() },
      { host: 'gone.test', ports: [pod.port], policies: byGrpc({ to: { backend: 'default/nobody:80' } }) },
      { host: 'auth.test', ports: [auth.port] },
    ];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    for (const index of answers.keys()) {
      client.send(get('/', `X-Case: ${index}`));
      expect([index, (await client.message()).status]).toEqual([index, 503]);
    }
    client.send(get('/').replace('app.test', 'gone.test'));
    expect((await client.message()).status).toBe(503);
    await proxy.exchange(answers.length);
    const details = proxy.exchanges.map(({ detail }) => detail.replace('auth-unavailable: ', ''));
    expect(details).toEqual([
      'grpc-status-13',
      'neither-allowed-nor-denied',
      'bad-check-response',
      'protocol-error',
      'both-allowed-and-denied',
      'both-allowed-and-denied',
      'query-change',
      ...Array<string>(answers.length - 7).fill('bad-header'),
      'no-endpoint',
    ]);
    expect(auth.asked.length).toBe(answers.length);
    expect(pod.requests).toEqual([]);
  });

  behaves(
    'what it sets is not said by a client with underscores, also where those may pass',
    async (create) => {
      const ok = { headers: [{ key: 'x-user-id', value: 'ada' }], remove: ['x-role'] };
      await using auth = await checkServer(() => checkResponse({ ok }));
      await using pod = await recordingUpstream('ok');
      const sites = [
        { ports: [pod.port], policies: byGrpc() },
        { host: 'auth.test', ports: [auth.port] },
      ];
      await using proxy = await startProxy(create, sites, { underscoresInHeaders: true });
      using client = await rawClient(proxy.port);
      const fields = ['X_User_ID: eve', 'X-User_Id: eve', 'X_Role: admin', 'X_Team: blue'];
      client.send(get('/', ...fields));
      expect((await client.message()).status).toBe(200);
      const [got] = pod.requests;
      const names = ['x-user-id', 'x_user_id', 'x-user_id', 'x_role', 'x_team'];
      expect(names.map((name) => got?.field(name))).toEqual(['ada', undefined, undefined, undefined, 'blue']);
    },
  );

  behaves('the server gets the whole body, or nobody does', async (create) => {
    await using auth = await checkServer(() => checkResponse({}));
    await using pod = await recordingUpstream('ok');
    const sites = [
      { ports: [pod.port], policies: byGrpc({ maxBodyBytes: 65_535 }) },
      { host: 'auth.test', ports: [auth.port] },
    ];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    const bodies = ['h\xff', 'x'.repeat(65_535)];
    for (const body of bodies) {
      client.send(request('POST', '/', body));
      expect((await client.message()).status).toBe(200);
    }
    expect(auth.asked.map(({ rawBody }) => rawBody.toString('latin1'))).toEqual(bodies);
    expect(auth.asked[0]?.body).toBe('h\ufffd');
    expect(pod.requests.map(({ body }) => body)).toEqual(bodies);
    client.send(request('POST', '/', `${'x'.repeat(65_536)}`));
    expect((await client.message()).status).toBe(413);
    expect(auth.asked.length).toBe(2);
  });
});

describe('the outcome of a call', () => {
  const yes = checkResponse({});
  const framed = (message: Buffer, flag = 0, length = message.length): Buffer => {
    const prefix = Buffer.from([flag, 0, 0, 0, length]);
    return Buffer.concat([prefix, message]);
  };
  const GRPC_FIELDS: readonly HeaderField[] = [['content-type', 'application/grpc+proto']];
  const OK_TRAILERS: readonly HeaderField[] = [['grpc-status', '0']];
  const content = (bytes: Buffer, trailers = OK_TRAILERS) => {
    return { kind: 'response', status: 200, fields: GRPC_FIELDS, content: { bytes, trailers } } as const;
  };
  const outcome = content(framed(yes));

  it('is a yes where the message is one', () => {
    expect(checkOutcome(outcome)).toMatchObject({ kind: 'allowed' });
    expect(checkOutcome(content(framed(checkResponse({ code: 7 }))))).toMatchObject({ kind: 'denied' });
  });

  it.each<[string, string, SubrequestOutcome]>([
    ['timed-out', 'the call fails', { kind: 'failed', reason: 'timed-out' }],
    ['http-status-204', 'the status of HTTP is another', { ...outcome, status: 204 }],
    ['not-grpc', 'it is no gRPC', { ...outcome, fields: [['content-type', 'application/grpc-web']] }],
    ['bad-grpc-status', 'the status does not come', content(framed(yes), [])],
    [
      'bad-grpc-status',
      'the status comes before the message',
      { ...content(framed(yes), []), fields: [...GRPC_FIELDS, ...OK_TRAILERS] },
    ],
    ['grpc-status-7', 'the status is another', content(framed(yes), [['grpc-status', '7']])],
    ['bad-grpc-status', 'there are two', content(framed(yes), [...OK_TRAILERS, ['grpc-status', '7']])],
    ['bad-grpc-message', 'nothing comes', content(Buffer.alloc(0))],
    ['bad-grpc-message', 'it is compressed', content(framed(yes, 1))],
    ['bad-grpc-message', 'it is cut', content(framed(yes, 0, yes.length + 1))],
    ['bad-grpc-message', 'more than a message comes', content(Buffer.concat([framed(yes), framed(yes)]))],
  ])('is %s where %s', (fault, _, each) => {
    expect(checkOutcome(each)).toEqual({ kind: 'unclear', fault });
  });
});

it('whatever bytes a server of ext_authz answers with, they are read without a fault', () => {
  const yes = checkResponse({ ok: { headers: [{ key: 'x-user', value: 'ada' }] } });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(yes.length), (bytes, at) => {
      const changed = Buffer.concat([yes.subarray(0, at), bytes, yes.subarray(at + bytes.length)]);
      for (const message of [Buffer.from(bytes), changed]) {
        const answer = checkAnswer(message);
        if (answer.kind !== 'allowed') continue;
        for (const { name, value } of [...answer.changes, ...answer.toClient])
          expect(`${name}: ${value}`).toMatch(/^[!#$%&'*+.^_`|~0-9a-z-]+: [\t\x20-\x7e\x80-\xff]*$/);
      }
    }),
    { numRuns: examples(500) },
  );
});

it.each([
  ['HTTP', filter()],
  ['gRPC', byGrpc()],
])('a server of a filter that is Portico itself is asked ten times, and no more: %s', async (_, policies) => {
  await using pod = await recordingUpstream('ok');
  await using proxy = await startProxy(nativeEngine, [], { h2c: true });
  proxy.adopt([
    { host: '', ports: [pod.port], policies },
    { host: 'auth.test', ports: [proxy.port] },
  ]);
  using client = await rawClient(proxy.port);
  client.send(get('/'));
  const { status } = await client.message();
  expect([status, proxy.exchanges.length]).toEqual([503, 11]);
});
