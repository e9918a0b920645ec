import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ProxyHeader, readProxyHeader } from '../../src/proxy/listener/proxy-protocol.ts';
import { examples } from '../support/examples.ts';

const V2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

function v2(command: number, family: number, rest: Buffer): Buffer {
  const fixed = Buffer.from([command, family, rest.length >> 8, rest.length & 0xff]);
  return Buffer.concat([V2, fixed, rest]);
}

const TCP4 = Buffer.from([192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 0x01, 0xbb]);

function tlv(type: number, value: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from([type, 0, value.length]), Buffer.from(value as string, 'latin1')]);
}

/** PP2_TYPE_SSL */
function ssl(client: number, inner: Buffer = Buffer.alloc(0)): Buffer {
  return tlv(0x20, Buffer.concat([Buffer.from([client, 0, 0, 0, 0]), inner]));
}

function tcp4With(...extensions: readonly Buffer[]): Buffer {
  return Buffer.concat([TCP4, ...extensions]);
}

const TCP6 = Buffer.concat([
  Buffer.from('20010db8000000000000000000000001', 'hex'),
  Buffer.from('00000000000000000000ffff0a000001', 'hex'),
  Buffer.from([0, 80, 1, 187]),
]);
const FROM_V4 = { source: '192.0.2.1', sourcePort: 56_324, destinationPort: 443, tls: null };

const HEADERS: readonly [name: string, bytes: Buffer, addresses: unknown][] = [
  ['v1 TCP4', Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n'), FROM_V4],
  [
    'v1 TCP6',
    Buffer.from('PROXY TCP6 2001:0DB8:0:0:0:0:0:1 ::1 0 65535\r\n'),
    { source: '2001:db8::1', sourcePort: 0, destinationPort: 65_535, tls: null },
  ],
  [
    'v1 TCP6 of an IPv4 address',
    Buffer.from('PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n'),
    { source: '192.0.2.1', sourcePort: 1, destinationPort: 2, tls: null },
  ],
  ['v1 UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n'), null],
  ['v1 UNKNOWN with more', Buffer.from('PROXY UNKNOWN ffff::1 what ever 1 2\r\n'), null],
  ['v2 TCP4', v2(0x21, 0x11, TCP4), FROM_V4],
  ['v2 TCP4 with extensions', v2(0x21, 0x11, Buffer.concat([TCP4, Buffer.from([4, 0, 1, 0])])), FROM_V4],
  [
    'v2 TCP6',
    v2(0x21, 0x21, TCP6),
    { source: '2001:db8::1', sourcePort: 80, destinationPort: 443, tls: null },
  ],
  ['v2 TCP4 of a client with TLS', v2(0x21, 0x11, tcp4With(ssl(0x07))), { ...FROM_V4, tls: true }],
  ['v2 TCP4 of a client without', v2(0x21, 0x11, tcp4With(ssl(0x00))), { ...FROM_V4, tls: false }],
  [
    'v2 TCP4 with TLS among other extensions',
    v2(0x21, 0x11, tcp4With(tlv(0x02, 'app.test'), ssl(0x01, tlv(0x21, 'TLSv1.3')), tlv(0x04, '\0'))),
    { ...FROM_V4, tls: true },
  ],
  ['v2 LOCAL that is broken within', v2(0x20, 0x11, tcp4With(Buffer.from([0x20]))), null],
  ['v2 LOCAL', v2(0x20, 0x00, Buffer.alloc(0)), null],
  ['v2 LOCAL with addresses', v2(0x20, 0x11, TCP4), null],
  ['v2 unspecified', v2(0x21, 0x00, Buffer.from('abc')), null],
  ['v2 Unix', v2(0x21, 0x31, Buffer.alloc(216)), null],
];

const BAD: readonly [name: string, bytes: string | Buffer][] = [
  ['two blanks', 'PROXY  TCP4 192.0.2.1 198.51.100.2 1 2\r\n'],
  ['a leading zero in a port', 'PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n'],
  ['a port that is too high', 'PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n'],
  ['a port that is no number', 'PROXY TCP4 192.0.2.1 198.51.100.2 1 x\r\n'],
  ['a missing port', 'PROXY TCP4 192.0.2.1 198.51.100.2 1\r\n'],
  ['one thing too many', 'PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n'],
  ['an octal address', 'PROXY TCP4 192.0.2.010 198.51.100.2 1 2\r\n'],
  ['an address of the other family', 'PROXY TCP4 ::1 ::1 1 2\r\n'],
  ['a zone', 'PROXY TCP6 fe80::1%lo ::1 1 2\r\n'],
  ['another protocol', 'PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n'],
  ['a longer word', 'PROXY UNKNOWNS\r\n'],
  ['no end within 107 bytes', `PROXY UNKNOWN ${'x'.repeat(93)}`],
  ['v2 of another version', v2(0x11, 0x11, TCP4)],
  ['v2 with another command', v2(0x22, 0x11, TCP4)],
  ['v2 with half an extension', v2(0x21, 0x11, tcp4With(Buffer.from([0x04, 0])))],
  ['v2 with an extension past its end', v2(0x21, 0x11, tcp4With(Buffer.from([0x04, 0, 2, 0])))],
  ['v2 with too little about TLS', v2(0x21, 0x11, tcp4With(tlv(0x20, '\x01\0\0\0')))],
  ['v2 with two answers about TLS', v2(0x21, 0x11, tcp4With(ssl(0x01), ssl(0x00)))],
  ['v2 over UDP', v2(0x21, 0x12, TCP4)],
  ['v2 with too little room for its addresses', v2(0x21, 0x21, TCP4)],
  ['v2 that is too long', Buffer.concat([V2, Buffer.from([0x21, 0x11, 0xff, 0xff])])],
];

describe('PROXY protocol', () => {
  it.each(HEADERS)(
    '%s is read, however it is split, and what follows is left alone',
    (_, bytes, addresses) => {
      for (let length = 0; length < bytes.length; length++) {
        expect(readProxyHeader(bytes.subarray(0, length)).kind).toBe('more');
      }
      const expected: ProxyHeader = { kind: 'header', length: bytes.length, addresses: addresses as null };
      expect(readProxyHeader(bytes)).toEqual(expected);
      expect(readProxyHeader(Buffer.concat([bytes, Buffer.from('GET / HTTP/1.1\r\n')]))).toEqual(expected);
    },
  );

  it.each(BAD)('%s is refused', (_, bytes) => {
    expect(readProxyHeader(Buffer.from(bytes as string)).kind).toBe('bad');
  });

  it.each(['GET / HTTP/1.1\r\n', 'PROXX', 'POST', 'PUT', '\r\nGET', '\r\n\r\nG', '\x16\x03\x01'])(
    '%j is the beginning of something else',
    (text) => {
      expect(readProxyHeader(Buffer.from(text, 'latin1')).kind).toBe('none');
    },
  );

  it('garbage never makes it throw, wait for ever, or change its mind with more bytes', () => {
    const start = fc.constantFrom(
      '',
      'PROXY ',
      'PROXY TCP4 ',
      'PROXY TCP6 ',
      V2.toString('latin1'),
      `${V2.toString('latin1')}!\x11`,
    );
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 300 }), (prefix, garbage) => {
        const bytes = Buffer.concat([Buffer.from(prefix, 'latin1'), garbage]);
        let verdict: ProxyHeader = { kind: 'more' };
        for (let length = 0; length <= bytes.length; length++) {
          const next = readProxyHeader(bytes.subarray(0, length));
          if (verdict.kind !== 'more') expect(next).toEqual(verdict);
          verdict = next;
        }
        const whole = readProxyHeader(Buffer.concat([bytes, Buffer.alloc(5_000)]));
        expect(whole.kind).not.toBe('more');
      }),
      { numRuns: examples(75) },
    );
  });
});
