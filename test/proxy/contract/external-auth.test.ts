import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, it } from 'vitest';
import { ObjectReader } from '../../../src/model/object-reader.ts';
import type { ConfigMap } from '../../../src/model/objects.ts';
import { EMPTY_SNAPSHOT, applyChanges } from '../../../src/model/snapshot.ts';
import type { PolicyConfigs } from '../../../src/policies/registry.ts';
import { readAnnotations } from '../../../src/routing/ingress/annotations.ts';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { authServer } from '../../support/auth-server.ts';
import { contract } from '../../support/engines.ts';
import { http2Client } from '../../support/http2-client.ts';
import { startProxy } from '../../support/proxy.ts';
import { chunked, get, rawClient, request } from '../../support/raw-client.ts';
import { until } from '../../support/until.ts';
import { ok, recordingUpstream } from '../../support/upstream.ts';

/** Says yes to who has the cookie, and sends others away. */
const byCookie = (message: IncomingMessage, response: ServerResponse): void => {
  if (message.headers.cookie?.includes('session=good')) {
    response.writeHead(202, { 'X-Auth-Request-User': 'ada', 'Set-Cookie': ['session=better', 'b=2'] });
  } else {
    response.writeHead(401, { 'WWW-Authenticate': 'Bearer realm="x"', 'Set-Cookie': 'csrf=1' });
  }
  response.end('a body that nobody gets');
};

const object = {
  metadata: { namespace: 'shop', name: 'fields' },
  data: { 'X-Tenant': '$host' },
} as ConfigMap;
const snapshot = applyChanges(EMPTY_SNAPSHOT, [{ kind: 'ConfigMap', key: 'shop/fields', object }]);

function policiesOf(annotations: Record<string, string>): PolicyConfigs {
  const reference = { kind: 'Ingress', namespace: 'shop', name: 'web' };
  const objects = new ObjectReader(snapshot, { allowLoopback: true });
  const { policies, problems } = readAnnotations({ metadata: { annotations } }, reference, objects);
  expect(problems).toEqual([]);
  return policies?.configs ?? {};
}

const nginx = (values: Record<string, string>): PolicyConfigs =>
  policiesOf(
    Object.fromEntries(
      Object.entries(values).map(([name, value]) => [`nginx.ingress.kubernetes.io/${name}`, value]),
    ),
  );

contract('external authentication', (behaves) => {
  behaves('asks no more for a client that has left', async (create) => {
    await using auth = await authServer(() => {});
    await using upstream = await recordingUpstream('ok', () => ok('ok'));
    const policies = nginx({ 'auth-url': auth.url });
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    const client = await rawClient(proxy.port);
    client.send(get('/'));
    await until(() => auth.requests.length === 1);
    client[Symbol.dispose]();
    await until(() => auth.requests[0]?.socket.destroyed === true);
    expect(upstream.requests).toEqual([]);
  });

  behaves('asks with the request, and tells the Pod what the server says', async (create) => {
    await using auth = await authServer(byCookie);
    await using upstream = await recordingUpstream('ok', () => ok('ok', 'Set-Cookie: pod=1'));
    const policies = nginx({
      'auth-url': `${auth.url}?allowed=$http_x_group`,
      'auth-response-headers': 'X-Auth-Request-User, X-Auth-Request-Email',
      'auth-proxy-set-headers': 'shop/fields',
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    client.send(
      request(
        'POST',
        '/a?b=c',
        'x'.repeat(100_000),
        'Cookie: session=good',
        'X-Group: admins',
        'X-Auth-Request-User: eve',
        'X-Auth-Request-Email: eve@example.com',
        'X-Forwarded-Uri: /elsewhere',
        'X-Original-URL: http://elsewhere/',
        'X_Forwarded_User: eve',
        'Connection: X-Tenant-Id',
        'X-Tenant-Id: 7',
      ),
    );
    const response = await client.message();
    expect([response.status, response.body]).toEqual([200, 'ok']);
    expect(response.values('set-cookie')).toEqual(['pod=1', 'session=better', 'b=2']);

    const [asked] = auth.requests;
    expect(`${asked?.method} ${asked?.url}`).toBe('GET /check?allowed=admins');
    expect(asked?.headers).toMatchObject({
      host: `127.0.0.1:${auth.port}`,
      cookie: 'session=good',
      'x-group': 'admins',
      'x-original-url': 'http://app.test/a?b=c',
      'x-original-method': 'POST',
      'x-forwarded-method': 'POST',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'app.test',
      'x-forwarded-uri': '/a?b=c',
      'x-forwarded-for': '127.0.0.1',
      'x-real-ip': '127.0.0.1',
      'x-auth-request-redirect': '/a?b=c',
      'x-sent-from': 'nginx-ingress-controller',
      'x-tenant': 'app.test',
    });
    expect(asked?.headers['content-length']).toBeUndefined();
    expect(asked?.headers['x_forwarded_user']).toBeUndefined();
    // The Pod does not get it, either.
    expect(asked?.headers['x-tenant-id']).toBeUndefined();

    const [seen] = upstream.requests;
    expect(seen?.values('x-auth-request-user')).toEqual(['ada']);
    expect(seen?.values('x-auth-request-email')).toEqual([]);
    expect(seen?.body.length).toBe(100_000);
    expect(seen?.values('x-request-id')).toEqual([asked?.headers['x-request-id']]);
  });

  behaves('passes on 401 and 403, and is closed by anything else', async (create) => {
    let status = 401;
    await using auth = await authServer((_, response) =>
      response
        .writeHead(status, { 'WWW-Authenticate': 'Bearer realm="x"', Location: 'https://idp.test/' })
        .end(),
    );
    await using upstream = await recordingUpstream('ok', () => ok('ok'));
    const sites = [
      { host: 'nginx.test', policies: nginx({ 'auth-url': auth.url }) },
      { host: 'ours.test', policies: policiesOf({ 'portico.dev/auth-url': auth.url }) },
    ].map((site) => ({ ...site, ports: [upstream.port] }));
    await using proxy = await startProxy(create, sites);
    const statuses: [number, number, number][] = [];
    for (status of [401, 403, 200, 204, 302, 404, 500, 503]) {
      const seen = [];
      for (const host of ['nginx.test', 'ours.test']) {
        using client = await rawClient(proxy.port);
        client.send(get('/').replace('app.test', host));
        const response = await client.message();
        seen.push(response.status);
        if (status === 401) expect(response.values('www-authenticate')).toEqual(['Bearer realm="x"']);
        if (response.status === 302) expect(response.values('location')).toEqual(['https://idp.test/']);
      }
      statuses.push([status, seen[0] ?? 0, seen[1] ?? 0]);
    }
    expect(statuses).toEqual([
      [401, 401, 401],
      [403, 403, 403],
      [200, 200, 200],
      [204, 200, 200],
      [302, 500, 302],
      [404, 500, 500],
      [500, 500, 500],
      [503, 500, 500],
    ]);
    expect(upstream.requests).toHaveLength(4);
  });

  behaves('is closed while the server is away', async (create) => {
    const auth = await authServer(byCookie);
    await auth[Symbol.asyncDispose]();
    await using upstream = await recordingUpstream('ok', () => ok('ok'));
    const sites = [
      { host: 'nginx.test', policies: nginx({ 'auth-url': auth.url }) },
      { host: 'ours.test', policies: policiesOf({ 'portico.dev/auth-url': auth.url }) },
    ].map((site) => ({ ...site, ports: [upstream.port] }));
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    client.send(get('/', 'Cookie: session=good').replace('app.test', 'nginx.test'));
    expect((await client.message()).status).toBe(500);
    client.send(get('/', 'Cookie: session=good').replace('app.test', 'ours.test'));
    expect((await client.message()).status).toBe(503);
    expect(upstream.requests).toEqual([]);
  });

  behaves('sends clients to sign in, with where they wanted to go', async (create) => {
    await using auth = await authServer(byCookie);
    await using upstream = await recordingUpstream('ok', () => ok('ok'));
    const signIn = async (values: Record<string, string>): Promise<string | undefined> => {
      const policies = nginx({ 'auth-url': auth.url, ...values });
      await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
      using client = await rawClient(proxy.port);
      client.send(get('/a b?c=d&e'.replace(' ', '%20')));
      const response = await client.message();
      expect([response.status, response.values('set-cookie')]).toEqual([302, ['csrf=1']]);
      return response.field('location');
    };
    const wanted = 'http://app.test%2Fa%2520b%3Fc%3Dd%26e';
    expect(await signIn({ 'auth-signin': 'https://idp.test/start' })).toBe(
      `https://idp.test/start?rd=${wanted}`,
    );
    expect(await signIn({ 'auth-signin': 'https://$host/start?x=y' })).toBe(
      `https://app.test/start?x=y&rd=${wanted}`,
    );
    expect(await signIn({ 'auth-signin': 'https://idp.test/?rd=$escaped_request_uri' })).toBe(
      'https://idp.test/?rd=%2Fa%2520b%3Fc%3Dd%26e',
    );
    expect(
      await signIn({ 'auth-signin': 'https://idp.test/?rd=x', 'auth-signin-redirect-param': 'next' }),
    ).toBe(`https://idp.test/?rd=x&next=${wanted}`);
    expect(upstream.requests).toEqual([]);
  });

  behaves('remembers answers by the key that is named, and none with a cookie', async (create) => {
    await using auth = await authServer((message, response) => {
      const user = message.headers.authorization ?? '';
      response.writeHead(user === 'no' ? 401 : 200, {
        'X-User': user,
        ...(user === 'cookie' && { 'Set-Cookie': 'a=1' }),
        ...(user === 'private' && { 'Cache-Control': 'private' }),
      });
      response.end();
    });
    await using upstream = await recordingUpstream('ok', () => ok('ok'));
    const policies = nginx({
      'auth-url': auth.url,
      'auth-cache-key': '$http_authorization',
      'auth-response-headers': 'x-user',
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    const ask = async (user: string): Promise<number> => {
      client.send(get('/', `Authorization: ${user}`, 'X-User: eve'));
      return (await client.message()).status;
    };
    for (const user of ['ada', 'ada', 'bob', 'ada', 'no', 'no', 'cookie', 'cookie', 'private', 'private'])
      expect(await ask(user)).toBe(user === 'no' ? 401 : 200);
    expect(auth.requests.map(({ headers }) => headers.authorization)).toEqual([
      ...['ada', 'bob', 'no', 'cookie', 'cookie', 'private', 'private'],
    ]);
    expect(upstream.requests.map((seen) => seen.field('x-user'))).toEqual([
      ...['ada', 'ada', 'bob', 'ada', 'cookie', 'cookie', 'private', 'private'],
    ]);
  });

  behaves('remembers nothing for clients that the key does not tell apart', async (create) => {
    await using upstream = await recordingUpstream('ok', () => ok('ok'));
    // byCookie sets cookies, and such answers are not kept.
    await using yes = await authServer(({ headers }, response) =>
      response.writeHead(headers.cookie?.includes('session=good') ? 200 : 401).end(),
    );
    const policies = nginx({ 'auth-url': yes.url, 'auth-cache-key': '$cookie_session' });
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    const ask = async (...fields: string[]): Promise<number> => {
      client.send(get('/', ...fields));
      return (await client.message()).status;
    };
    for (const fields of [['Cookie: a=1', 'Cookie: session=good'], ['Cookie: session=; session=good']]) {
      expect(await ask(...fields)).toBe(200);
      expect(await ask()).toBe(401);
    }
    expect(await ask('Cookie: session=good')).toBe(200);
    expect(yes.requests).toHaveLength(4);
  });

  behaves('lets no client speak for the server, in whichever way it comes in', async (create) => {
    await using auth = await authServer(byCookie);
    await using upstream = await recordingUpstream('ok', () => ok('ok'));
    const policies = nginx({ 'auth-url': auth.url, 'auth-response-headers': 'X-Auth-Request-User' });
    const any = nginx({
      ...{ 'auth-url': auth.url, 'auth-response-headers': 'X-Auth-Request-User' },
      ...{ satisfy: 'any', 'whitelist-source-range': '127.0.0.0/8' },
    });
    // Of `no-auth-locations`: a client is let in without being asked about, and still does not speak for the server.
    const { 'external-auth': asked } = nginx({
      ...{ 'auth-url': auth.url, 'auth-response-headers': 'X-Auth-Request-User, Authorization' },
    });
    const open = asked && { 'external-auth': { ...asked, exempt: ['/'] } };
    const sites = [
      { host: 'app.test', ports: [upstream.port], policies },
      { host: 'any.test', ports: [upstream.port], policies: any },
      { host: 'open.test', ports: [upstream.port], ...(open && { policies: open }) },
    ];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    client.send(get('/', 'X-Auth-Request-User: eve').replace('app.test', 'any.test'));
    expect((await client.message()).status).toBe(200);
    expect(auth.requests).toEqual([]);
    const body = chunked(['x'], ['X-Auth-Request-User: eve', 'X-Sum: 1']);
    client.send(request('POST', '/', body, 'Cookie: session=good', 'Transfer-Encoding: chunked'));
    expect((await client.message()).status).toBe(200);
    expect(upstream.requests.map((seen) => seen.values('x-auth-request-user'))).toEqual([[], ['ada']]);
    expect(upstream.requests[1]?.trailers).toEqual([['X-Sum', '1']]);
    const before = auth.requests.length;
    const claims = ['X-Auth-Request-User: eve', 'Authorization: Bearer own', 'X-Other: kept'];
    client.send(get('/', ...claims).replace('app.test', 'open.test'));
    expect((await client.message()).status).toBe(200);
    const trailers = chunked(['x'], ['X-Auth-Request-User: eve', 'X-Sum: 2']);
    client.send(
      request('POST', '/', trailers, 'Transfer-Encoding: chunked').replace('app.test', 'open.test'),
    );
    expect((await client.message()).status).toBe(200);
    expect(auth.requests).toHaveLength(before);
    expect(upstream.requests[2]?.values('x-auth-request-user')).toEqual([]);
    expect(upstream.requests[2]?.values('authorization')).toEqual(['Bearer own']);
    expect(upstream.requests[2]?.values('x-other')).toEqual(['kept']);
    expect(upstream.requests[3]?.trailers).toEqual([['X-Sum', '2']]);
  });

  behaves('is asked about upgrades', async (create) => {
    await using auth = await authServer(byCookie);
    await using upstream = await recordingUpstream('ok', () => ok('ok'));
    const policies = nginx({ 'auth-url': auth.url });
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    client.send(get('/', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Key: eA=='));
    const refused = await client.message();
    expect([refused.status, refused.values('set-cookie')]).toEqual([401, ['csrf=1']]);
    expect(auth.requests[0]?.headers.upgrade).toBeUndefined();
    expect(upstream.requests).toEqual([]);
    using allowed = await rawClient(proxy.port);
    allowed.send(get('/', 'Cookie: session=good', 'Connection: Upgrade', 'Upgrade: websocket'));
    expect((await allowed.message()).status).toBe(200);
    expect(upstream.requests[0]?.field('upgrade')).toBe('websocket');
  });
});

it('is asked about requests over HTTP/2, which get its cookies and its answers', async () => {
  await using auth = await authServer(byCookie);
  await using upstream = await recordingUpstream('ok', () => ok('ok'));
  const policies = nginx({ 'auth-url': auth.url, 'auth-response-headers': 'x-auth-request-user' });
  await using proxy = await startProxy(nativeEngine, [{ ports: [upstream.port], policies }], { h2c: true });
  using client = http2Client(proxy.port);
  const [refused, ...allowed] = await Promise.all([
    client.ask({ ':path': '/no' }),
    ...[1, 2, 3].map((n) => client.ask({ ':path': `/${n}`, cookie: ['a=b', 'session=good'] })),
  ]);
  expect(refused).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer realm="x"' } });
  for (const answer of allowed) {
    expect(answer).toMatchObject({ status: 200, body: 'ok' });
    expect(answer.headers['set-cookie']).toEqual(['session=better', 'b=2']);
  }
  const asked = auth.requests.map(({ headers }) => headers['x-forwarded-uri']);
  expect(asked.toSorted()).toEqual(['/1', '/2', '/3', '/no']);
  expect(upstream.requests.map((seen) => seen.field('x-auth-request-user'))).toEqual(['ada', 'ada', 'ada']);
});
