import { expect } from 'vitest';
import { cidrsOf } from '../../../src/policies/cidrs.ts';
import { contract } from '../../support/engines.ts';
import { type Site, startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { unusedPort } from '../../support/loopback.ts';
import { ok, recordingUpstream } from '../../support/upstream.ts';

const BACKEND = 'default/errors.test:80';
const errors = (statuses: readonly number[], replacesPods = true) => ({
  'error-backend': { backend: BACKEND, statuses, replacesPods },
});
const page = (status: number, body: string): string =>
  `HTTP/1.1 ${status} Page\r\nContent-Type: text/html\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

contract('an error backend', (behaves) => {
  behaves('answers in place of statuses of Pods, by GET / with what happened', async (create) => {
    await using app = await recordingUpstream('app', ({ startLine }) =>
      startLine.includes('/fine') ? ok('fine') : page(404, 'not here'),
    );
    await using pages = await recordingUpstream('pages', ({ startLine }) =>
      page(404, startLine.startsWith('HEAD') ? '' : 'a page'),
    );
    const sites: Site[] = [
      { ports: [app.port], policies: errors([404, 503]) },
      { ports: [app.port], host: 'kept.test', policies: errors([404], false) },
      { ports: [pages.port], host: 'errors.test' },
    ];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    client.send(
      request('POST', '/a?b', 'body').replace(
        '\r\n\r\n',
        '\r\nAccept: text/html\r\nCookie: secret=1\r\n\r\n',
      ),
    );
    const response = await client.message();
    expect([response.status, response.body, response.field('content-type')]).toEqual([
      404,
      'a page',
      'text/html',
    ]);
    const [asked] = pages.requests;
    expect(asked?.startLine).toBe('GET /?b HTTP/1.1');
    const told = [
      'host',
      'x-code',
      'x-format',
      'x-original-uri',
      'x-namespace',
      'x-ingress-name',
      'x-service-name',
    ];
    expect(told.map((name) => asked?.values(name).join())).toEqual([
      'app.test',
      '404',
      'text/html',
      '/a?b',
      'default',
      'app.test',
      'app.test',
    ]);
    expect(['x-service-port', 'cookie', 'content-length'].map((name) => asked?.values(name).join())).toEqual([
      '80',
      '',
      '',
    ]);
    client.send(get('/fine'));
    expect((await client.message()).body).toBe('fine');
    client.send(get('/a').replace('app.test', 'kept.test'));
    expect((await client.message()).body).toBe('not here');
    client.send(get('/a').replace('GET', 'HEAD'));
    const head = await client.message({ toHead: true });
    expect([head.status, head.field('content-type')]).toEqual([404, 'text/html']);
    expect(pages.requests).toHaveLength(2);
    expect((await proxy.exchange(0)).backend).toBe(BACKEND);
  });

  behaves('answers in place of what Portico says itself, and what it says then stays', async (create) => {
    await using pages = await recordingUpstream('pages', () => page(503, 'sorry'));
    const port = await unusedPort();
    await using app = await recordingUpstream('app', () => ok('app'));
    const sites: Site[] = [
      { ports: [port], policies: errors([502, 503]) },
      { ports: [], unavailable: 'no-endpoints', host: 'empty.test', policies: errors([]) },
      { ports: [], unavailable: 'no-endpoints', host: 'listed.test', policies: errors([503]) },
      {
        ports: [app.port],
        host: 'large.test',
        policies: { ...errors([413]), 'request-body': { maxBytes: 3, gatherBytes: null } },
      },
      {
        ports: [app.port],
        host: 'denied.test',
        policies: { ...errors([503]), 'source-ranges': { allow: null, deny: cidrsOf(['127.0.0.1']) } },
      },
      { ports: [pages.port], host: 'errors.test' },
    ];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    const ask = async (bytes: string, host: string): Promise<readonly unknown[]> => {
      client.send(bytes.replace('app.test', host));
      const { status, body } = await client.message();
      return [status, body];
    };
    expect(await ask(get('/'), 'app.test')).toEqual([503, 'sorry']);
    expect(await ask(request('POST', '/x', 'body'), 'empty.test')).toEqual([503, 'sorry']);
    expect(await ask(get('/'), 'listed.test')).toEqual([503, 'sorry']);
    expect((await ask(get('/'), 'denied.test'))[0]).toBe(403);
    expect(await ask(request('POST', '/', 'too long'), 'large.test')).toEqual([503, 'sorry']);
    expect(pages.requests.map(({ startLine, values }) => [startLine, values('x-code').join()])).toEqual([
      ['GET / HTTP/1.1', '502'],
      ['POST /x HTTP/1.1', '503'],
      ['GET / HTTP/1.1', '503'],
      ['GET / HTTP/1.1', '413'],
    ]);
  });

  behaves('is not asked for clients that an access rule denies', async (create) => {
    await using app = await recordingUpstream('app', () => ok('fine'));
    await using pages = await recordingUpstream('pages', () => ok('a page'));
    const policies = { ...errors([403]), 'source-ranges': { allow: cidrsOf(['192.0.2.0/24']), deny: null } };
    const sites: Site[] = [
      { ports: [app.port], policies },
      { ports: [pages.port], host: 'errors.test' },
    ];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    client.send(get('/a?b'));
    expect((await client.message()).status).toBe(403);
    expect([...app.requests, ...pages.requests]).toEqual([]);
  });

  behaves('that fails is not asked again: the client gets what happened then', async (create) => {
    await using app = await recordingUpstream('app', () => page(404, 'not here'));
    const port = await unusedPort();
    const sites: Site[] = [
      { ports: [app.port], policies: errors([404, 502]) },
      { ports: [port], host: 'errors.test' },
    ];
    await using proxy = await startProxy(create, sites);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).status).toBe(502);
    client.send(get('/'));
    expect([502, 503]).toContain((await client.message()).status);
  });
});
