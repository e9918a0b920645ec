import { beforeAll, describe, expect, it } from 'vitest';
import { type TakeoverResult, takeoversInNamespace } from '../../bench/takeover.ts';
import { MAIN } from '../support/daemon.ts';

// `npm run takeover` does the same twenty times each.
const TAKEOVERS = 1;
/** A request that takes longer is aborted, and counts as lost: on a machine that is overloaded it needs more time. */
const DRAIN_TIMEOUT_MS = Math.max(1_500, Number(process.env['PORTICO_TEST_TIMEOUT_MS'] ?? 0) / 40);

describe('a new Portico takes the port over while the old one drains, under load', () => {
  let results: readonly TakeoverResult[] | null;
  beforeAll(() => {
    results = takeoversInNamespace(TAKEOVERS, MAIN, DRAIN_TIMEOUT_MS);
  }, 240_000);

  it('loses nothing where the kernel moves the queue of a closing listener', (context) => {
    const result = results?.[0] ?? context.skip('needs root and network namespaces');
    expect(result).toMatchObject({
      migrate: true,
      newConnections: { failures: 0 },
      acceptedConnections: { failures: 0 },
      webSockets: { abnormal: 0 },
      exitCodes: Array(TAKEOVERS).fill(0),
    });
    expect(result.newConnections.requests).toBeGreaterThan(0);
    expect(result.acceptedConnections.requests).toBeGreaterThan(0);
    expect(result.webSockets.closed).toBeGreaterThanOrEqual(TAKEOVERS);
  });

  it('loses nothing on connections that were accepted where the kernel does not', (context) => {
    const result = results?.[1] ?? context.skip('needs root and network namespaces');
    expect(result).toMatchObject({
      migrate: false,
      acceptedConnections: { failures: 0 },
      webSockets: { abnormal: 0 },
      exitCodes: Array(TAKEOVERS).fill(0),
    });
    expect(result.acceptedConnections.requests).toBeGreaterThan(0);
    expect(result.webSockets.closed).toBeGreaterThanOrEqual(TAKEOVERS);
  });
});
