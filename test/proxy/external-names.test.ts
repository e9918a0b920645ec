import { describe, expect, it } from 'vitest';
import {
  type ExternalNames,
  type ResolvedAddress,
  createExternalNames,
} from '../../src/proxy/balance/external-names.ts';

const NAME = { host: 'db.example', port: 5432 };

/** Names over a clock and a name server that the test holds. */
function setUp(allowLocal = false) {
  const world = { now: 0, asked: 0, answer: [] as readonly ResolvedAddress[] | Error };
  const names: ExternalNames = createExternalNames({
    allowLocal,
    now: () => world.now,
    resolve: async () => {
      world.asked++;
      if (world.answer instanceof Error) throw world.answer;
      return world.answer;
    },
  });
  const addresses = (): string[] =>
    names.addresses(NAME, world.now).map(({ address, port }) => `${address}:${port}`);
  return { world, names, addresses };
}

describe('external names', () => {
  it('the first request waits, later ones do not', async () => {
    const { world, names, addresses } = setUp();
    world.answer = [{ address: '9.9.9.9', ttl: 60 }];
    await names.pending(NAME);
    expect(addresses()).toEqual(['9.9.9.9:5432']);
    expect(names.pending(NAME)).toBeNull();
    expect(world.asked).toBe(1);
  });

  it('requests that come at once ask once', async () => {
    const { world, names } = setUp();
    await Promise.all([names.pending(NAME), names.pending(NAME), names.pending({ ...NAME })]);
    expect(world.asked).toBe(1);
  });

  it('an answer holds for its time to live and is then asked for beside the requests', async () => {
    const { world, names, addresses } = setUp();
    world.answer = [{ address: '9.9.9.9', ttl: 30 }];
    names.keep(NAME);
    await names.pending(NAME);
    world.now = 29_999;
    await names.refresh(world.now);
    expect(world.asked).toBe(1);
    world.answer = [{ address: '8.8.8.8', ttl: 30 }];
    world.now = 30_000;
    expect(addresses()).toEqual(['9.9.9.9:5432']);
    await names.refresh(world.now);
    expect(addresses()).toEqual(['8.8.8.8:5432']);
    expect(world.asked).toBe(2);
  });

  it('the same answer is the same array, in whatever order it comes', async () => {
    const { world, names } = setUp();
    world.answer = [
      { address: '9.9.9.9', ttl: 1 },
      { address: '2001:db8::1', ttl: 1 },
    ];
    await names.pending(NAME);
    const before = names.addresses(NAME, world.now);
    world.answer = world.answer.toReversed();
    world.now = 1_000;
    await names.refresh(world.now);
    expect(names.addresses(NAME, world.now)).toBe(before);
  });

  it('the last good answer stays when there is none, and asking goes on', async () => {
    const { world, names, addresses } = setUp();
    world.answer = [{ address: '9.9.9.9', ttl: 1 }];
    await names.pending(NAME);
    for (const bad of [new Error('SERVFAIL'), [], [{ address: 'not an address', ttl: 1 }]]) {
      world.answer = bad;
      world.now += 10_000;
      await names.refresh(world.now);
      expect(addresses()).toEqual(['9.9.9.9:5432']);
    }
    expect(world.asked).toBe(4);
    world.answer = [{ address: '8.8.8.8', ttl: 1 }];
    world.now += 10_000;
    await names.refresh(world.now);
    expect(addresses()).toEqual(['8.8.8.8:5432']);
  });

  it('a name that never resolved does not hold requests up a second time', async () => {
    const { world, names, addresses } = setUp();
    world.answer = new Error('NXDOMAIN');
    await names.pending(NAME);
    expect(names.pending(NAME)).toBeNull();
    expect(addresses()).toEqual([]);
  });

  it.each([
    '127.0.0.1',
    '::1',
    '0.0.0.0',
    '::',
    '169.254.169.254',
    'fe80::1',
    '::ffff:127.0.0.1',
    'fd00:ec2::254',
  ])('an answer of %s is refused', async (address) => {
    const strict = setUp();
    strict.world.answer = [{ address, ttl: 1 }];
    await strict.names.pending(NAME);
    expect(strict.addresses()).toEqual([]);
    strict.world.answer = [
      { address, ttl: 1 },
      { address: '9.9.9.9', ttl: 1 },
    ];
    strict.world.now = 10_000;
    await strict.names.refresh(strict.world.now);
    expect(strict.addresses()).toEqual(['9.9.9.9:5432']);
  });

  it('a name that left the table is forgotten', async () => {
    const { world, names } = setUp();
    names.keep(NAME);
    names.keep(NAME);
    await names.pending(NAME);
    names.release(NAME);
    expect(names.pending(NAME)).toBeNull();
    names.release(NAME);
    world.now = 1_000_000;
    const { asked } = world;
    await names.refresh(world.now);
    expect(world.asked).toBe(asked);
  });
});
