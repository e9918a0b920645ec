import { REFUSED_RESPONSES } from '../../proxy/relay/corpus/responses.ts';
import { ok } from '../../support/upstream.ts';
import { type Family, type Scene, sampled } from '../scene.ts';
import { type Site, inTime } from '../site.ts';

/** What a hostile Pod sends, and what its client may see of it. */
interface SentResponse {
  readonly name: string;
  readonly bytes: string;
  /** 502 instead of it, or the part of it that was promised and no more. */
  readonly becomes: '502' | 'cut or 502' | 'the promised part';
}

const POISONED = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison';

const SENT: readonly SentResponse[] = [
  ...REFUSED_RESPONSES.map(({ name, head }): SentResponse => ({
    name,
    bytes: head + POISONED,
    becomes: '502',
  })),
  { name: 'a second response behind the first', bytes: ok('fine') + POISONED, becomes: 'the promised part' },
  {
    name: 'a body for a 204',
    bytes: `HTTP/1.1 204 No Content\r\n\r\n${POISONED}`,
    becomes: 'the promised part',
  },
  {
    name: 'a body for a 304',
    bytes: `HTTP/1.1 304 Not Modified\r\nContent-Length: 90\r\n\r\n${POISONED}`,
    becomes: 'the promised part',
  },
  {
    name: 'a malformed chunk within a body',
    bytes: `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n${POISONED}`,
    becomes: 'cut or 502',
  },
  {
    name: '1xx without an end',
    bytes: 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(100) + POISONED,
    becomes: 'cut or 502',
  },
];

const PROMISES: Readonly<Record<SentResponse['becomes'], string>> = {
  '502': 'becomes 502, and the next request on the connection its own response',
  'cut or 502': 'is cut or becomes 502, so that nobody takes it for whole',
  'the promised part': 'ends where it said it would; the rest is no response to anybody',
};

export const responses: Family = {
  name: 'responses',
  flags: ['--limit', 'head-bytes=1024', 'field-count=8'],
  respond(request) {
    const index = /^GET \/sent\/(\w+)/.exec(request.startLine)?.[1];
    return index === undefined ? undefined : (SENT[Number(index)]?.bytes ?? ok('fine'));
  },
  scenes: sampled(SENT.map(scene)),
};

function scene({ name, becomes }: SentResponse, index: number): Scene {
  return { name, promise: PROMISES[becomes], run: (site) => ask(site, index, becomes) };
}

async function ask(site: Site, index: number, becomes: SentResponse['becomes']): Promise<string | null> {
  using client = await site.connect();
  client.send(`GET /sent/${index} HTTP/1.1\r\nHost: attacked.test\r\n\r\n`);
  const status = await inTime(
    client.message().then(
      (message) => message.status,
      () => 'cut' as const,
    ),
    'no answer',
  );
  if (becomes === '502' && status !== 502) return `it was answered with ${status}`;
  if (becomes === 'cut or 502' && status !== 502 && status !== 'cut') return `it was answered with ${status}`;
  // The next request, on this connection or on another one, gets its own response.
  if (status !== 'cut' && !client.socket.readableEnded) {
    client.send('GET /sent/next HTTP/1.1\r\nHost: attacked.test\r\n\r\n');
    const next = await inTime(
      client.message().catch(() => null),
      'no answer to the next request',
    );
    if (next && next.body !== 'fine') return `the next request got ${JSON.stringify(next.body)}`;
  }
  const other = await site.daemon.request('attacked.test', '/sent/next');
  if (other.body !== 'fine') return `another client got ${JSON.stringify(other.body)}`;
  return client.text.includes('poison') ? 'the client got what came after it' : null;
}
