import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  connectionOptions,
  forwardingField,
  isForbiddenTrailer,
  isForwardingField,
  isHopByHop,
} from '../../src/proxy/header-fields.ts';

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

  it.each([...SET, 'forwarded'])('%s tells of the way, and so do its underscore twins', (name) => {
    expect(forwardingField(name)).toBe(name);
    if (name.includes('-')) {
      expect(forwardingField(name.replaceAll('-', '_'))).toBe('underscore-twin');
      expect(forwardingField(name.replace('-', '_'))).toBe('underscore-twin');
    }
  });

  it('knows the others of the family', () => {
    expect(forwardingField('x-forwarded-ssl')).toBe('x-forwarded-other');
    expect(forwardingField('x_forwarded_ssl')).toBe('underscore-twin');
    expect(forwardingField('x-forwarded-_')).toBe('x-forwarded-other');
    for (const other of ['x-forward', 'x-real', 'x_other', 'from', 'x', '', 'xx-forwarded-for']) {
      expect(isForwardingField(other)).toBe(false);
    }
  });

  it('knows what tells of a certificate of the client', () => {
    for (const name of ['ssl-client-verify', 'ssl-client-cert', 'ssl-client-']) {
      expect(forwardingField(name)).toBe('client-certificate');
      expect(isForbiddenTrailer(name)).toBe(true);
    }
    for (const twin of ['ssl_client_verify', 'ssl-client_verify', 'ssl_client-cert']) {
      expect(forwardingField(twin)).toBe('underscore-twin');
    }
    for (const other of ['ssl', 's', 'ssl-session-id', 'sec-fetch-mode', 'x-ssl-client-verify', 'ssl_x']) {
      expect(forwardingField(other)).toBe(null);
    }
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
