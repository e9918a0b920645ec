import { afterAll, beforeAll, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { type Daemon, HTTPS_PORT, eventually, startDaemon } from '../support/daemon.ts';
import { secureClient } from '../support/tls-proxy.ts';
import { type Folder, createFolder } from './folder.ts';
import { type Pod, startPod } from './pod.ts';
import { manifest, siteObjects } from './site.ts';

const CLASS = `apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: { name: nginx }
spec: { controller: k8s.io/ingress-nginx }
`;

function configMap(name: string, data: Readonly<Record<string, string>>): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'ingress-nginx' },
    data,
  });
}

let pod: Pod;
let folder: Folder;
let daemon: Daemon;
const options = (data: Readonly<Record<string, string>>): Promise<void> =>
  folder.put('controller.yaml', configMap('controller', data));

beforeAll(async () => {
  pod = await startPod('app');
  folder = createFolder();
  const objects = manifest(...siteObjects({ host: 'shop.test', endpoints: [pod.endpoint] }));
  await folder.put('site.yaml', `${CLASS}---\n${objects.replaceAll('portico', 'nginx')}`);
  await folder.put('sent.yaml', configMap('sent', { 'X-Tenant': 'shop of $host', Host: 'evil.test' }));
  await folder.put('given.yaml', configMap('given', { 'X-Robots-Tag': 'none' }));
  await options({ 'whitelist-source-range': '192.0.2.0/24' });
  daemon = startDaemon({
    args: [
      ...['--manifests', folder.path, '--drop-in', 'ingress-nginx', '--https-port', `${HTTPS_PORT}`],
      ...['--ingress-nginx-configmap', 'ingress-nginx/controller', '--metrics-compat', 'ingress-nginx'],
    ],
  });
  await daemon.ready();
});
afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
  await pod.stop();
});

it('the options of the ConfigMap are served, and a change of them too', async () => {
  let received: Readonly<Record<string, unknown>> = {};
  pod.server.prependListener('request', ({ headers }, response) => {
    received = headers;
    response.setHeader('x-secret', 'of the pod');
  });
  const ask = (...fields: string[]) => daemon.request('shop.test', '/', { fields });
  expect((await ask()).status).toBe(403);
  const own = 'controller_namespace="",controller_class="k8s.io/ingress-nginx",controller_pod=""';
  expect(await daemon.metric(`nginx_ingress_controller_config_last_reload_successful{${own}}`)).toBe(1);

  await options({
    'add-headers': 'ingress-nginx/given',
    'proxy-set-headers': 'ingress-nginx/sent',
    'hide-headers': 'X-Secret',
    'block-user-agents': 'curl, ~*bot/\\d',
    'block-referers': '~spam',
    'use-forwarded-headers': 'true',
    'proxy-real-ip-cidr': '127.0.0.0/8',
    'block-cidrs': '198.51.100.0/24',
  });
  await eventually(async () => (await ask()).status === 200, daemon.exited);
  const response = await ask();
  expect(response.field('x-robots-tag')).toBe('none');
  expect(response.field('x-secret')).toBeUndefined();
  expect(received).toMatchObject({ host: 'shop.test', 'x-tenant': 'shop of shop.test' });
  for (const blocked of [
    'User-Agent: curl',
    'User-Agent: SpamBot/7',
    'Referer: https://spam.test',
    'X-Forwarded-For: 198.51.100.7',
  ])
    expect((await ask(blocked)).status, blocked).toBe(403);
  expect((await ask('User-Agent: curl/8')).status).toBe(200);
  // A proxy that is trusted by the ConfigMap says that its client came by https.
  expect((await ask('X-Forwarded-Proto: https')).field('strict-transport-security')).toBe(
    'max-age=31536000; includeSubDomains',
  );

  await options({ 'use-forwarded-headers': 'true', 'hsts-max-age': '60', 'force-ssl-redirect': 'true' });
  await eventually(async () => (await ask()).status === 308, daemon.exited);
  expect((await ask('X-Forwarded-Proto: https')).field('strict-transport-security')).toBe(
    'max-age=60; includeSubDomains',
  );
  await options({ 'force-ssl-redirect': 'true', 'http-redirect-code': '301' });
  await eventually(async () => (await ask()).status === 301, daemon.exited);
  expect((await ask('X-Forwarded-Proto: https')).status).toBe(301);

  const handshake = async (name: string, maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<boolean> => {
    const client = secureClient(HTTPS_PORT, name, { host: daemon.address, maxVersion });
    return await client.then(
      (opened) => (opened[Symbol.dispose](), true),
      () => false,
    );
  };
  expect([await handshake('shop.test', 'TLSv1.2'), await handshake('unknown.test', 'TLSv1.3')]).toEqual([
    true,
    true,
  ]);
  pod.server.prependListener('request', (_, response) => {
    response.setHeader('location', 'http://pod.internal/a');
  });
  await options({
    ...{ 'ssl-protocols': 'TLSv1.3', 'ssl-reject-handshake': 'true' },
    ...{ 'proxy-redirect-from': 'http://pod.internal/', 'proxy-redirect-to': 'https://shop.test/' },
    'enable-underscores-in-headers': 'true',
  });
  await eventually(async () => !(await handshake('shop.test', 'TLSv1.2')), daemon.exited);
  expect([await handshake('shop.test', 'TLSv1.3'), await handshake('unknown.test', 'TLSv1.3')]).toEqual([
    true,
    false,
  ]);
  expect((await ask('X_Tenant: blue')).field('location')).toBe('https://shop.test/a');
  expect(received).toMatchObject({ x_tenant: 'blue' });
});

it('limits of the ConfigMap count at once, and cut no request off', async () => {
  await options({});
  const large = `X-Large: ${'x'.repeat(3_000)}`;
  const status = async (): Promise<number> =>
    (await daemon.request('shop.test', '/', { fields: [large] })).status;
  await eventually(async () => (await status()) === 200, daemon.exited);
  expect(await daemon.line(/ HTTP\/1\.1" 200 /)).toMatch(
    /^127\.0\.0\.1 - - \[.+\] "GET \/ HTTP\/1\.1" 200 3 "-" "-" \d+ \d\.\d{3} \[default-web-http\] \[-\] 127\.0\.0\.1:\d+ 3 /,
  );
  using waiting = await daemon.connect();
  waiting.send('POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\n\r\nhe');
  using kept = await daemon.connect();
  kept.send('GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n');
  expect((await kept.message()).field('connection')).toBeUndefined();

  await options({ 'large-client-header-buffers': '2 1k', 'keep-alive-requests': '1' });
  await eventually(async () => (await status()) === 431, daemon.exited);
  waiting.send('llo');
  expect((await waiting.message()).status).toBe(200);
  kept.send('GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n');
  expect((await kept.message()).field('connection')).toBe('close');

  await options({
    'log-format-upstream': '{"agent":"$http_user_agent","target":"$request_uri"}',
    'log-format-escape-json': 'true',
  });
  await eventually(async () => (await status()) === 200, daemon.exited);
  await daemon.request('shop.test', '/loud?token=abc', { fields: ['User-Agent: say "hi"'] });
  expect(await daemon.line(/loud/)).toBe('{"agent":"say \\"hi\\"","target":"/loud?token=REDACTED"}');
  using idle = await daemon.connect();
  idle.send('GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n');
  expect((await idle.message()).field('connection')).toBeUndefined();
  await options({ 'keep-alive': '1' });
  expect(await idle.ended).toBe('end');
});
