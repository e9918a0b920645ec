import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainAddress } from '../../src/proxy/listener/address.ts';
import {
  type Arrival,
  type IncomingForwarding,
  clientAddress,
  forwarding,
  isSaneRequestId,
  parseCidr,
  trustedProxies,
} from '../../src/proxy/forwarded.ts';

const TRUSTED = trustedProxies(['10.0.0.0/8', 'fd00::/8']);
const NOBODY = trustedProxies([]);
const OUTSIDE: Arrival = { peer: '9.9.9.9', trusted: false, port: 80, scheme: 'http' };
const INSIDE: Arrival = { peer: '10.0.0.1', trusted: true, port: 8080, scheme: 'http' };

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
    ['10.0.0.1', ',,,', '10.0.0.1'],
  ])('of %s saying "%s" is %s', (peer, forwardedFor, client) => {
    expect(clientAddress(peer, forwardedFor, TRUSTED)).toBe(client);
  });

  it('is an address or the peer, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string())), (entries) => {
        const client = clientAddress('10.0.0.1', entries.join(','), TRUSTED);
        expect(plainAddress(client)).toBe(client);
      }),
    );
  });
});

describe('forwarding', () => {
  const claims: IncomingForwarding = {
    host: 'app.test:8080',
    forwardedFor: '1.1.1.1',
    forwardedHost: 'outside.test, proxy.test',
    forwardedPort: '443',
    forwardedProto: 'HTTPS',
    realIp: '6.6.6.6',
    requestId: 'id-1',
    forwarded: 'for=1.1.1.1',
  };

  it('takes nothing from an untrusted peer but a sane request id', () => {
    expect(forwarding(OUTSIDE, claims, TRUSTED)).toEqual({
      forwardedFor: '9.9.9.9',
      forwardedHost: 'app.test:8080',
      forwardedPort: '80',
      forwardedProto: 'http',
      realIp: '9.9.9.9',
      requestId: 'id-1',
      forwarded: null,
    });
  });

  it('keeps and extends what a trusted peer says', () => {
    expect(forwarding(INSIDE, claims, TRUSTED)).toEqual({
      forwardedFor: '1.1.1.1, 10.0.0.1',
      forwardedHost: 'outside.test',
      forwardedPort: '443',
      forwardedProto: 'https',
      realIp: '1.1.1.1',
      requestId: 'id-1',
      forwarded: 'for=1.1.1.1, for=10.0.0.1;proto=http',
    });
  });

  it('falls back where a trusted peer says nothing, or nonsense', () => {
    const nonsense = { host: 'app.test', forwardedPort: 'x', forwardedProto: 'gopher', requestId: 'a b' };
    const { requestId, ...rest } = forwarding({ ...INSIDE, peer: 'fd00::1' }, nonsense, TRUSTED);
    expect(requestId).toMatch(/^[\da-f-]{36}$/);
    expect(rest).toEqual({
      forwardedFor: 'fd00::1',
      forwardedHost: 'app.test',
      forwardedPort: '8080',
      forwardedProto: 'http',
      realIp: 'fd00::1',
      forwarded: null,
    });
  });

  it('gives each request an id of its own', () => {
    const ids = Array.from({ length: 100 }, () => forwarding(OUTSIDE, { host: 'a' }, TRUSTED).requestId);
    expect(new Set(ids).size).toBe(100);
    expect(ids.every(isSaneRequestId)).toBe(true);
  });
});
