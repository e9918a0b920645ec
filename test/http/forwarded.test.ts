import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { directConnection } from '../../src/http/connection-info.ts';
import { proxiedConnection } from '../../src/proxy/listener/proxy-protocol.ts';
import { plainAddress } from '../../src/http/address.ts';
import {
  type IncomingForwarding,
  forwarding,
  isSaneRequestId,
  parseCidr,
  trustedProxies,
} from '../../src/http/forwarded.ts';

const TRUSTED = trustedProxies(['10.0.0.0/8', 'fd00::/8']);
const NOBODY = trustedProxies([]);
const OUTSIDE = directConnection('9.9.9.9', false, 'http', 80);
const INSIDE = directConnection('10.0.0.1', true, 'http', 8080);

/** The client of a request from a peer that says this. */
function clientAddress(peer: string, forwardedFor: string | undefined): string {
  const connection = directConnection(peer, TRUSTED.includes(peer), 'http', 80);
  return forwarding(connection, { host: 'app.test', forwardedFor }, TRUSTED).realIp;
}

describe('trusted proxies', () => {
  it.each([
    ['10.0.0.1', true],
    ['11.0.0.1', false],
    ['::ffff:10.1.2.3', true],
    ['::FFFF:10.1.2.3', true],
    ['::ffff:11.1.2.3', false],
    ['fd00::1', true],
    ['fe80::1%eth0', false],
    ['', false],
    ['nonsense', false],
  ])('%s: %s', (address, included) => {
    expect(TRUSTED.includes(address)).toBe(included);
    expect(NOBODY.includes(address)).toBe(false);
  });

  it.each(['10.0.0.0/8', '10.1.2.3', '0.0.0.0/0', '::/0', 'fd00::1/128'])('%s is a range', (text) => {
    expect(parseCidr(text).kind).toBe('ok');
  });

  it.each([
    '',
    '10.0.0.0/33',
    '10.0.0/8',
    'fd00::/129',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10.0.0.0/8 ',
    'fe80::%a/10',
    'host/8',
  ])('%s is not, and the message repeats it', (text) => {
    const parsed = parseCidr(text);
    expect(parsed).toEqual({ kind: 'bad', message: expect.stringContaining(`"${text}"`) });
    expect(() => trustedProxies([text])).toThrow(RangeError);
  });
});

describe('the client address', () => {
  it.each([
    ['9.9.9.9', '1.1.1.1', '9.9.9.9'],
    ['10.0.0.1', undefined, '10.0.0.1'],
    ['10.0.0.1', '', '10.0.0.1'],
    ['10.0.0.1', '1.1.1.1', '1.1.1.1'],
    ['10.0.0.1', '6.6.6.6, 1.1.1.1', '1.1.1.1'],
    ['10.0.0.1', '6.6.6.6, 1.1.1.1, 10.0.0.2', '1.1.1.1'],
    ['10.0.0.1', '10.0.0.3,10.0.0.2', '10.0.0.3'],
    ['10.0.0.1', '1.1.1.1, junk', '10.0.0.1'],
    ['10.0.0.1', '1.1.1.1, junk, 10.0.0.2', '10.0.0.2'],
    ['10.0.0.1', '1.1.1.1:1234', '1.1.1.1'],
    ['10.0.0.1', '[2001:db8::1]:443', '2001:db8::1'],
    ['fd00::1', '::ffff:1.1.1.1', '1.1.1.1'],
    ['fd00::1', '1.1.1.1, 0:0:0:0:0:FFFF:a00:2', '1.1.1.1'],
    ['fd00::1', '2001:db8::ffff:1', '2001:db8::ffff:1'],
    ['10.0.0.1', ',,,', '10.0.0.1'],
  ])('of %s saying "%s" is %s', (peer, forwardedFor, client) => {
    expect(clientAddress(peer, forwardedFor)).toBe(client);
  });

  it('is an address or the peer, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string())), (entries) => {
        const client = clientAddress('10.0.0.1', entries.join(','));
        expect(plainAddress(client)).toBe(client);
      }),
    );
  });
});

describe('forwarding', () => {
  const claims: IncomingForwarding = {
    host: 'app.test:8080',
    forwardedFor: '1.1.1.1',
    forwardedHost: 'outside.test',
    forwardedPort: '443',
    forwardedProto: 'HTTPS',
    realIp: '6.6.6.6',
    requestId: 'id-1',
    forwarded: 'for=1.1.1.1',
  };

  it('takes nothing from an untrusted peer but a sane request id', () => {
    expect(forwarding(OUTSIDE, claims, TRUSTED)).toEqual({
      scheme: 'http',
      forwardedFor: '9.9.9.9',
      forwardedHost: 'app.test:8080',
      forwardedPort: '80',
      forwardedProto: 'http',
      realIp: '9.9.9.9',
      requestId: 'id-1',
      loop: 'portico',
      forwarded: null,
    });
  });

  it('keeps and extends what a trusted peer says', () => {
    expect(forwarding(INSIDE, claims, TRUSTED)).toEqual({
      scheme: 'https',
      forwardedFor: '1.1.1.1, 10.0.0.1',
      forwardedHost: 'outside.test',
      forwardedPort: '443',
      forwardedProto: 'https',
      realIp: '1.1.1.1',
      requestId: 'id-1',
      loop: 'portico',
      forwarded: 'for=1.1.1.1, for=10.0.0.1;proto=http',
    });
  });

  it('falls back where a trusted peer says nothing, or nothing valid', () => {
    const invalid = { host: 'app.test', forwardedPort: 'x', forwardedProto: 'gopher', requestId: 'a b' };
    const { requestId, ...rest } = forwarding(
      directConnection('fd00::1', true, 'http', 8080),
      invalid,
      TRUSTED,
    );
    expect(requestId).toMatch(/^[\da-f-]{36}$/);
    expect(rest).toEqual({
      loop: 'portico',
      scheme: 'http',
      forwardedFor: 'fd00::1',
      forwardedHost: 'app.test',
      forwardedPort: '8080',
      forwardedProto: 'http',
      realIp: 'fd00::1',
      forwarded: null,
    });
  });

  it.each<[name: string, said: Partial<IncomingForwarding>, scheme: string, proto: string, port: string]>([
    ['nothing', {}, 'http', 'http', '8080'],
    ['a protocol alone', { forwardedProto: 'https' }, 'https', 'https', '443'],
    ['the protocol of the connection alone', { forwardedProto: 'http' }, 'http', 'http', '8080'],
    ['a WebSocket', { forwardedProto: 'wss' }, 'https', 'wss', '443'],
    ['both', { forwardedProto: 'https', forwardedPort: '8443' }, 'https', 'https', '8443'],
    ['a port alone', { forwardedPort: '8000' }, 'http', 'http', '8000'],
    ['a bad protocol', { forwardedProto: 'on', forwardedPort: '443' }, 'http', 'http', '8080'],
    ['port 0', { forwardedProto: 'https', forwardedPort: '0' }, 'https', 'https', '443'],
    ['a port that is too high', { forwardedProto: 'https', forwardedPort: '65536' }, 'https', 'https', '443'],
    ['a list with an empty entry', { forwardedProto: 'https, ' }, 'http', 'http', '8080'],
  ])('takes protocol and port together: %s', (_, said, scheme, proto, port) => {
    const way = forwarding(INSIDE, { host: 'app.test', ...said }, TRUSTED);
    expect([way.scheme, way.forwardedProto, way.forwardedPort]).toEqual([scheme, proto, port]);
  });

  it.each<[name: string, forwardedFor: string, proto: string, expected: string]>([
    ['through two of our proxies', '1.1.1.1, 10.0.0.2', 'https, http', 'https'],
    ['of a client that sent such fields itself', '6.6.6.6, 1.1.1.1', 'https, http', 'http'],
    ['where only the first proxy set one', '1.1.1.1, 10.0.0.3, 10.0.0.2', 'https', 'https'],
    [
      'where a proxy set one and the client another',
      '6.6.6.6, 1.1.1.1, 10.0.0.2',
      'https, http, https',
      'http',
    ],
  ])('of lists, takes what the proxy wrote that saw the client: %s', (_, forwardedFor, proto, expected) => {
    const said = { host: 'app.test', forwardedFor, forwardedProto: proto };
    expect(forwarding(INSIDE, said, TRUSTED).scheme).toBe(expected);
    expect(
      forwarding(
        INSIDE,
        { ...said, forwardedHost: proto, forwardedPort: proto.replaceAll(/[a-z]+/g, '81') },
        TRUSTED,
      ),
    ).toMatchObject({ forwardedHost: expected, forwardedPort: '81' });
  });

  it('trusts the peer, not the address that a PROXY header names', () => {
    const header = { source: '1.1.1.1', sourcePort: 1, destinationPort: 8443, tls: true };
    expect(forwarding(proxiedConnection(INSIDE, header, []), claims, TRUSTED)).toMatchObject({
      forwardedFor: '1.1.1.1, 1.1.1.1',
      forwardedPort: '443',
      realIp: '1.1.1.1',
    });
    const spoof = proxiedConnection(OUTSIDE, { ...header, source: '10.0.0.9' }, []);
    expect(forwarding(spoof, claims, TRUSTED)).toMatchObject({
      scheme: 'https',
      forwardedFor: '10.0.0.9',
      forwardedPort: '8443',
      realIp: '10.0.0.9',
    });
  });

  it('gives each request an id of its own', () => {
    const ids = Array.from({ length: 100 }, () => forwarding(OUTSIDE, { host: 'a' }, TRUSTED).requestId);
    expect(new Set(ids).size).toBe(100);
    expect(ids.every(isSaneRequestId)).toBe(true);
  });
});
