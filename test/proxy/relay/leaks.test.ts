import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { startProxy } from '../../support/proxy.ts';
import { type RawClient, get, rawClient, request } from '../../support/raw-client.ts';
import { soon, until } from '../../support/until.ts';
import { ok, scriptedUpstream } from '../../support/upstream.ts';

const EXCHANGES = 2_500;
const AT_ONCE = 32;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** The same sequence in every run. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Kept by Node for each of these kinds. */
function openResources(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
  return { sockets: counts['TCPSocketWrap'] ?? 0, timers: counts['Timeout'] ?? 0 };
}

test('sockets, timers and heap are back where they were after thousands of exchanges with random aborts', async () => {
  const random = randomNumbers(7);
  await using upstream = await scriptedUpstream(async (connection) => {
    for (;;) {
      const { startLine } = await connection.message();
      if (startLine.includes('/reset')) return connection.reset();
      if (startLine.includes('/cut')) {
        connection.send('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf');
        return connection.end();
      }
      if (startLine.includes('/silent')) continue;
      connection.send(ok('x'.repeat(500)));
    }
  });
  const baseline = openResources();
  const site = [{ ports: [upstream.port] }];
  await using proxy = await startProxy(nativeEngine, site);

  async function one(client: RawClient): Promise<boolean> {
    const dice = random();
    if (dice < 0.02) client.send(get('/silent').slice(0, 30));
    else if (dice < 0.04) client.send(get('/silent'));
    else if (dice < 0.06) client.send(get('/reset'));
    else if (dice < 0.08) client.send(get('/cut'));
    else if (dice < 0.1) client.send(request('POST', '/', 'x'.repeat(100)).slice(0, -50));
    else if (dice < 0.3) client.send(request('POST', '/', 'x'.repeat(100)));
    else client.send(get('/'));
    if (dice >= 0.1) return (await client.message()).status === 200;
    if (dice >= 0.06 && dice < 0.08) await client.until('half');
    else await nextTurn();
    if (random() < 0.5) client.reset();
    return false;
  }
  let begun = 0;
  async function many(upTo: number): Promise<void> {
    while (begun < upTo) {
      using client = await rawClient(proxy.port);
      for (let request = 0; request < 20 && begun < upTo; request++) {
        begun++;
        if (!(await one(client))) break;
      }
    }
  }
  async function settled(): Promise<void> {
    // Gone from the engine as soon as its sockets have told it.
    const { engine } = proxy;
    await until(() => engine.gauges().clientConnections === 0 && engine.gauges().inFlight === 0);
    proxy.adopt([]);
    await until(() => engine.gauges().upstreamConnections === 0);
    for (const { ended, socket } of upstream.connections) {
      await soon(ended, () => 'the end of a connection to the upstream');
      socket.destroy();
    }
    proxy.adopt(site);
  }
  function heapBytes(): number {
    collectGarbage();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  }

  await Promise.all(Array.from({ length: AT_ONCE }, () => many(EXCHANGES / 2)));
  await settled();
  const halfway = heapBytes();
  await Promise.all(Array.from({ length: AT_ONCE }, () => many(EXCHANGES)));
  await settled();

  expect(proxy.engine.gauges()).toMatchObject({
    clientConnections: 0,
    upstreamConnections: 0,
    inFlight: 0,
    tunnels: 0,
    heldBytes: 0,
  });
  // The other ends of these sockets are in this process, and take a turn or two to close.
  await until(() => (openResources()['sockets'] ?? 0) <= (baseline['sockets'] ?? 0));
  expect(openResources()['timers']).toBeLessThanOrEqual((baseline['timers'] ?? 0) + 1);
  const served = proxy.exchanges.filter(({ status }) => status === 200).length;
  expect(served).toBeGreaterThan(EXCHANGES * 0.8);
  // The tests keep what they recorded: some hundred bytes per exchange and connection.
  expect(heapBytes() - halfway).toBeLessThan((EXCHANGES / 2) * 3_000);
});
