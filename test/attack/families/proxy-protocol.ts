import type { Family, Scene } from '../scene.ts';
import { POISON, POISON_REQUEST, type Site, inTime } from '../site.ts';

/** Where the trusted proxy connects from, and where somebody else does. */
const TRUSTED = '127.9.9.1';
const STRANGER = '127.9.8.1';

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const IPV4 = Buffer.from([203, 0, 113, 66, 198, 51, 100, 2, 0xdc, 4, 1, 0xbb]);

function version2(command: number, family: number, length: number, rest: Uint8Array): Buffer {
  const fixed = Buffer.from([command, family, length >> 8, length & 0xff]);
  return Buffer.concat([SIGNATURE, fixed, rest]);
}

const GOOD = Buffer.from('PROXY TCP4 203.0.113.66 198.51.100.2 56324 443\r\n');

/** Headers of a trusted proxy that cannot be believed. */
const MALFORMED: readonly (readonly [name: string, bytes: Uint8Array])[] = [
  ['an unknown protocol', Buffer.from('PROXY UDP4 203.0.113.66 198.51.100.2 1 2\r\n')],
  ['an address that is none', Buffer.from('PROXY TCP4 203.0.113.999 198.51.100.2 1 2\r\n')],
  ['an address of the other family', Buffer.from('PROXY TCP4 ::1 198.51.100.2 1 2\r\n')],
  ['a port beyond all ports', Buffer.from('PROXY TCP4 203.0.113.66 198.51.100.2 65536 2\r\n')],
  ['a port with a leading zero', Buffer.from('PROXY TCP4 203.0.113.66 198.51.100.2 01 2\r\n')],
  ['a port too many', Buffer.from('PROXY TCP4 203.0.113.66 198.51.100.2 1 2 3\r\n')],
  ['two blanks', Buffer.from('PROXY  TCP4 203.0.113.66 198.51.100.2 1 2\r\n')],
  ['a bare LF', Buffer.from('PROXY TCP4 203.0.113.66 198.51.100.2 1 2\n')],
  ['a line without an end', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(200)}`)],
  ['an unknown version', version2(0x31, 0x11, IPV4.length, IPV4)],
  ['an unknown command', version2(0x2f, 0x11, IPV4.length, IPV4)],
  ['addresses that are too short', version2(0x21, 0x11, 4, IPV4.subarray(0, 4))],
  [
    'an extension longer than the header',
    version2(0x21, 0x11, IPV4.length + 3, Buffer.concat([IPV4, Buffer.from([4, 0xff, 0xff])])),
  ],
  ['a signature that goes wrong', Buffer.concat([SIGNATURE.subarray(0, 11), Buffer.from('X\x21\x11\0\0')])],
];

export const proxyProtocol: Family = {
  name: 'proxy-protocol',
  flags: ['--proxy-protocol-from', `${TRUSTED}/32`, '--limit', 'handshake-timeout=500ms'],
  scenes: [
    stranger('version 1', GOOD),
    stranger('version 2', version2(0x21, 0x11, IPV4.length, IPV4)),
    ...MALFORMED.map(malformed),
    {
      name: 'a second header behind the first',
      promise: 'is a malformed request: nobody can name another client behind the proxy',
      run: (site) => refusedFrom(site, TRUSTED, Buffer.concat([GOOD, GOOD])),
    },
    {
      name: 'a header in pieces that never ends',
      promise: 'is waited for no longer than for a handshake',
      run: unfinished,
    },
    {
      name: 'X-Forwarded-For of the client behind the proxy',
      promise: 'is replaced by the address in the header',
      run: forged,
    },
  ],
};

function stranger(version: string, header: Uint8Array): Scene {
  return {
    name: `a header of ${version} from somebody who is not trusted`,
    promise: 'is a malformed request, and the connection closes',
    run: (site) => refusedFrom(site, STRANGER, header),
  };
}

function malformed([name, header]: (typeof MALFORMED)[number]): Scene {
  return {
    name: `a trusted proxy sends ${name}`,
    promise: 'the connection closes; no request on it is read',
    run: (site) => refusedFrom(site, TRUSTED, header),
  };
}

async function refusedFrom(site: Site, from: string, header: Uint8Array): Promise<string | null> {
  using client = await site.connect(from);
  client.send(Buffer.concat([header, Buffer.from(POISON_REQUEST)]));
  await inTime(client.ended, 'the connection stayed open');
  if (site.poisoned()) return `the Pod was asked for ${POISON}`;
  return /^HTTP\/1\.1 [23]/m.test(client.text) ? 'a request was served' : null;
}

async function unfinished(site: Site): Promise<string | null> {
  using client = await site.connect(TRUSTED);
  client.send('PROXY TCP4 203.0');
  await inTime(client.ended, 'the connection stayed open');
  return null;
}

async function forged(site: Site): Promise<string | null> {
  using client = await site.connect(TRUSTED);
  client.send(GOOD);
  client.send('GET / HTTP/1.1\r\nHost: attacked.test\r\nX-Forwarded-For: 192.0.2.99\r\n\r\n');
  await inTime(client.message(), 'no answer');
  const text = site.pod.connections.map((connection) => connection.text).join('');
  if (text.includes('192.0.2.99')) return 'the Pod got what the client said';
  return text.includes('203.0.113.66') ? null : 'the Pod did not get the address in the header';
}
