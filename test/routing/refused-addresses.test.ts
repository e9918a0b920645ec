import { describe, expect, it } from 'vitest';
import { refusedAddress, refusedName } from '../../src/model/refused-addresses.ts';

const STRICT = { allowLoopback: false };

describe('addresses that no request is sent to', () => {
  it.each([
    ['unspecified', ['0.0.0.0', '0.1.2.3', '::', '::ffff:0.0.0.0', '64:ff9b::0.0.0.0']],
    ['loopback', ['127.0.0.1', '127.255.255.255', '::1', '::ffff:127.0.0.1', '64:ff9b::7f00:1']],
    [
      'link-local',
      ['169.254.0.1', '169.254.169.254', 'fe80::1', 'febf::1', '::ffff:a9fe:a9fe', '64:ff9b::a9fe:a9fe'],
    ],
    [
      'metadata',
      ['168.63.129.16', '192.0.0.192', '100.100.100.200', '::ffff:168.63.129.16', '64:ff9b::192.0.0.192'],
    ],
    [
      'metadata',
      ['fd00:ec2::254', 'fd00:ec2::253', 'FD00:0EC2:0:0:0:0:0:0254', 'fd20:ce::254', 'fd00:42::42'],
    ],
    ['multicast', ['224.0.0.1', '239.255.255.255', 'ff02::1', '::ffff:224.0.0.1']],
    ['broadcast', ['255.255.255.255', '::ffff:255.255.255.255']],
    ['IPv4-compatible', ['::127.0.0.1', '::a9fe:a9fe', '::10.0.0.1']],
    ['IPv4-translated', ['::ffff:0:169.254.169.254']],
    ['NAT64', ['64:ff9b:1::a9fe:a9fe', '64:ff9b:1:a9fe:a9:fe00::']],
    ['6to4', ['2002:a9fe:a9fe::', '2002:7f00:1::1']],
    ['Teredo', ['2001::1', '2001:0:1:2::5601:5601']],
    ['site-local', ['fec0::1', 'feff::1']],
    ['zone', ['fe80::1%eth0', '2001:db8::1%1']],
    ['is not an IP address', ['127.1', '0x7f.0.0.1', '0177.0.0.1', '2130706433', '127.0.0.1.', 'a.test', '']],
  ])('%s', (reason, addresses) => {
    for (const address of addresses)
      expect([address, refusedAddress(address, false)]).toEqual([address, expect.stringContaining(reason)]);
  });

  it.each([
    '10.0.0.1',
    '93.184.216.34',
    '172.16.0.1',
    '240.1.2.3',
    '2001:db8::1',
    'fd00::1',
    '::ffff:10.0.0.1',
    '64:ff9b::8.8.8.8',
  ])('%s is not one', (address) => expect(refusedAddress(address, false)).toBeNull());

  it('the loopback is one only in a cluster', () => {
    for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1'])
      expect(refusedAddress(address, true)).toBeNull();
    for (const address of ['::127.0.0.1', '169.254.169.254', '0.0.0.0'])
      expect(refusedAddress(address, true)).not.toBeNull();
  });
});

describe('names that are not resolved', () => {
  it.each([
    '127.1',
    '0x7f000001',
    '0177.0.0.1',
    '2130706433',
    'a.0x7f',
    'x.1',
    '169.254.169.254',
    '::1',
    'localhost',
    'a.localhost',
    'metadata.google.internal',
    'web',
  ])('%s', (name) => expect(refusedName(name, 'shop', STRICT)).not.toBeNull());

  it.each([
    'web.other.svc',
    'web.other.svc.cluster.local',
    'web-0.web.other.svc.cluster.local',
    'other.svc',
    'a.b.svc.k8s.example.com',
    '_http._tcp.web.other.svc.cluster.local',
    '10-0-0-1.other.pod.cluster.local',
  ])('%s, unless a flag allows it or it is of the same namespace', (name) => {
    expect(refusedName(name, 'shop', STRICT)).toContain('--allow-cross-namespace-external-names');
    expect(refusedName(name, 'shop', { ...STRICT, allowCrossNamespaceExternalNames: true })).toBeNull();
    expect(refusedName(name.replace('other', 'shop').replace('a.b.', 'a.shop.'), 'shop', STRICT)).toBeNull();
  });

  it.each([
    'api.example.org',
    'svc.example.org',
    'pod.example.org',
    'x.pod.example.org',
    'web-1.eu-west-1.elb.amazonaws.com',
  ])('but %s is', (name) => expect(refusedName(name, 'shop', STRICT)).toBeNull());
});
