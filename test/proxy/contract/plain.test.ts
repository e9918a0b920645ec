import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { ok, recordingUpstream } from '../../support/upstream.ts';

contract('plain requests', (behaves) => {
  behaves('relays a GET and its response', async (create) => {
    await using upstream = await recordingUpstream('ok', () =>
      ok('hello', 'Content-Type: text/x', 'X-Twice: a', 'X-Twice: b'),
    );
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/a?b=c'));
    const response = await client.message();
    expect(response.startLine).toBe('HTTP/1.1 200 OK');
    expect(response.body).toBe('hello');
    expect(response.field('content-type')).toBe('text/x');
    expect(response.values('x-twice')).toEqual(['a', 'b']);
    expect(upstream.requests.map(({ startLine }) => startLine)).toEqual(['GET /a?b=c HTTP/1.1']);
  });

  behaves('relays a POST with its body', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(request('POST', '/', 'name=value'));
    expect((await client.message()).status).toBe(200);
    const [received] = upstream.requests;
    expect(received?.body).toBe('name=value');
    expect(received?.framing).toBe('length');
  });

  behaves('relays an unusual status and reason phrase', async (create) => {
    await using upstream = await recordingUpstream(
      '',
      () => 'HTTP/1.1 299 Odd But Fine\r\nContent-Length: 0\r\n\r\n',
    );
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).startLine).toBe('HTTP/1.1 299 Odd But Fine');
  });

  behaves('relays bytes above ASCII in a field as they are', async (create) => {
    await using upstream = await recordingUpstream('', (received) =>
      ok('', `X-Back: ${received.field('x-there')}`),
    );
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/', 'X-There: caf\xe9'));
    expect((await client.message()).field('x-back')).toBe('caf\xe9');
  });

  for (const target of [
    '//double//slash',
    '/a/../b',
    '/%7Euser/%2f',
    '/?a=//b?c',
    '/a;b=c,d',
    '/%C3%A9?%zz=[]|',
  ]) {
    behaves(`forwards the target ${target} byte for byte`, async (create) => {
      await using upstream = await recordingUpstream();
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      client.send(get(target));
      expect((await client.message()).status).toBe(200);
      expect(upstream.requests[0]?.startLine).toBe(`GET ${target} HTTP/1.1`);
    });
  }

  for (const method of ['GET', 'DELETE', 'OPTIONS', 'PATCH', 'PROPFIND', 'QUERY']) {
    behaves(`relays ${method} with a body, framed`, async (create) => {
      await using upstream = await recordingUpstream();
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      client.send(request(method, '/', 'body'));
      expect((await client.message()).status).toBe(200);
      client.send(request(method, '/', '4\r\nbody\r\n0\r\n\r\n', 'Transfer-Encoding: chunked'));
      expect((await client.message()).status).toBe(200);
      expect(upstream.requests.map(({ startLine, body }) => [startLine, body])).toEqual([
        [`${method} / HTTP/1.1`, 'body'],
        [`${method} / HTTP/1.1`, 'body'],
      ]);
      expect(upstream.leftover()).toBe('');
    });
  }

  behaves('relays a method nobody knows', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(request('BREW', '/pot', ''));
    expect((await client.message()).status).toBe(200);
    expect(upstream.requests[0]?.startLine).toBe('BREW /pot HTTP/1.1');
  });
});
