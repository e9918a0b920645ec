import { type Http2SecureServer, connect, createSecureServer } from 'node:http2';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import type { PolicyConfigs } from '../../../src/policies/registry.ts';
import type { UpstreamTlsConfig } from '../../../src/policies/upstream-tls.ts';
import type { BackendTransportConfig } from '../../../src/policies/backend-transport.ts';
import { createAuthority } from '../../support/certificates.ts';
import { http2Client } from '../../support/http2-client.ts';
import { startProxy } from '../../support/proxy.ts';
import { authority, startTlsProxy } from '../../support/tls-proxy.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { recordingUpstream } from '../../support/upstream.ts';
import { STAYS_OPEN } from '../../support/stays-open.ts';

const pods = authority().issue(['pod.internal']);
const keys = { 'shop/app': authority().issue(['app.test']) };
const own = authority().certificate;

async function listening(server: Server | Http2SecureServer): Promise<AsyncDisposable & { port: number }> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    async [Symbol.asyncDispose]() {
      server.close();
    },
  };
}

const secureHttp = () =>
  listening(
    createHttps({ ...STAYS_OPEN, cert: pods.certificate, key: pods.key }, (request, response) => {
      const { servername } = request.socket as unknown as { servername: string | false };
      response.end(`${request.httpVersion} ${String(servername)}`);
    }),
  );

const secureHttp2 = () =>
  listening(
    createSecureServer({ cert: pods.certificate, key: pods.key }, (request, response) => {
      response.end(`${request.httpVersion} ${request.scheme}`);
    }),
  );

it('a client that offers h2 gets it, and the pod is told that it came by https', async () => {
  await using pod = await recordingUpstream('hello');
  await using proxy = await startTlsProxy(nativeEngine, [{ ports: [pod.port], secret: 'shop/app' }], {
    keys,
  });
  const session = connect(`https://app.test`, {
    host: '127.0.0.1',
    port: proxy.httpsPort,
    servername: 'app.test',
    ca: own,
  } as Parameters<typeof connect>[1]);
  try {
    const stream = session.request({ ':path': '/a' });
    const status = new Promise((resolve) => stream.once('response', (fields) => resolve(fields[':status'])));
    let body = '';
    for await (const bytes of stream) body += String(bytes);
    expect([session.alpnProtocol, await status, body]).toEqual(['h2', 200, 'hello']);
    expect(pod.requests[0]?.field('x-forwarded-proto')).toBe('https');
  } finally {
    session.destroy();
  }
});

/** What a route asks for that says how its Pods are spoken to. */
function transport(given: Partial<BackendTransportConfig>): PolicyConfigs {
  return { 'backend-transport': { protocol: null, serverName: null, caCertificates: null, ...given } };
}

it.each<[what: string, given: Partial<BackendTransportConfig>, http2: boolean, status: number, body: string]>(
  [
    ['HTTPS', { protocol: 'https' }, false, 200, '1.1 false'],
    ['HTTPS with a name', { protocol: 'https', serverName: 'pod.internal' }, false, 200, '1.1 pod.internal'],
    ['GRPCS', { protocol: 'grpcs' }, true, 200, '2.0 https'],
    ['a pod of the authority', { protocol: 'https', caCertificates: own }, false, 200, '1.1 false'],
    [
      'a pod of the authority, by its name',
      { protocol: 'https', caCertificates: own, serverName: 'pod.internal' },
      false,
      200,
      '1.1 pod.internal',
    ],
    [
      'the same over HTTP/2',
      { protocol: 'grpcs', caCertificates: own, serverName: 'pod.internal' },
      true,
      200,
      '2.0 https',
    ],
    [
      'another name',
      { protocol: 'https', caCertificates: own, serverName: 'other.internal' },
      false,
      502,
      '',
    ],
    [
      'another name over HTTP/2',
      { protocol: 'grpcs', caCertificates: own, serverName: 'other.internal' },
      true,
      502,
      '',
    ],
    [
      'another authority',
      { protocol: 'https', caCertificates: createAuthority().certificate },
      false,
      502,
      '',
    ],
    [
      'another authority over HTTP/2',
      { protocol: 'grpcs', caCertificates: createAuthority().certificate },
      true,
      502,
      '',
    ],
  ],
)('TLS to pods: %s', async (_what, given, http2, status, body) => {
  await using pod = await (http2 ? secureHttp2() : secureHttp());
  const policies = transport(given);
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], policies }], { h2c: true });
  using client = http2Client(proxy.port);
  for (let i = 0; i < 2; i++) {
    const answer = await client.ask({});
    expect(answer.status).toBe(status);
    if (status === 200) expect(answer.body).toBe(body);
  }
});

it('connections that were verified and those that were not never serve for each other', async () => {
  await using pod = await secureHttp();
  const site = (host: string, given: Partial<BackendTransportConfig>) => ({
    host,
    ports: [pod.port],
    policies: transport({ protocol: 'https', ...given }),
  });
  const sites = [
    site('any.test', {}),
    site('strict.test', { caCertificates: createAuthority().certificate }),
  ];
  await using proxy = await startProxy(nativeEngine, sites, { h2c: true });
  using client = http2Client(proxy.port);
  expect((await client.ask({ ':authority': 'any.test' })).status).toBe(200);
  expect((await client.ask({ ':authority': 'strict.test' })).status).toBe(502);
});

it('a pod that does not choose h2 is not spoken to in h2', async () => {
  await using pod = await secureHttp();
  const policies = transport({ protocol: 'grpcs' });
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], policies }], { h2c: true });
  using client = http2Client(proxy.port);
  expect((await client.ask({})).status).toBe(502);
});

it('an ExternalName is asked for, and verified, by its name', async () => {
  await using pod = await secureHttp();
  const resolve = async () => [{ address: '127.0.0.1', ttl: 60 }];
  const outcome = async (host: string, given: Partial<BackendTransportConfig>): Promise<string> => {
    const externalName = { host, port: pod.port };
    const policies = transport({ protocol: 'https', ...given });
    await using proxy = await startProxy(nativeEngine, [{ ports: [], externalName, policies }], { resolve });
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    return (await client.message()).body;
  };
  expect(await outcome('pod.internal', {})).toBe('1.1 pod.internal');
  expect(await outcome('pod.internal', { caCertificates: own })).toBe('1.1 pod.internal');
  expect(await outcome('api.internal', { caCertificates: own })).toContain('no protocol could be agreed on');
  expect(await outcome('api.internal', { caCertificates: own, serverName: 'pod.internal' })).toBe(
    '1.1 pod.internal',
  );
});

it.each<Partial<BackendTransportConfig>>([
  { protocol: 'https' },
  { protocol: 'grpcs' },
  { protocol: 'grpc' },
])('a route that speaks %o to a Pod of HTTP is told so, and ejects nothing', async (given) => {
  await using pod = await listening(createHttp(STAYS_OPEN, (_, response) => response.end('plain')));
  const wrong = { host: 'wrong.test', ports: [pod.port], policies: transport(given) };
  await using proxy = await startProxy(nativeEngine, [wrong, { ports: [pod.port] }]);
  using client = await rawClient(proxy.port);
  for (let i = 0; i < 4; i++) {
    client.send(get('/').replace('app.test', 'wrong.test'));
    expect((await client.message()).status).toBe(502);
  }
  expect(await proxy.exchange(0)).toMatchObject({ detail: 'upstream-handshake-failed', status: 502 });
  expect(proxy.endpoint('wrong.test')?.failures).toBe(0);
  client.send(get('/'));
  expect((await client.message()).body).toBe('plain');
  expect(proxy.endpoint()?.failures).toBe(0);
});

const TLS: UpstreamTlsConfig = {
  ...{ clientSecret: null, caCertificates: null, name: null, sendsName: false, depth: 1, ciphers: null },
  ...{ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' },
};

it.each<[what: string, given: Partial<UpstreamTlsConfig>, status: number, body: string]>([
  ['a certificate is shown', { clientSecret: 'shop/portico' }, 200, 'portico'],
  ['without one the Pod refuses', {}, 502, ''],
  [
    'the Pod is verified by its name, which is asked for',
    { clientSecret: 'shop/portico', caCertificates: own, name: 'pod.internal', sendsName: true },
    200,
    'portico pod.internal',
  ],
  [
    'a Pod with another name is not asked',
    { clientSecret: 'shop/portico', caCertificates: own, name: 'other.internal' },
    502,
    '',
  ],
  [
    'a chain may have no intermediate certificate',
    { clientSecret: 'shop/portico', caCertificates: own, depth: 0 },
    200,
    'portico',
  ],
  ['a version that is not spoken', { clientSecret: 'shop/portico', maxVersion: 'TLSv1.2' }, 502, ''],
])('TLS to pods with certificates: %s', async (_what, given, status, body) => {
  const shown = authority().issue(['portico']);
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const secrets = new Map([
    ['shop/portico', { 'tls.crt': base64(shown.certificate), 'tls.key': base64(shown.key) }],
  ]);
  const asking = { requestCert: true, rejectUnauthorized: true, ca: own, minVersion: 'TLSv1.3' } as const;
  await using pod = await listening(
    createHttps({ ...STAYS_OPEN, ...asking, cert: pods.certificate, key: pods.key }, (request, response) => {
      const socket = request.socket as TLSSocket & { servername: string | false };
      const name = socket.servername === false ? '' : ` ${socket.servername}`;
      response.end(`${String(socket.getPeerCertificate().subject.CN)}${name}`);
    }),
  );
  const policies = { ...transport({ protocol: 'https' }), 'upstream-tls': { ...TLS, ...given } };
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], policies }], { secrets });
  using client = await rawClient(proxy.port);
  client.send(get('/'));
  const response = await client.message();
  expect([response.status, status === 200 ? response.body : '']).toEqual([status, body]);
});
