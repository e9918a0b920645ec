import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  connectionOptions,
  isForbiddenTrailer,
  isForwardingField,
  isHopByHop,
} from '../../src/http/header-fields.ts';
import {
  CLIENT_ADDRESS_FIELDS,
  INGRESS_NGINX_FIELDS,
  CLIENT_CERTIFICATE_FIELDS,
  FieldKind,
  fieldKind,
  fieldKindOf,
} from '../../src/http/field-names.ts';

const SET = [
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-proto',
  'x-real-ip',
  'x-request-id',
];

describe('fields', () => {
  it.each(['connection', 'keep-alive', 'te', 'transfer-encoding', 'upgrade', 'proxy-connection'])(
    '%s ends here',
    (name) => {
      expect(isHopByHop(name)).toBe(true);
    },
  );

  it.each(['host', 'content-length', 'trailer', 'cookie', 'x-forwarded-for', 'toString', '__proto__', ''])(
    '%s is not about the connection',
    (name) => expect(isHopByHop(name)).toBe(false),
  );

  it.each([...SET, 'forwarded'])(
    '%s says how a request came here, and so do its underscore twins',
    (name) => {
      expect(fieldKindOf(name)).toBe(name === 'x-request-id' ? FieldKind.requestId : FieldKind.forwarding);
      if (name.includes('-')) {
        expect(fieldKindOf(name.replaceAll('-', '_'))).toBe(FieldKind.withheld);
        expect(fieldKindOf(name.replace('-', '_'))).toBe(FieldKind.withheld);
      }
    },
  );

  it.each([
    [
      'clientAddress',
      ['X-Forwarded-SSL', 'x-forwarded-', 'X-Client-IP', 'True-Client-IP', 'CF-Connecting-IPv6'],
    ],
    [
      'clientCertificate',
      ['ssl-client-verify', 'ssl-client-', 'X-SSL-Client-S-DN', 'X-Forwarded-Client-Cert'],
    ],
    ['clientCertificate', ['Client-Cert', 'Client-Cert-Chain', 'X-Client-Verify', 'X-ARR-ClientCert']],
    [
      'withheld',
      ['x_forwarded_ssl', 'x-forwarded-_', 'SSL_CLIENT_CERT', 'ssl-client_verify', 'Content_Length'],
    ],
    ['withheld', ['Proxy', 'true_client_ip', 'Transfer_Encoding', 'client_cert']],
    ['underscored', ['x_other', 'ssl_x', '_', 'user_agent']],
    ['dropped', ['Proxy-Connection', 'HTTP2-Settings']],
    [
      'other',
      ['x-forward', 'x-real', 'from', 'x', '', 'xx-forwarded-for', 'true-client-ip-x', 'client-certs'],
    ],
    ['other', ['ssl', 'ssl-session-id', 'sec-fetch-mode', 'proxy-x', 'a.b', 'proxy!', 'x-client-version']],
  ] as const)('%s: %j', (kind, names) => {
    for (const name of names) {
      const bytes = Buffer.from(`>${name}<`);
      expect(fieldKind(bytes, 1, bytes.length - 1, name.includes('_')), name).toBe(FieldKind[kind]);
      expect(fieldKindOf(name), name).toBe(FieldKind[kind]);
    }
  });

  it('is documented', () => {
    const page = readFileSync(new URL('../../docs/reference/http.md', import.meta.url), 'utf8').toLowerCase();
    for (const name of [...CLIENT_ADDRESS_FIELDS, ...INGRESS_NGINX_FIELDS, ...CLIENT_CERTIFICATE_FIELDS])
      expect(page).toContain(`\`${name}\``);
  });

  it('lets no trailer speak of the certificate of the client', () => {
    for (const name of ['ssl-client-verify', 'client-cert', 'ssl_client_verify', 'proxy'])
      expect(isForbiddenTrailer(name)).toBe(true);
    for (const other of ['x-forward', 'x_other', 'from']) expect(isForwardingField(other)).toBe(false);
  });

  it.each([
    ['keep-alive', { keepAlive: true }],
    ['Keep-Alive', { keepAlive: true }],
    ['CLOSE', { close: true }],
    ['keep-alive, Upgrade', { keepAlive: true, upgrade: true }],
    [' , close ,, ', { close: true }],
    ['X-Mine, close', { close: true, names: new Set(['x-mine']) }],
    ['Host, Content-Length, X-Forwarded-For, X_Real_IP, X-Request-ID, Cookie, Trailer', {}],
    ['', {}],
    [undefined, {}],
  ])('Connection: %s', (value, expected) => {
    const none = { close: false, keepAlive: false, upgrade: false, names: null };
    expect(connectionOptions(value)).toEqual({ ...none, ...expected });
  });

  it('never names away what frames, addresses or forwards a message', () => {
    const name = fc.constantFrom(
      ...SET,
      'host',
      'content-length',
      'forwarded',
      'x_forwarded_for',
      'x-other',
      'close',
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(name, fc.constantFrom(',', ', ', ' ,\t'))), (parts) => {
        const { names } = connectionOptions(
          parts.map(([name, comma]) => name.toUpperCase() + comma).join(''),
        );
        for (const named of names ?? []) expect(named).toBe('x-other');
      }),
    );
  });

  it('lets no trailer frame, address or forward', () => {
    for (const name of [
      'content-length',
      'transfer-encoding',
      'host',
      'x-forwarded-for',
      'x_real_ip',
      'set-cookie',
    ]) {
      expect(isForbiddenTrailer(name)).toBe(true);
    }
    for (const name of ['x-checksum', 'etag', 'server-timing', 'grpc-status']) {
      expect(isForbiddenTrailer(name)).toBe(false);
    }
  });
});
