import { describe, expect, it } from 'vitest';
import type { PresentedCertificate } from '../../src/http/connection-info.ts';
import { type Decision, decide } from '../../src/routing/decide.ts';
import type { RequestFacts } from '../../src/http/request-facts.ts';
import { mapOf } from '../../src/model/sharded-map.ts';
import { tableOf } from '../support/proxy.ts';

const TABLE = tableOf([
  { ports: [80] },
  { host: 'broken.test', ports: [], unavailable: 'service-not-found' },
]);

function outcome(request: Partial<RequestFacts>): string {
  return described(decide(TABLE, { method: 'GET', target: '/', host: 'app.test', ...request }));
}

function described(decision: Decision): string {
  switch (decision.kind) {
    case 'forward':
      return decision.backend.key;
    case 'redirect':
      return decision.location;
    case 'refuse':
      return decision.reason;
  }
}

const FORWARDED = 'default/app.test:80';

describe('decide', () => {
  it.each<[string, Partial<RequestFacts>, string]>([
    ['a plain request', {}, FORWARDED],
    ['a host with a port, a dot and capitals', { host: 'APP.test.:8080' }, FORWARDED],
    ['an absolute-form target', { target: 'http://app.test/x' }, FORWARDED],
    ['an absolute-form target without a path', { target: 'HTTP://app.test' }, FORWARDED],
    ['an absolute-form target with a query only', { target: 'https://app.test?x' }, FORWARDED],
    ['OPTIONS *', { method: 'OPTIONS', target: '*' }, FORWARDED],
    ['no host', { host: '' }, 'bad-host'],
    ['no host in HTTP/1.0', { host: '', httpVersion: '1.0' }, 'no-route'],
    [
      'a host in the target of HTTP/1.0',
      { host: '', httpVersion: '1.0', target: 'http://app.test/x' },
      FORWARDED,
    ],
    [
      'a bad host in the target of HTTP/1.0',
      { host: '', httpVersion: '1.0', target: 'http://a b/' },
      'bad-host',
    ],
    ['GET *', { target: '*' }, 'bad-target'],
    ['an absolute-form target of another host', { target: 'http://other.test/' }, 'host-disagrees'],
    ['an absolute-form target with a user', { target: 'http://app.test@app.test/' }, 'host-disagrees'],
    ['an absolute-form target with a fragment', { target: 'http://app.test/#x' }, 'bad-target'],
    ['an authority-form target', { target: 'app.test:443' }, 'bad-target'],
    ['an empty target', { target: '' }, 'bad-target'],
    ['a climb above the root', { target: '/a/../../b' }, 'bad-target'],
    ['no host', { host: '' }, 'bad-host'],
    ['two hosts in one', { host: 'app.test, app.test' }, 'bad-host'],
    ['CONNECT', { method: 'CONNECT', target: 'app.test:443' }, 'method-not-allowed'],
    ['TRACE', { method: 'TRACE' }, 'method-not-allowed'],
    ['an unknown host', { host: 'unknown.test' }, 'no-route'],
    ['a backend that is unavailable', { host: 'broken.test' }, 'backend-unavailable'],
  ])('%s', (_, request, expected) => expect(outcome(request)).toBe(expected));

  it('says which route a refusal belongs to', () => {
    const decision = decide(TABLE, { method: 'GET', target: '/', host: 'broken.test' });
    expect(decision.route?.ingress).toBe('default/broken.test');
  });
});

describe('certificates of clients', () => {
  const required = { policyId: 'R', required: true, caCertificates: '', passCertificate: false };
  const optional = { ...required, policyId: 'O', required: false };
  const table = tableOf([
    { host: 'open.test', ports: [80] },
    { host: 'required.test', ports: [80], clients: required },
    { host: 'same.test', ports: [80], clients: required },
    { host: 'optional.test', ports: [80], clients: optional },
    { host: 'unverifiable.test', ports: [80], clients: 'unverifiable' },
    { host: 'loser.test', ports: [80], clients: required, policies: { 'client-certificate': optional } },
    { host: 'alone.test', ports: [80], policies: { 'client-certificate': required } },
    { host: 'asking.test', ports: [80], clients: required, policies: { 'client-certificate': required } },
    { host: 'down.test', ports: [], clients: required, unavailable: 'service-not-found' },
  ]);
  const came = (
    policyId: string,
    verdict: PresentedCertificate['verdict'],
  ): RequestFacts['connectionInfo'] => {
    return { tls: true, certificate: { policyId, verdict, fields: {}, lines: '' } };
  };
  const connectionInfos: Record<string, RequestFacts['connectionInfo']> = {
    unknown: undefined,
    http: { tls: false },
    https: { tls: true },
    'R verified': came('R', 'verified'),
    'R missing': came('R', 'missing'),
    'R refused': came('R', 'refused'),
    'O verified': came('O', 'verified'),
    'O missing': came('O', 'missing'),
    'O refused': came('O', 'refused'),
    'rotated verified': came('R2', 'verified'),
    'empty verified': came('', 'verified'),
  };
  const ALL = Object.keys(connectionInfos);
  const except = (...names: string[]): string[] => ALL.filter((name) => !names.includes(name));
  const clear = ['unknown', 'http'];

  it.each<[host: string, expected: Record<string, readonly string[]>]>([
    ['open.test', { forward: [...clear, 'https'], misdirected: except(...clear, 'https') }],
    ...['required.test', 'same.test', 'asking.test', 'down.test'].map(
      (host): [string, Record<string, readonly string[]>] => [
        host,
        {
          [host === 'down.test' ? 'backend-unavailable' : 'forward']: ['R verified'],
          'certificate-missing': ['R missing'],
          'certificate-refused': ['R refused'],
          'client-certificate-not-available': clear,
          misdirected: except(...clear, 'R verified', 'R missing', 'R refused'),
        },
      ],
    ),
    [
      'optional.test',
      {
        forward: ['O verified', 'O missing'],
        'certificate-refused': ['O refused'],
        'client-certificate-not-available': clear,
        misdirected: except(...clear, 'O verified', 'O missing', 'O refused'),
      },
    ],
    ['unverifiable.test', { 'clients-unverifiable': ALL }],
    ['loser.test', { 'clients-unverifiable': ALL }],
    ['alone.test', { 'clients-unverifiable': ALL }],
    ['none.test', { 'no-route': [...clear, 'https'], misdirected: except(...clear, 'https') }],
  ])('%s', (host, expected) => {
    const found: Record<string, string[]> = {};
    for (const [name, connectionInfo] of Object.entries(connectionInfos)) {
      const decision = decide(table, {
        ...{ method: 'GET', target: '/', host },
        // What a trusted proxy says of its client makes no certificate visible.
        scheme: 'https',
        ...(connectionInfo && { connectionInfo }),
      });
      (found[decision.kind === 'forward' ? 'forward' : described(decision)] ??= []).push(name);
    }
    expect(found).toEqual(expected);
  });

  describe('and an ACME challenge in clear text', () => {
    const solved = tableOf([
      { host: 'solved.test', ports: [80], clients: required, solver: true },
      { host: 'unverifiable.test', ports: [80], clients: 'unverifiable', solver: true },
      { host: 'site.test', ports: [80], clients: required },
    ]);
    const TOKEN = '/.well-known/acme-challenge/aZ0_-9';
    const kind = (request: Partial<RequestFacts>): string =>
      decide(solved, {
        ...{ method: 'GET', target: TOKEN, host: 'solved.test', connectionInfo: { tls: false } },
        ...request,
      }).kind;

    it('is let in to a rule for challenges', () => {
      expect([kind({}), kind({ method: 'HEAD' }), kind({ host: 'unverifiable.test' })]).toEqual([
        'forward',
        'forward',
        'forward',
      ]);
    });

    it.each<[string, Partial<RequestFacts>]>([
      ['another rule of the host', { host: 'site.test' }],
      ['a connection with TLS, which can ask for a certificate', { connectionInfo: { tls: true } }],
      ['another method', { method: 'POST' }],
      ['no token', { target: '/.well-known/acme-challenge/' }],
      ['a second segment', { target: `${TOKEN}/b` }],
      ['a query', { target: `${TOKEN}?x=1` }],
      ['an encoded token', { target: '/.well-known/acme-challenge/%61' }],
      ['an encoded climb', { target: '/.well-known/acme-challenge/..%2f..%2fsecret' }],
      ['a climb back', { target: '/x/../.well-known/acme-challenge/a' }],
      ['two slashes', { target: '/.well-known//acme-challenge/a' }],
      ['a parameter', { target: `${TOKEN};/x` }],
      ['the absolute form', { target: `http://solved.test${TOKEN}` }],
    ])('is not: %s', (_, request) => expect(kind(request)).toBe('refuse'));
  });

  it('sends a host with TLS to https first', () => {
    const secure = {
      ...table,
      certificates: mapOf([
        ['required.test', { host: 'required.test', secret: null, ingress: '', namespace: 'default' }],
      ]),
    };
    const request = {
      method: 'GET',
      target: '/',
      host: 'required.test',
      connectionInfo: { tls: false },
    } as const;
    expect(decide(secure, request, { port: 443 }).kind).toBe('redirect');
    expect(decide(secure, request).kind).toBe('refuse');
  });
});
