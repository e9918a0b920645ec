import { REFUSED_BODIES } from '../../proxy/relay/corpus/bodies.ts';
import { REFUSED_HEADS } from '../../proxy/relay/corpus/heads.ts';
import { type Family, type Scene, sampled } from '../scene.ts';
import { POISON_REQUEST, type Site, inTime } from '../site.ts';

/** A request as it is sent, with what an attacker hides behind or in it. */
interface SentRequest {
  readonly name: string;
  readonly bytes: string;
}

const CHUNKED = 'POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n';
/** The unit test refuses these by smaller limits. */
const BY_SMALLER_LIMITS = new Set(['too many trailers', 'endless trailers']);

const MALFORMED: readonly SentRequest[] = [
  ...REFUSED_HEADS.map(({ name, head }) => ({ name, bytes: head })),
  ...REFUSED_BODIES.filter(({ name }) => !BY_SMALLER_LIMITS.has(name)).map(({ name, body }) => ({
    name: `a chunked body with ${name}`,
    bytes: CHUNKED + body,
  })),
  {
    name: 'a target that names another host than the Host field',
    bytes: 'GET http://innocent.test/ HTTP/1.1\r\nHost: attacked.test\r\n\r\n',
  },
  {
    name: 'CONNECT to an address of the node',
    bytes: 'CONNECT 127.0.0.1:10254 HTTP/1.1\r\nHost: 127.0.0.1:10254\r\n\r\n',
  },
];

/** Fields that only Portico itself, or a proxy it trusts, may say to a Pod. */
const FORGED: readonly string[] = [
  'X-Forwarded-For: 203.0.113.66',
  'X-Real-IP: 203.0.113.66',
  'Forwarded: for=203.0.113.66',
  'X-Forwarded-Proto: 203.0.113.66',
  'X-Forwarded-Host: 203.0.113.66',
  'X-Forwarded-Port: 203.0.113.66',
  'X_Forwarded_For: 203.0.113.66',
  'X_Real_IP: 203.0.113.66',
  'ssl-client-verify: 203.0.113.66',
  'ssl-client-subject-dn: CN=203.0.113.66',
  'ssl-client-cert: 203.0.113.66',
];

/** Hidden by the Connection field, they would not reach the Pod although they must, or count twice. */
const HOP_BY_HOP: readonly string[] = ['Host', 'X-Forwarded-For', 'X-Real-IP', 'Content-Length'];

const REFUSED = 'is refused, the connection closes, and what follows is not read as a request';
const REPLACED = 'the Pod never gets what the client says in this field';

export const requests: Family = {
  name: 'requests',
  flags: ['--limit', 'head-bytes=1024', 'field-count=8'],
  scenes: [
    ...sampled(MALFORMED.map(refused)),
    ...FORGED.map(forged),
    ...HOP_BY_HOP.map(keptThoughConnectionNamesIt),
    {
      name: 'an upgrade to h2c with a request behind it',
      promise: 'HTTP/2 is not spoken on, and the Pod sees no upgrade',
      run: (site) => upgradeToHttp2(site),
    },
    {
      name: '5,000 requests in one piece, and no answer is read',
      promise: 'the client waits, nobody else does',
      run: (site) => pipelineWithoutReading(site),
    },
    {
      name: 'a head of 1 MB',
      promise: 'is refused at the limit, not when it ends',
      run: (site) => endlessHead(site),
    },
  ],
};

/** What Node's parser takes for a request, or for a body that is still to come, and reads as nothing else. */
const READ_BY_NODE = new Set([
  'two empty lines first',
  'a chunked body with a size beyond counting',
  ...REFUSED_HEADS.filter(({ fault }) => fault === 'bad-request-line').map(({ name }) => name),
  ...REFUSED_HEADS.filter(({ fault }) => fault === 'version-not-supported').map(({ name }) => name),
]);

/** The same for the other engine. */
export const requestsByReference: Family = {
  name: 'requests-http-proxy',
  flags: ['--engine', 'http-proxy', '--limit', 'head-bytes=1024', 'field-count=16'],
  scenes: sampled([
    ...MALFORMED.filter(({ name }) => !READ_BY_NODE.has(name)).map(refused),
    ...FORGED.map(forged),
  ]),
};

function refused({ name, bytes }: SentRequest): Scene {
  return {
    name,
    promise: REFUSED,
    async run(site) {
      using client = await site.connect();
      client.send(bytes + POISON_REQUEST);
      await inTime(client.ended, 'the connection stayed open');
      const statuses = [...client.text.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));
      if (site.poisoned()) return 'the Pod got the request behind it';
      if (statuses.some((status) => status < 400)) return `it was answered with ${statuses.join(', ')}`;
      return statuses.length > 1 ? `there were ${statuses.length} answers` : null;
    },
  };
}

function forged(field: string): Scene {
  return {
    name: field,
    promise: REPLACED,
    async run(site) {
      const text = await headAtPod(site, `GET / HTTP/1.1\r\nHost: attacked.test\r\n${field}\r\n\r\n`);
      return text.includes('203.0.113.66') ? 'the Pod got it' : null;
    },
  };
}

function keptThoughConnectionNamesIt(name: string): Scene {
  return {
    name: `Connection: ${name}`,
    promise: 'a client cannot take a field away that Portico sends',
    async run(site) {
      const request = `POST / HTTP/1.1\r\nHost: attacked.test\r\nConnection: ${name}\r\nContent-Length: 2\r\n\r\nhi`;
      using client = await site.connect();
      const before = site.pod.connections.map(({ text }) => text.length);
      client.send(request);
      const { status } = await inTime(client.message(), 'no answer');
      // Refusing it is as good.
      if (status >= 400) return null;
      const text = newText(site, before);
      return new RegExp(`^${name}: `, 'im').test(text) ? null : `the Pod got no ${name}`;
    },
  };
}

async function headAtPod(site: Site, request: string): Promise<string> {
  const before = site.pod.connections.map(({ text }) => text.length);
  using client = await site.connect();
  client.send(request);
  await inTime(client.message(), 'no answer');
  return newText(site, before);
}

/** What came to the Pod since its connections had these lengths. */
function newText(site: Site, before: readonly number[]): string {
  return site.pod.connections.map(({ text }, index) => text.slice(before[index] ?? 0)).join('');
}

async function upgradeToHttp2(site: Site): Promise<string | null> {
  const upgrade = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk';
  const text = await headAtPod(site, `GET / HTTP/1.1\r\nHost: attacked.test\r\n${upgrade}\r\n\r\n`);
  return /^(?:upgrade|http2-settings):/im.test(text) ? 'the Pod was asked for HTTP/2' : null;
}

async function pipelineWithoutReading(site: Site): Promise<string | null> {
  using client = await site.connect();
  client.socket.pause();
  client.send('GET / HTTP/1.1\r\nHost: attacked.test\r\n\r\n'.repeat(5_000));
  return await site.suffering();
}

async function endlessHead(site: Site): Promise<string | null> {
  using client = await site.connect();
  client.send(`GET / HTTP/1.1\r\nHost: attacked.test\r\nX: ${'x'.repeat(1_000_000)}`);
  const { status } = await inTime(client.message(), 'no answer');
  return status === 431 ? null : `it was answered with ${status}`;
}
