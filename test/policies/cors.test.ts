import { Cancellation } from '../../src/http/subrequest.ts';
import { NO_CONTENT } from '../../src/http/request-content.ts';
import { expect, test } from 'vitest';
import { fieldsViewOf } from '../../src/http/head-edit.ts';
import { ResponseEdit } from '../../src/http/response-edit.ts';
import { directConnection } from '../../src/http/connection-info.ts';
import { cors } from '../../src/policies/cors.ts';
import { HOSTILE_VALUES, readAnnotationsOf } from '../support/annotations.ts';
import { policyThread } from '../support/policy-thread.ts';

const ON = { 'portico.dev/cors': 'true' };

function read(annotations: Readonly<Record<string, unknown>>) {
  const { policies, problems } = readAnnotationsOf(annotations);
  return { config: policies?.configs.cors, problems: problems.map(({ code }) => code) };
}

/** The origin that a page of `origin` is told, where `allowed` is written. */
function allowedOrigin(allowed: string, origin: string): string | undefined {
  const { config } = read({ ...ON, 'portico.dev/cors-allow-origin': allowed });
  if (!config) return undefined;
  const fields = fieldsViewOf([['origin', origin]]);
  const request = {
    ...{ method: 'GET', target: '/', host: 'app.test', httpVersion: '1.1' },
    ...{ clientAddress: '10.0.0.1', requestId: '', loop: '' },
    scheme: 'http',
    rule: null,
    body: NO_CONTENT,
    cancellation: new Cancellation(),
    noteAuth: () => {},
    connectionInfo: directConnection('10.0.0.1', false, 'http', 80),
    value: (name: string) => fields.value(name),
    values: (name: string) => fields.values(name),
    allFields: () => [],
  } as const;
  const edit = new ResponseEdit(fieldsViewOf([]));
  cors
    .bind?.(
      config,
      policyThread(() => 0),
    )
    .onResponse?.(edit, request);
  return edit.value('access-control-allow-origin');
}

test.each([
  ['https://a.test', 'https://a.test'],
  ['https://a.test', 'HTTPS://A.test'],
  ['https://a.test:8443,null', 'null'],
  ['https://*.a.test', 'https://x-1.a.test'],
  ['http://*.a.test:81', 'http://x.a.test:81'],
  ['capacitor://localhost', 'capacitor://localhost'],
  ['http://[::1]:3000', 'http://[::1]:3000'],
])('%s allows %s', (allowed, origin) => {
  expect(allowedOrigin(allowed, origin)).toBe(origin);
});

test.each([
  ['https://a.test', 'http://a.test'],
  ['https://a.test', 'https://a.test:8443'],
  ['https://a.test', 'https://a.test.evil.test'],
  ['https://a.test', 'evil-https://a.test'],
  ['https://a.test', 'https://evil.test/https://a.test'],
  ['https://a.test', 'https://a.test, https://evil.test'],
  ['https://a.test', 'https://a-test'],
  ['https://*.a.test', 'https://a.test'],
  ['https://*.a.test', 'https://x.y.a.test'],
  ['https://*.a.test', 'https://*.a.test'],
  ['https://*.a.test', 'https://evil.test/.a.test'],
  ['https://*.a.test', 'https://.a.test'],
  ['https://*.a.test', 'https://x@.a.test'],
  ['https://*.a.test', `https://${'x'.repeat(100_000)}.a.test`],
  ['https://a.test', ''],
])('%s does not allow %s', (allowed, origin) => {
  expect(allowedOrigin(allowed, origin)).toBeUndefined();
});

test('one star among the origins stands for all of them', () => {
  expect(allowedOrigin('https://a.test, *', 'https://b.test')).toBe('*');
});

test('origins that cannot be read never open the paths to all', () => {
  const bad = [
    'a.test',
    '*.a.test',
    'https://*',
    'https://*a.test',
    'https://a.*.test',
    'https://a.test/path',
    '**',
  ];
  for (const value of [...bad, ...HOSTILE_VALUES.filter((each) => each !== '*')]) {
    const { config, problems } = read({ ...ON, 'portico.dev/cors-allow-origin': value });
    expect([config, problems]).toEqual([undefined, ['AnnotationInvalid']]);
  }
  const { config, problems } = read({ ...ON, 'portico.dev/cors-allow-origin': 'https://a.test,evil' });
  expect([config?.origins, problems]).toEqual([['https://a.test'], ['AnnotationInvalid']]);
});

test('origins have a bound', () => {
  const list = Array.from({ length: 1025 }, (_, i) => `https://a${i}.test`).join(',');
  const { config, problems } = read({ ...ON, 'portico.dev/cors-allow-origin': list });
  expect([config?.origins.length, problems]).toEqual([1024, ['AnnotationInvalid']]);
});

test.each([
  'cors-allow-methods',
  'cors-allow-headers',
  'cors-expose-headers',
  'cors-max-age',
  'cors-allow-credentials',
])('%s: what cannot be read is said, and the default is used', (name) => {
  const { config } = read(ON);
  const bad = ['a b', 'a,,b', 'a\r\nX-Evil: 1', 'é', '\u0000', '', ',', 'a'.repeat(100_000), 7, null, {}, []];
  for (const value of bad) {
    expect(read({ ...ON, [`portico.dev/${name}`]: value })).toEqual({
      config,
      problems: ['AnnotationInvalid'],
    });
  }
  for (const value of HOSTILE_VALUES) {
    const got = read({ ...ON, [`portico.dev/${name}`]: value }).config;
    expect(`${got?.methods}${got?.headers}${got?.exposeHeaders}${got?.maxAge}`).toMatch(/^[ -~]+$/);
  }
});

test('the switch is what ingress-nginx takes, and off where it cannot be read', () => {
  for (const on of ['true', 'True', '1', 't', 'T']) {
    expect(read({ 'nginx.ingress.kubernetes.io/enable-cors': on }).config).toBeDefined();
  }
  for (const off of ['false', '0', 'F', 'yes', ...HOSTILE_VALUES]) {
    expect(read({ 'nginx.ingress.kubernetes.io/enable-cors': off }).config).toBeUndefined();
  }
});
