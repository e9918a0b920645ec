import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { array, assert, constantFrom, integer, property } from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RateLimitConfig } from '../../src/policies/rate-limit.ts';
import { LimitStore, type LimitStoreAddress } from '../../src/proxy/limit-store/limit-store.ts';
import { ReplyReader, encodeCommand } from '../../src/proxy/limit-store/resp.ts';
import { nativeEngine } from '../../src/proxy/native-engine.ts';
import { createAuthority } from '../support/certificates.ts';
import { eventually } from '../support/daemon.ts';
import { unusedPort } from '../support/loopback.ts';
import { startProxy } from '../support/proxy.ts';
import { get, rawClient } from '../support/raw-client.ts';
import { type RespServer, respServer } from '../support/resp-server.ts';
import { recordingUpstream } from '../support/upstream.ts';
import { soon } from '../support/until.ts';

let asked = 0;
const HOUR_US = 3_600_000_000;
/** Ten requests in an hour. */
const TEN = [HOUR_US, 9 * HOUR_US];

interface TestStore extends Disposable {
  readonly store: LimitStore;
  readonly away: readonly string[];
  /** Resolves when it is away, or back, for the nth time. */
  until(said: 'away' | 'back', count?: number): Promise<void>;
  /** Asks until the store can be asked. */
  ready(): Promise<void>;
}

/** A busy machine is waited for, unless a test says otherwise. */
function openStore(port: number, address: Partial<LimitStoreAddress> = {}, maxWaitMs = 20_000): TestStore {
  const said: string[] = [];
  const waiting = new Set<() => void>();
  const say = (what: string): void => {
    said.push(what);
    for (const look of waiting) look();
  };
  const store = new LimitStore(
    { host: '127.0.0.1', port, tls: false, username: '', password: '', database: 0, ...address },
    {
      monotonicMs: () => performance.now(),
      onAway: (reason) => say(`away ${reason}`),
      onBack: () => say('back'),
    },
    maxWaitMs,
  );
  const until = (what: 'away' | 'back', count = 1): Promise<void> => {
    const happened = new Promise<void>((resolve) => {
      const look = (): void => {
        if (said.filter((each) => each.startsWith(what)).length >= count) resolve();
      };
      waiting.add(look);
      look();
    });
    return soon(happened, () => `the store is ${what}; it said ${said.join(', ')}`);
  };
  return {
    store,
    until,
    get away() {
      return said.filter((each) => each.startsWith('away'));
    },
    ready: () => eventually(async () => (await store.take([`probe-${asked++}`], TEN)).kind !== 'unavailable'),
    [Symbol.dispose]: () => store.close(),
  };
}

async function passed(stores: readonly LimitStore[], key: string, count: number): Promise<number> {
  const asked = Array.from({ length: count }, (_, i) => stores[i % stores.length]!.take([key], TEN));
  return (await Promise.all(asked)).filter(({ kind }) => kind === 'passes').length;
}

describe('a limit store', () => {
  test('counts for all that use it, by all rates or none', async () => {
    await using server = await respServer({ password: 'secret' });
    using a = openStore(server.port, { password: 'secret', database: 3 });
    using b = openStore(server.port, { username: 'portico', password: 'secret' });
    await a.ready();
    await b.ready();
    expect(await passed([a.store, b.store], 'client', 40)).toBe(10);
    expect(await a.store.take(['client'], TEN)).toMatchObject({ kind: 'wait', ms: expect.any(Number) });
    expect(await a.store.take(['other', 'client'], [...TEN, ...TEN])).toMatchObject({ kind: 'wait' });
    expect(await passed([a.store], 'other', 20)).toBe(10);
    expect(server.connections).toBe(2);
  });

  test('that is away is not waited for, and used again once it is back', async () => {
    const port = await unusedPort();
    using client = openStore(port);
    await client.until('away');
    expect(await client.store.take(['client'], TEN)).toEqual({ kind: 'unavailable' });
    {
      await using server = await respServer({ port });
      await client.until('back');
      expect(await client.store.take(['client'], TEN)).toEqual({ kind: 'passes' });
      expect(server.connections).toBe(1);
    }
    await client.until('away', 2);
    expect(await client.store.take(['client'], TEN)).toEqual({ kind: 'unavailable' });
  });

  test('that says nothing is not waited for', async () => {
    await using server = await respServer();
    using client = openStore(server.port, {}, 20);
    await client.ready();
    server.silent = true;
    expect(await client.store.take(['client'], TEN)).toEqual({ kind: 'unavailable' });
    server.silent = false;
    await client.until('back');
    await client.ready();
  });

  test('that has forgotten the script is told it again', async () => {
    await using server = await respServer();
    using client = openStore(server.port);
    await client.ready();
    server.forgetScripts();
    expect(await client.store.take(['client'], TEN)).toEqual({ kind: 'unavailable' });
    await client.ready();
    expect(client.away).toEqual([]);
  });

  test('that refuses says why, without the password', async () => {
    await using server = await respServer({ password: 'right' });
    using client = openStore(server.port, { password: 'hunter2' });
    await client.until('away');
    expect(client.away[0]).toContain('WRONGPASS');
    expect(client.away[0]).not.toContain('hunter2');
  });

  test('over TLS is verified', async () => {
    const authority = createAuthority();
    const { certificate: cert, key } = authority.issue(['localhost']);
    await using server = await respServer({ tls: { cert, key } });
    using untrusted = openStore(server.port, { host: 'localhost', tls: true });
    await untrusted.until('away');
    expect(server.commands).toEqual([]);
    const trusted = getCACertificates('default');
    try {
      setDefaultCACertificates([...trusted, authority.certificate]);
      using client = openStore(server.port, { host: 'localhost', tls: true });
      await client.ready();
      expect(await passed([client.store], 'client', 20)).toBe(10);
    } finally {
      setDefaultCACertificates(trusted);
    }
  });

  test('replicas let a client pass as often as one would, and by themselves when it is away', async () => {
    await using upstream = await recordingUpstream();
    const config: RateLimitConfig = {
      ...{ namespace: 'shop', ingress: 'web', scope: 'cluster', rateStatus: 429 },
      rates: [{ amount: 1, perMs: 3_600_000, burst: 9 }],
      ...{ concurrency: null, concurrencyStatus: 429, exempt: null },
    };
    const sites = [{ ports: [upstream.port], policies: { 'rate-limit': config } }];
    const ask = async (port: number): Promise<number> => {
      using client = await rawClient(port);
      client.send(get('/'));
      return (await client.message()).status;
    };
    let server: RespServer = await respServer();
    using a = openStore(server.port);
    using b = openStore(server.port);
    await using first = await startProxy(nativeEngine, sites, { clusterLimits: a.store });
    await using second = await startProxy(nativeEngine, sites, { clusterLimits: b.store });
    await a.ready();
    await b.ready();
    const statuses: number[] = [];
    for (let i = 0; i < 8; i++) statuses.push(await ask(first.port), await ask(second.port));
    expect(statuses).toEqual([...Array(10).fill(200), ...Array(6).fill(429)]);
    await server[Symbol.asyncDispose]();
    await a.until('away');
    await b.until('away');
    // Each has counted five of them itself.
    for (const { port } of [first, second]) {
      const alone: number[] = [];
      for (let i = 0; i < 7; i++) alone.push(await ask(port));
      expect(alone).toEqual([...Array(5).fill(200), 429, 429]);
    }
  });
});

test('replies are read in whatever pieces they come', () => {
  const reply = constantFrom(
    '+OK\r\n',
    ':0\r\n',
    ':-12\r\n',
    '-ERR no\r\n',
    '$0\r\n\r\n',
    '$5\r\nhe\r\no\r\n',
  );
  assert(
    property(array(reply, { maxLength: 8 }), array(integer({ min: 1, max: 9 })), (replies, sizes) => {
      const text = replies.join('');
      const whole = new ReplyReader().read(text);
      expect(whole).toHaveLength(replies.length);
      const reader = new ReplyReader();
      const pieces = [];
      let at = 0;
      for (const size of [...sizes, text.length]) {
        pieces.push(...(reader.read(text.slice(at, at + size)) ?? []));
        at += size;
      }
      expect(pieces).toEqual(whole);
    }),
  );
  for (const bad of [
    '*1\r\n',
    'HTTP/1.1 200 OK\r\n',
    ':1e9\r\n',
    '$-1\r\n',
    `$99999\r\n${'x'.repeat(70_000)}`,
  ])
    expect(new ReplyReader().read(bad)).toBeNull();
  expect(encodeCommand(['GET', 'ä'])).toBe('*2\r\n$3\r\nGET\r\n$2\r\nä\r\n');
});

const redis = ((): string | null => {
  try {
    return execFileSync('/bin/sh', ['-c', 'command -v redis-server'], { encoding: 'utf8' }).trim();
  } catch {
    return null;
  }
})();

test.skipIf(redis === null)(
  'the script does the same in a real redis-server (skipped where there is none)',
  async () => {
    const port = await unusedPort();
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    const server = spawn(redis!, [...args, '--requirepass', 'secret', '--loglevel', 'warning'], {
      cwd: '/tmp',
      stdio: 'ignore',
    });
    try {
      using a = openStore(port, { password: 'secret' });
      using b = openStore(port, { password: 'secret', database: 1 });
      await a.ready();
      using c = openStore(port, { password: 'secret' });
      await b.ready();
      await c.ready();
      expect(await passed([a.store, c.store], 'client', 200)).toBe(10);
      expect(await passed([b.store], 'client', 20)).toBe(10);
      const answer = await a.store.take(['client'], TEN);
      expect(answer.kind === 'wait' && answer.ms > 3_500_000 && answer.ms <= 3_600_000).toBe(true);
      expect(await a.store.take(['fresh', 'client'], [...TEN, ...TEN])).toMatchObject({ kind: 'wait' });
      expect(await passed([a.store], 'fresh', 20)).toBe(10);
      const socket = connect(port, '127.0.0.1');
      socket.write(encodeCommand(['AUTH', 'secret']) + encodeCommand(['PTTL', 'fresh']));
      let text = '';
      socket.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')));
      await soon(
        (async () => {
          while (!/:\d+\r\n/.test(text)) await once(socket, 'data');
        })(),
        () => `a time to live; came ${text}`,
      );
      expect(Number(/:(\d+)/.exec(text)?.[1])).toBeGreaterThan(0);
      socket.destroy();
    } finally {
      server.kill();
      await once(server, 'exit');
    }
  },
);
