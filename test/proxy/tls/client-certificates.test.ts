import { connect } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { authority, secureClient, startTlsProxy } from '../../support/tls-proxy.ts';
import { recordingUpstream } from '../../support/upstream.ts';
import {
  ada,
  ask,
  clients,
  keys,
  mallory,
  OPTIONAL,
  PASSED,
  policy,
  REQUIRED,
  shows,
  sites,
  toldOf,
} from './asked-clients.ts';
import { happens } from '../../support/until.ts';

contract('certificates of clients', (behaves) => {
  behaves('a verified client is served, and the pod is told who it is', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(create, sites(upstream.port, REQUIRED), { keys });
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const got = await ask(proxy, { ...shows(ada), minVersion: version, maxVersion: version });
      expect(got.status).toBe(200);
      expect(toldOf(upstream)).toEqual({
        'ssl-client-verify': 'SUCCESS',
        'ssl-client-subject-dn': 'CN=ada,O=B\\C3\\BCcher\\, Sons \\+ \\"Co\\"',
        'ssl-client-issuer-dn': 'CN=Test authority',
      });
    }
  });

  behaves('who shows none, or none that is good, is told so and reaches no pod', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(create, sites(upstream.port, REQUIRED), { keys });
    const refused: [string, ConnectionOptions, RegExp][] = [
      ['none', {}, /requires a client certificate, and none was sent/],
      // That calls itself the same.
      ['of another authority', shows(mallory), /could not be verified/],
      ['expired', shows(clients.issue(['ada'], { expired: true })), /could not be verified/],
      ['of a server', shows(clients.issue(['ada'], { serverOnly: true })), /could not be verified/],
      ['of the server itself', shows(keys['shop/all']), /could not be verified/],
    ];
    for (const [what, options, words] of refused) {
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        const got = await ask(proxy, { ...options, maxVersion });
        expect([what, got.status, got.field('connection')]).toEqual([what, 400, 'close']);
        expect(got.body).toMatch(words);
      }
    }
    expect(upstream.requests).toHaveLength(0);
    expect(proxy.exchanges[0]).toMatchObject({ status: 400, detail: 'certificate-missing' });
    expect(proxy.exchanges[2]).toMatchObject({ status: 400, detail: 'certificate-refused' });
  });

  behaves('a chain may lead over others, if all of it is there', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(create, sites(upstream.port, REQUIRED), { keys });
    const bob = clients.delegate().delegate().issue(['bob']);
    expect((await ask(proxy, shows(bob))).status).toBe(200);
    expect(toldOf(upstream)['ssl-client-subject-dn']).toBe('CN=bob');
    const [alone = ''] = bob.certificate.split(/(?<=-----END CERTIFICATE-----\r?\n)/);
    expect((await ask(proxy, { key: bob.key, cert: alone })).status).toBe(400);
  });

  behaves('one that is revoked is not good, and without the list nobody comes in', async (create) => {
    await using upstream = await recordingUpstream();
    const secret = 'default/clients';
    const revocations = { secret, digest: '1' };
    const revoked = policy('revoked', { revocations });
    const mallory = clients.issue(['mallory']);
    const list = Buffer.from(clients.revoke(mallory.certificate)).toString('base64');
    const secrets = new Map([[secret, { 'ca.crl': list }]]);
    await using proxy = await startTlsProxy(create, sites(upstream.port, revoked), { keys, secrets });
    expect((await ask(proxy, shows(ada))).status).toBe(200);
    expect((await ask(proxy, shows(mallory))).status).toBe(400);
    await using closed = await startTlsProxy(create, sites(upstream.port, revoked), { keys });
    await expect(ask(closed, shows(ada))).rejects.toThrow();
    expect(upstream.requests).toHaveLength(1);
  });

  behaves('who shows none that is good is sent to the page that there is for it', async (create) => {
    await using upstream = await recordingUpstream();
    const asked = policy('page', { errorPage: 'https://help.test/sorry?a=b' });
    const site = { policies: { 'client-certificate': asked }, clients: asked, secret: 'shop/all' };
    await using proxy = await startTlsProxy(create, [{ ...site, ports: [upstream.port] }], { keys });
    for (const options of [{}, shows(mallory)]) {
      const got = await ask(proxy, options);
      expect([got.status, got.field('location')]).toEqual([302, 'https://help.test/sorry?a=b']);
    }
    expect((await ask(proxy, shows(ada))).status).toBe(200);
    expect(proxy.exchanges.map(({ detail }) => detail)).toEqual([
      'certificate-missing',
      'certificate-refused',
      '',
    ]);
  });

  behaves('where it is optional, none will do, and one that is not good will not', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(create, sites(upstream.port, OPTIONAL), { keys });
    expect((await ask(proxy)).status).toBe(200);
    expect(toldOf(upstream)).toEqual({ 'ssl-client-verify': 'NONE' });
    expect((await ask(proxy, shows(ada))).status).toBe(200);
    expect(toldOf(upstream)['ssl-client-verify']).toBe('SUCCESS');
    expect((await ask(proxy, shows(mallory))).status).toBe(400);
    expect(upstream.requests).toHaveLength(2);
  });

  behaves('an upgrade is told of the client too', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(create, sites(upstream.port, REQUIRED), { keys });
    const upgrade = ['Connection: Upgrade', 'Upgrade: websocket', 'ssl-client-verify: NONE'];
    await ask(proxy, shows(ada), 'app.test', ...upgrade);
    expect(upstream.requests[0]?.field('upgrade')).toBe('websocket');
    expect(toldOf(upstream)['ssl-client-verify']).toBe('SUCCESS');
    expect((await ask(proxy, {}, 'app.test', ...upgrade)).status).toBe(400);
    expect(upstream.requests).toHaveLength(1);
  });

  behaves('what a client says of its certificate never reaches a pod, trusted or not', async (create) => {
    await using upstream = await recordingUpstream();
    const said = [
      'SSL-Client-Verify: SUCCESS',
      'ssl-client-subject-dn: CN=root',
      'Ssl-Client-Issuer-DN: CN=root',
      'ssl-client-cert: root',
      'ssl_client_verify: SUCCESS',
      'ssl-client_subject-dn: CN=root',
      'Connection: ssl-client-verify, ssl-client-subject-dn',
    ];
    for (const trustedProxies of [[], ['127.0.0.1']]) {
      await using proxy = await startTlsProxy(create, sites(upstream.port, OPTIONAL), {
        keys,
        trustedProxies,
      });
      await ask(proxy, {}, 'app.test', ...said);
      expect(toldOf(upstream)).toEqual({ 'ssl-client-verify': 'NONE' });
      await ask(proxy, shows(ada), 'app.test', ...said);
      expect(toldOf(upstream)).toMatchObject({
        'ssl-client-verify': 'SUCCESS',
        'ssl-client-subject-dn': expect.stringContaining('CN=ada'),
      });
      expect(Object.keys(toldOf(upstream))).toHaveLength(3);
    }
    await using proxy = await startTlsProxy(create, sites(upstream.port, OPTIONAL), { keys });
    await ask(proxy, shows(ada), 'open.test', ...said);
    expect(toldOf(upstream)).toEqual({});
  });

  behaves('the certificate itself goes on where that is asked for', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(create, sites(upstream.port, PASSED), { keys });
    expect((await ask(proxy, shows(ada))).status).toBe(200);
    const sent = toldOf(upstream)['ssl-client-cert'] ?? '';
    expect(sent).toMatch(/^[\w%.~-]+$/);
    expect(ada.certificate.replaceAll('\r', '')).toContain(decodeURIComponent(sent).trim());
    expect(decodeURIComponent(sent).match(/BEGIN/g)).toHaveLength(1);
  });

  behaves('in clear text, also from a proxy that ended TLS, nobody is verified', async (create) => {
    await using upstream = await recordingUpstream();
    for (const asked of [REQUIRED, OPTIONAL]) {
      await using proxy = await startTlsProxy(create, sites(upstream.port, asked), {
        keys,
        trustedProxies: ['127.0.0.1'],
        redirect: { port: 443 },
      });
      using client = await rawClient(proxy.httpPort);
      client.send(get('/', 'X-Forwarded-Proto: https', 'ssl-client-verify: SUCCESS'));
      const got = await client.message();
      expect([got.status, got.body]).toEqual([403, expect.stringContaining('only over TLS that ends here')]);
      client.send(get('/'));
      expect((await client.message()).status).toBe(308);
    }
    expect(upstream.requests).toHaveLength(0);
  });

  behaves(
    'the certificate of the host is shown as ever, and a new one to the next client',
    async (create) => {
      await using upstream = await recordingUpstream();
      await using proxy = await startTlsProxy(create, sites(upstream.port, REQUIRED), { keys });
      const shown = async (): Promise<string> => {
        using client = await secureClient(proxy.httpsPort, 'app.test', shows(ada));
        client.wire.send(get('/'));
        expect((await client.wire.message()).status).toBe(200);
        return client.shown;
      };
      expect(await shown()).toBe('*.test');
      proxy.certificates.change([['shop/all', authority().issue(['renewed.test'])]]);
      expect(await shown()).toBe('renewed.test');
      proxy.certificates.change([['shop/all', null]]);
      expect(await shown()).toBe('self-signed.test');
    },
  );

  behaves('a ClientHello may come byte by byte, and behind a PROXY header', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startTlsProxy(create, sites(upstream.port, REQUIRED), {
      keys,
      proxyProtocolFrom: ['127.0.0.0/8'],
    });
    const carrier = connect({ port: proxy.httpsPort, host: '127.0.0.1', noDelay: true });
    await happens(carrier, 'connect');
    const write = carrier.write.bind(carrier);
    write('PROXY TCP4 192.0.2.7 198.51.100.2 56324 443\r\n');
    // Whatever the client writes first goes in pieces, each of which is let go before the next.
    let pieces = Promise.resolve();
    carrier.write = ((bytes: Buffer) => {
      for (let at = 0; at < bytes.length; at += 61) {
        const piece = bytes.subarray(at, at + 61);
        pieces = pieces.then(() => new Promise((resolve) => write(piece, () => setImmediate(resolve))));
      }
      return true;
    }) as typeof carrier.write;
    using client = await secureClient(proxy.httpsPort, 'app.test', { ...shows(ada), socket: carrier });
    client.wire.send(get('/'));
    expect((await client.wire.message()).status).toBe(200);
    expect(upstream.requests[0]?.field('x-forwarded-for')).toBe('192.0.2.7');
    expect(toldOf(upstream)['ssl-client-verify']).toBe('SUCCESS');
  });

  behaves('what begins like a handshake and is none ends the connection in time', async (create) => {
    await using hasty = await startTlsProxy(create, sites(1, REQUIRED), {
      keys,
      limits: { handshakeTimeoutMs: 100 },
    });
    for (const start of ['\x16', '\x16\x03\x01\x02\0\x01', `\x16\x03\x01\0\x20${'x'.repeat(32)}`]) {
      using client = await rawClient(hasty.httpsPort);
      client.send(Buffer.from(start, 'latin1'));
      await client.ended;
    }
    // With the time that a handshake takes on a busy machine.
    await using proxy = await startTlsProxy(create, sites(1, REQUIRED), { keys });
    using plain = await rawClient(proxy.httpsPort);
    plain.send(get('/'));
    expect((await plain.message()).body).toContain('plain HTTP was sent');
    expect((await ask(proxy, shows(mallory))).status).toBe(400);
  });
});
