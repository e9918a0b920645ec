import { describe, expect, it } from 'vitest';
import type { NameFault } from '../../src/model/name-fault.ts';
import { createExternalNames } from '../../src/proxy/balance/external-names.ts';
import { NameAddresses } from '../../src/proxy/balance/name-addresses.ts';
import { namespaceOf } from '../../src/model/objects.ts';
import { type ResolvedAddress, createNameResolver } from '../../src/proxy/balance/name-resolver.ts';

/** A resolver over a clock and name servers that the test holds. */
function setUp() {
  const world = {
    now: 0,
    asked: [] as string[],
    answer: [{ address: '9.9.9.9', ttl: 60 }] as readonly ResolvedAddress[] | Error,
    faults: new Map<string, NameFault | null>(),
  };
  const resolver = createNameResolver({
    allowLoopback: false,
    now: () => world.now,
    resolve: async (host) => {
      world.asked.push(host);
      if (world.answer instanceof Error) throw world.answer;
      return world.answer;
    },
    onFault: (service, fault) => void world.faults.set(service, fault),
  });
  const addresses = async (host = 'db.example', service = 'shop/db') =>
    (await resolver.resolve({ host, namespace: namespaceOf(service), service })).addresses;
  return { world, resolver, addresses };
}

const NOT_FOUND = Object.assign(new Error('no'), { code: 'ENOTFOUND' });

describe('names are resolved on the control thread', () => {
  it('once, however many ask at a time and in turn', async () => {
    const { world, addresses } = setUp();
    expect(await Promise.all([addresses(), addresses(), addresses('db.example', 'other/db')])).toEqual([
      ['9.9.9.9'],
      ['9.9.9.9'],
      ['9.9.9.9'],
    ]);
    world.now = 59_999;
    await addresses();
    expect(world.asked).toEqual(['db.example']);
    world.now = 60_000;
    await addresses();
    expect(world.asked).toHaveLength(2);
  });

  it.each<[string, readonly ResolvedAddress[] | Error]>([
    ['a time to live of nothing', [{ address: '9.9.9.9', ttl: 0 }]],
    ['a failure', NOT_FOUND],
    ['no address', []],
    ['nothing but addresses that are refused', [{ address: '169.254.169.254', ttl: 0 }]],
  ])('no more often than every five seconds: %s', async (_, answer) => {
    const { world, addresses } = setUp();
    world.answer = answer;
    for (world.now = 0; world.now < 5_000; world.now += 100) await addresses();
    expect(world.asked).toHaveLength(1);
    await addresses();
    expect(world.asked).toHaveLength(2);
  });

  it('and no address that is refused is handed out', async () => {
    const { world, addresses } = setUp();
    world.answer = [
      '127.0.0.1',
      '::1',
      '169.254.169.254',
      '64:ff9b::a9fe:a9fe',
      'fd20:ce::254',
      '1.1.1.1',
    ].map((address) => ({ address, ttl: 1 }));
    expect(await addresses()).toEqual(['1.1.1.1']);
  });

  it('and what is wrong is said of every Service that has the name, until it is over', async () => {
    const { world, addresses } = setUp();
    world.answer = NOT_FOUND;
    expect(await addresses()).toEqual([]);
    await addresses('db.example', 'shop/second');
    const reason = 'does not resolve (ENOTFOUND)';
    expect([...world.faults]).toEqual([
      ['shop/db', { host: 'db.example', reason, keepsAddresses: false }],
      ['shop/second', { host: 'db.example', reason, keepsAddresses: false }],
    ]);
    world.answer = [{ address: '168.63.129.16', ttl: 1 }];
    world.now += 5_000;
    await addresses();
    expect(world.faults.get('shop/db')?.reason).toBe('leads to 168.63.129.16, which is a metadata address');
    world.answer = [{ address: '9.9.9.9', ttl: 1 }];
    world.now += 5_000;
    await addresses();
    expect([...world.faults.values()]).toEqual([null, null]);
  });

  it('and the last good addresses stay when a name stops to resolve', async () => {
    const { world, addresses } = setUp();
    await addresses();
    world.answer = NOT_FOUND;
    world.now = 60_000;
    expect(await addresses()).toEqual(['9.9.9.9']);
    expect(world.faults.get('shop/db')).toMatchObject({ keepsAddresses: true });
  });

  it('for a hundred names of a namespace, and ten where there are many', async () => {
    const { world, addresses } = setUp();
    for (let i = 0; i < 100; i++) expect(await addresses(`${i}.a.test`, `a/${i}`)).toHaveLength(1);
    expect(await addresses('100.a.test', 'a/100')).toEqual([]);
    expect(world.faults.get('a/100')?.reason).toContain('at most 100 names of a namespace');
    expect(await addresses('0.a.test', 'b/0')).toHaveLength(1);
    for (let namespace = 0; namespace < 24; namespace++) {
      for (let i = 0; i < 100; i++) await addresses(`${i}.n${namespace}.test`, `n${namespace}/${i}`);
    }
    for (let i = 0; i < 10; i++) expect(await addresses(`${i}.c.test`, `c/${i}`)).toHaveLength(1);
    expect(await addresses('10.c.test', 'c/10')).toEqual([]);
    expect(await addresses('0.a.test', 'a/0')).toHaveLength(1);
    // Those that nobody wants any more make room.
    world.now += 700_000;
    expect(await addresses('100.a.test', 'a/100')).toHaveLength(1);
  });
});

it('names that clients invent make room after seconds, and names of Services do not', async () => {
  const { world, resolver, addresses } = setUp();
  const ask = async (host: string, namespace = 'shop') =>
    (await resolver.resolve({ host, namespace, service: null })).addresses.length;
  await addresses('db.test', 'shop/db');
  for (let i = 1; i < 100; i++) expect(await ask(`invented-${i}.test`)).toBe(1);
  expect(await ask('auth.test')).toBe(0);
  world.now = 10_000;
  expect(await ask('auth.test')).toBe(1);
  world.now = 20_001;
  for (let i = 0; i < 98; i++) expect(await ask(`other-${i}.test`)).toBe(1);
  // That of the Service is there still: it is not asked for again before its time.
  const asked = world.asked.length;
  expect(await addresses('db.test', 'shop/db')).toHaveLength(1);
  expect(world.asked.slice(asked)).toEqual([]);
});

it('a name that one namespace goes on wanting is not counted for another one any more', async () => {
  const { world, addresses } = setUp();
  const all = (namespace: string): Promise<unknown> =>
    Promise.all(Array.from({ length: 100 }, (_, i) => addresses(`${i}.test`, `${namespace}/${i}`)));
  await all('victim');
  for (world.now = 0; world.now < 700_000; world.now += 300_000) await all('other');
  expect(await addresses('another.test', 'victim/another')).toHaveLength(1);
});

describe('the names of a thread', () => {
  const BACKEND = 'shop/db:80';
  function names() {
    const world = { now: 0, asked: [] as string[] };
    const made = createExternalNames({
      now: () => world.now,
      ask: ({ host }) => void world.asked.push(host),
    });
    made.keep('db.example', 'shop');
    return { world, names: made };
  }

  it('are asked for by the first request, which waits, and again when the answer has run out', async () => {
    const { world, names: made } = names();
    expect(world.asked).toEqual([]);
    const pending = made.pending('db.example', BACKEND);
    void made.pending('db.example', BACKEND);
    expect([pending, world.asked]).toEqual([expect.any(Promise), ['db.example']]);
    made.answered({ host: 'db.example', namespace: 'shop', addresses: ['9.9.9.9'], freshForMs: 5_000 });
    await pending;
    expect([made.pending('db.example', BACKEND), made.get('db.example', 'shop')?.addresses]).toEqual([
      null,
      ['9.9.9.9'],
    ]);
    world.now = 4_999;
    void made.pending('db.example', BACKEND);
    expect(world.asked).toHaveLength(1);
    world.now = 5_000;
    expect(made.pending('db.example', BACKEND)).toBeNull();
    expect(world.asked).toHaveLength(2);
  });

  it('are those of a namespace: that another one has too many leaves nobody without addresses', async () => {
    const { world, names: made } = names();
    made.keep('db.example', 'other');
    void made.pending('db.example', 'other/db:80');
    made.answered({ host: 'db.example', namespace: 'other', addresses: [], freshForMs: 5_000 });
    const pending = made.pending('db.example', BACKEND);
    expect([pending, world.asked]).toEqual([expect.any(Promise), ['db.example', 'db.example']]);
    made.answered({ host: 'db.example', namespace: 'shop', addresses: ['9.9.9.9'], freshForMs: 5_000 });
    await pending;
    expect(made.get('db.example', 'other')?.addresses).toEqual([]);
    expect(made.get('db.example', 'shop')?.addresses).toEqual(['9.9.9.9']);
    expect(made.find('db.example')?.addresses).toEqual(['9.9.9.9']);
  });

  it('are forgotten with the last backend that has them, and nobody waits for them', async () => {
    const { names: made } = names();
    made.keep('db.example', 'shop');
    const pending = made.pending('db.example', BACKEND);
    made.release('db.example', 'shop');
    expect(made.get('db.example', 'shop')).toBeDefined();
    made.release('db.example', 'shop');
    await pending;
    expect([made.get('db.example', 'shop'), made.pending('db.example', BACKEND)]).toEqual([undefined, null]);
    made.answered({ host: 'db.example', namespace: 'shop', addresses: ['9.9.9.9'], freshForMs: 1 });
    expect(made.get('db.example', 'shop')).toBeUndefined();
  });
});

describe('the addresses of a name', () => {
  it('are tried in turn by family, and connections begin with another one each', () => {
    const name = new NameAddresses();
    name.addresses = ['1.1.1.1', '1.1.1.2', '2001:db8::1', '2001:db8::2'];
    expect(name.inOrder(0)).toEqual(['2001:db8::1', '1.1.1.1', '2001:db8::2', '1.1.1.2']);
    expect(name.inOrder(0)).toEqual(['2001:db8::1', '1.1.1.2', '2001:db8::2', '1.1.1.1']);
    expect(name.inOrder(0)).toEqual(['2001:db8::1', '1.1.1.1', '2001:db8::2', '1.1.1.2']);
    expect(name.inOrder(0)).toEqual(['2001:db8::2', '1.1.1.1', '2001:db8::1', '1.1.1.2']);
  });
});
