import { connect } from 'node:net';
import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { chunked, get, rawClient, request } from '../../support/raw-client.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';
import type { EngineFactory } from '../../../src/proxy/engine.ts';
import type { WireMessage } from '../../support/wire.ts';

/** The request as the upstream got it, sent with these fields. */
async function relayed(
  create: EngineFactory,
  fields: readonly string[],
  trustedProxies: readonly string[] = [],
  underscoresInHeaders = false,
): Promise<{ received: WireMessage; port: number; droppedFields: number }> {
  await using upstream = await recordingUpstream();
  await using proxy = await startProxy(create, [{ ports: [upstream.port] }], {
    trustedProxies,
    underscoresInHeaders,
  });
  using client = await rawClient(proxy.port);
  client.send(get('/', ...fields));
  expect((await client.message()).status).toBe(200);
  const { droppedFields } = await proxy.exchange(0);
  return { received: upstream.requests[0]!, port: proxy.port, droppedFields };
}

contract('fields to the upstream', (behaves) => {
  behaves('keeps Host and tells of the way', async (create) => {
    const { received, port } = await relayed(create, []);
    expect(received.values('host')).toEqual(['app.test']);
    expect(received.values('x-forwarded-for')).toEqual(['127.0.0.1']);
    expect(received.values('x-forwarded-host')).toEqual(['app.test']);
    expect(received.values('x-forwarded-port')).toEqual([String(port)]);
    expect(received.values('x-forwarded-proto')).toEqual(['http']);
    expect(received.values('x-real-ip')).toEqual(['127.0.0.1']);
    expect(received.values('x-request-id')).toEqual([expect.stringMatching(/^[\w-]{16,64}$/)]);
    expect(received.values('forwarded')).toEqual([]);
  });

  behaves('replaces what an untrusted peer says of the way', async (create) => {
    const { received, port } = await relayed(create, [
      'X-Forwarded-For: 6.6.6.6',
      'X-Forwarded-For: 7.7.7.7',
      'X-Forwarded-Host: evil.test',
      'X-Forwarded-Port: 1',
      'X-Forwarded-Proto: https',
      'X-Forwarded-User: root',
      'X-Real-IP: 6.6.6.6',
      'Forwarded: for=6.6.6.6',
    ]);
    expect(received.values('x-forwarded-for')).toEqual(['127.0.0.1']);
    expect(received.values('x-forwarded-host')).toEqual(['app.test']);
    expect(received.values('x-forwarded-port')).toEqual([String(port)]);
    expect(received.values('x-forwarded-proto')).toEqual(['http']);
    expect(received.values('x-forwarded-user')).toEqual([]);
    expect(received.values('x-real-ip')).toEqual(['127.0.0.1']);
    expect(received.values('forwarded')).toEqual([]);
  });

  behaves('appends to what a trusted peer says of the way', async (create) => {
    const sent = [
      'X-Forwarded-For: 9.9.9.9, 10.1.1.1',
      'X-Forwarded-Host: outside.test',
      'X-Forwarded-Port: 443',
      'X-Forwarded-Proto: https',
      'X-Forwarded-User: ada',
      'Forwarded: for=9.9.9.9',
    ];
    const { received } = await relayed(create, sent, ['127.0.0.0/8', '10.0.0.0/8']);
    expect(received.values('x-forwarded-for')).toEqual(['9.9.9.9, 10.1.1.1, 127.0.0.1']);
    expect(received.values('x-forwarded-host')).toEqual(['outside.test']);
    expect(received.values('x-forwarded-port')).toEqual(['443']);
    expect(received.values('x-forwarded-proto')).toEqual(['https']);
    expect(received.values('x-forwarded-user')).toEqual(['ada']);
    expect(received.values('x-real-ip')).toEqual(['9.9.9.9']);
    expect(received.values('forwarded')).toEqual(['for=9.9.9.9, for=127.0.0.1;proto=http']);
  });

  behaves('believes nobody but a trusted peer about the certificate of a client', async (create) => {
    const sent = [
      'SSL-Client-Verify: SUCCESS',
      'ssl-client-subject-dn: CN=ada',
      'ssl-client-cert: x',
      'ssl_client_verify: SUCCESS',
      'Connection: ssl-client-verify',
      'Sec-Fetch-Mode: cors',
    ];
    const names = async (trusted: readonly string[]): Promise<string[]> => {
      const { received } = await relayed(create, sent, trusted);
      return received.fields.map(([name]) => name.toLowerCase()).filter((name) => name.startsWith('s'));
    };
    expect(await names([])).toEqual(['sec-fetch-mode']);
    expect(await names(['127.0.0.1'])).toEqual([
      'ssl-client-verify',
      'ssl-client-subject-dn',
      'ssl-client-cert',
      'sec-fetch-mode',
    ]);
  });

  behaves('drops names with an underscore, from all clients, and counts them', async (create) => {
    const sent = [
      'X_Forwarded_For: 6.6.6.6',
      'X_Other: a',
      'user_agent: b',
      'Connection: X_Other',
      'X-Other: c',
    ];
    for (const trusted of [[], ['127.0.0.1']]) {
      const { received, droppedFields } = await relayed(create, sent, trusted);
      expect(received.fields.filter(([name]) => name.includes('_'))).toEqual([]);
      expect(received.values('x-other')).toEqual(['c']);
      expect(droppedFields).toBe(2);
    }
  });

  behaves('passes names with an underscore where that is asked for, but no twins', async (create) => {
    const sent = [
      'X_Forwarded_For: 6.6.6.6',
      'x-forwarded_proto: https',
      'X_Real_IP: 6.6.6.6',
      'X_Request_ID: a',
      'SSL_CLIENT_VERIFY: SUCCESS',
      'True_Client_IP: 6.6.6.6',
      'Content_Length: 5',
      'X_Other: stays',
    ];
    const { received, droppedFields } = await relayed(create, sent, ['127.0.0.1'], true);
    expect(received.fields.filter(([name]) => name.includes('_'))).toEqual([['X_Other', 'stays']]);
    expect(droppedFields).toBe(0);
  });

  behaves('passes trailers of a request without an underscore in their names', async (create) => {
    await using upstream = await recordingUpstream('', () => {
      return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(['x'], ['x_sum: 2'])}`;
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    const body = chunked(['body'], ['x_sum: 1', 'X-Sum: 1']);
    client.send(request('POST', '/', body, 'Transfer-Encoding: chunked', 'TE: trailers'));
    expect((await client.message()).trailers).toEqual([['x_sum', '2']]);
    expect(upstream.requests[0]?.trailers).toEqual([['X-Sum', '1']]);
  });

  behaves(
    'believes nobody but a trusted peer about the client, in the words of any vendor',
    async (create) => {
      const sent = [
        'True-Client-IP: 6.6.6.6',
        'CF-Connecting-IP: 6.6.6.6',
        'X-Client-IP: 6.6.6.6',
        'X-Cluster-Client-IP: 6.6.6.6',
        'Fastly-Client-IP: 6.6.6.6',
        'X-Azure-ClientIP: 6.6.6.6',
        'X-Original-Forwarded-For: 6.6.6.6',
        'X-SSL-Client-Verify: SUCCESS',
        'X-Client-Cert: x',
        'X-Client-Verify: SUCCESS',
        'X-Forwarded-Client-Cert: x',
        'Client-Cert: :eA==:',
        'Client-Cert-Chain: :eA==:',
        'X-ARR-ClientCert: x',
      ];
      const names = sent.map((field) => field.slice(0, field.indexOf(':')));
      const passed = async (trusted: readonly string[]): Promise<string[]> => {
        const { received } = await relayed(create, [...sent, 'Proxy: http://evil.test'], trusted);
        return received.fields
          .map(([name]) => name)
          .filter((name) => names.includes(name) || name === 'Proxy');
      };
      expect(await passed([])).toEqual([]);
      expect(await passed(['127.0.0.1'])).toEqual(names);
    },
  );

  behaves('keeps a sane X-Request-ID and replaces any other', async (create) => {
    const sane = await relayed(create, ['X-Request-ID: abc-123']);
    expect(sane.received.values('x-request-id')).toEqual(['abc-123']);
    for (const bad of ['a b', 'a"b', '', 'x'.repeat(200), '<script>']) {
      const { received } = await relayed(create, [`X-Request-ID: ${bad}`]);
      expect(received.values('x-request-id')).toEqual([expect.stringMatching(/^[\w-]{16,64}$/)]);
    }
  });

  behaves('removes hop-by-hop fields and those that Connection names', async (create) => {
    const { received } = await relayed(create, [
      'Connection: keep-alive, X-Private, Cookie',
      'Connection: X-Other-Private',
      'Keep-Alive: timeout=5',
      'Proxy-Connection: keep-alive',
      'Proxy-Authorization: Basic eDp5',
      'TE: trailers',
      'Upgrade: nothing',
      'X-Private: 1',
      'X-Other-Private: 2',
      'X-Public: 3',
      'Cookie: a=b',
    ]);
    const names = received.fields.map(([name]) => name.toLowerCase());
    for (const gone of [
      'keep-alive',
      'proxy-connection',
      'proxy-authorization',
      'upgrade',
      'x-private',
      'x-other-private',
    ]) {
      expect(names).not.toContain(gone);
    }
    expect(received.values('x-public')).toEqual(['3']);
    expect(received.values('cookie')).toEqual(['a=b']);
    expect(received.values('connection').join()).not.toMatch(/private/i);
  });

  behaves('does not let Connection strip what it sets or what frames the message', async (create) => {
    const { received } = await relayed(create, [
      'Connection: X-Forwarded-For, X-Real-IP, X-Request-ID, Host, Content-Length, X-Forwarded-Proto',
      'Content-Length: 0',
    ]);
    expect(received.values('x-forwarded-for')).toEqual(['127.0.0.1']);
    expect(received.values('x-real-ip')).toEqual(['127.0.0.1']);
    expect(received.values('x-forwarded-proto')).toEqual(['http']);
    expect(received.values('x-request-id')).toHaveLength(1);
    expect(received.values('host')).toEqual(['app.test']);
  });

  behaves('keeps repeated fields and their order', async (create) => {
    const { received } = await relayed(create, [
      'X-Many: 1',
      'X-Many: 2',
      'Cookie: a=1',
      'Cookie: b=2',
      'X-Many: 3',
    ]);
    expect(received.values('x-many').join(', ')).toBe('1, 2, 3');
    expect(received.values('cookie').join('; ')).toBe('a=1; b=2');
  });
});

contract('fields to the client', (behaves) => {
  behaves('removes hop-by-hop fields and those that Connection names', async (create) => {
    await using upstream = await recordingUpstream('', () =>
      ok(
        '',
        'Connection: keep-alive, X-Private',
        'Keep-Alive: timeout=5',
        'X-Private: 1',
        'Upgrade: h2c',
        'X-Public: 2',
      ),
    );
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    const response = await client.message();
    expect(response.values('x-private')).toEqual([]);
    expect(response.values('upgrade')).toEqual([]);
    expect(response.values('x-public')).toEqual(['2']);
    expect(response.values('connection').join()).not.toMatch(/private/i);
  });

  behaves('keeps several Set-Cookie fields apart', async (create) => {
    await using upstream = await recordingUpstream('', () => ok('', 'Set-Cookie: a=1', 'Set-Cookie: b=2'));
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).values('set-cookie')).toEqual(['a=1', 'b=2']);
  });
});

contract('in the place of ingress-nginx', (behaves) => {
  behaves('pods are told the scheme twice more, and what the client said itself', async (create) => {
    await using pod = await recordingUpstream();
    const sites = [{ ports: [pod.port] }];
    await using proxy = await startProxy(create, sites, { ingressNginxFields: true });
    using client = await rawClient(proxy.port);
    const forged = ['X-Scheme: https', 'X-Original-Forwarded-Host: evil.test', 'X-Forwarded-For: 192.0.2.1'];
    client.send(get('/', ...forged));
    await client.message();
    const [request] = pod.requests;
    expect(request?.values('x-scheme')).toEqual(['http']);
    expect(request?.values('x-forwarded-scheme')).toEqual(['http']);
    expect(request?.values('x-forwarded-for')).toEqual(['127.0.0.1']);
    expect(request?.values('x-original-forwarded-for')).toEqual(['192.0.2.1']);
    expect(request?.values('x-original-forwarded-host')).toEqual([]);
  });

  behaves('what a trusted proxy says of it is replaced, too', async (create) => {
    await using pod = await recordingUpstream();
    const settings = { ingressNginxFields: true, trustedProxies: ['127.0.0.0/8'] };
    await using proxy = await startProxy(create, [{ ports: [pod.port] }], settings);
    using client = await rawClient(proxy.port);
    client.send(get('/', 'X-Forwarded-Proto: https', 'X-Scheme: http', 'X-Forwarded-For: 192.0.2.1'));
    await client.message();
    const [request] = pod.requests;
    expect(request?.values('x-scheme')).toEqual(['https']);
    expect(request?.values('x-forwarded-for')).toEqual(['192.0.2.1, 127.0.0.1']);
    expect(request?.values('x-original-forwarded-for')).toEqual(['192.0.2.1']);
  });
});

contract('a route that leads back to the proxy', (behaves) => {
  behaves('is noticed after some rounds, whatever a policy or a client says', async (create) => {
    let port = 0;
    let rounds = 0;
    // An endpoint that is the proxy itself, as an ExternalName of its load balancer would be.
    await using back = await scriptedUpstream((connection) => {
      rounds++;
      const again = connect(port, '127.0.0.1');
      connection.socket.pipe(again).pipe(connection.socket);
      again.on('error', () => connection.socket.destroy());
    });
    await using proxy = await startProxy(create, [{ ports: [back.port] }]);
    ({ port } = proxy);
    using client = await rawClient(proxy.port);
    client.send(get('/', 'CDN-Loop: other; v=1, portico', 'Connection: cdn-loop'));
    expect((await client.message()).status).toBe(508);
    expect(rounds).toBeGreaterThan(7);
    expect(rounds).toBeLessThanOrEqual(10);
  });

  behaves('is told apart from other proxies in a row', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/', 'CDN-Loop: a, portico-like', 'CDN-Loop: portico;x'));
    expect((await client.message()).status).toBe(200);
    expect(upstream.requests[0]?.values('cdn-loop')).toEqual(['a, portico-like, portico;x, portico']);
  });
});
