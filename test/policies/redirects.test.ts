import { expect, test } from 'vitest';
import { HOSTILE_VALUES, readAnnotationsOf } from '../support/annotations.ts';

const URL_NAMES = [
  'portico.dev/redirect-to',
  'nginx.ingress.kubernetes.io/permanent-redirect',
  'nginx.ingress.kubernetes.io/temporal-redirect',
];
const BAD_URLS = [
  ...[
    '/path',
    '//evil.example',
    'javascript:alert(1)',
    'ftp://a.example',
    'https://',
    'https://a.example/ b',
  ],
  ...['https://a.example/\r\nSet-Cookie: a=1', 'https://a.example/$request_uri', 'https://exämple.test'],
];

test.each(URL_NAMES)('%s: what is not a URL is said and redirects nobody', (name) => {
  for (const value of [...BAD_URLS, ...HOSTILE_VALUES]) {
    const { policies, problems } = readAnnotationsOf({ [name]: value });
    expect([policies, problems.map(({ code }) => code)]).toEqual([null, ['AnnotationInvalid']]);
  }
});

test.each(['redirect-status', 'permanent-redirect-code', 'temporal-redirect-code'])(
  '%s: what is no status is said, and the default is used',
  (name) => {
    const prefix = name === 'redirect-status' ? 'portico.dev/' : 'nginx.ingress.kubernetes.io/';
    const to = name === 'redirect-status' ? 'redirect-to' : name.replace('-code', '');
    for (const value of ['300', '304', '200', '0301', '301 ', ...HOSTILE_VALUES]) {
      const { policies, problems } = readAnnotationsOf({
        [`${prefix}${to}`]: 'https://a.example',
        [`${prefix}${name}`]: value,
      });
      const status = name === 'permanent-redirect-code' ? '301' : '302';
      expect(policies?.configs.redirect).toEqual({ status, location: 'https://a.example' });
      expect(problems.map(({ code }) => code)).toEqual(['AnnotationInvalid']);
    }
  },
);

test.each(['portico.dev/app-root', 'nginx.ingress.kubernetes.io/app-root'])(
  '%s: what is no other path is said and redirects nobody',
  (name) => {
    const bad = [
      'app',
      'https://a.example/',
      '/',
      '/.',
      '//',
      '/?a',
      '/#a',
      '/a/..',
      '/%2e',
      '/a\r\nb',
      '/$uri',
      '/é',
    ];
    for (const value of [...bad, ...HOSTILE_VALUES]) {
      const { policies, problems } = readAnnotationsOf({ [name]: value });
      expect([policies, problems.map(({ code }) => code)]).toEqual([null, ['AnnotationInvalid']]);
    }
    expect(readAnnotationsOf({ [name]: '/app?a=b#c' }).policies?.configs['app-root']).toEqual({
      path: '/app?a=b#c',
    });
  },
);
