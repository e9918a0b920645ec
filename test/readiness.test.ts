import { expect, it } from 'vitest';
import { readiness } from '../src/controller/readiness.ts';
import type { CachedSnapshot, WatchState } from '../src/watch/source.ts';

const SERVING = { serving: () => true, draining: () => false, adoptedGeneration: () => 1 };
const NOW = Date.UTC(2026, 5, 1);
const HEALTHY: WatchState = {
  kind: 'Ingress',
  synced: true,
  connected: true,
  objects: 3,
  lastEventAt: NOW - 200_000,
  relists: 0,
  errors: 0,
  lastError: null,
};

function checks(state: Partial<WatchState>, cached: CachedSnapshot | null = null): Record<string, string> {
  const source = { states: () => [{ ...HEALTHY, ...state }], cached: () => cached };
  const all = readiness(source, SERVING, NOW);
  return Object.fromEntries(all.map(({ name, ok, detail }) => [name, `${ok ? '+' : '-'} ${detail}`]));
}

it('a watch that is connected is current, however quiet the cluster is', () => {
  expect(checks({})['watch-Ingress']).toBe('+ 3 objects');
});

it.each([
  [0, '0 s'],
  [119_999, '119 s'],
  [120_000, '2 min'],
  [3 * 3_600_000, '3 h'],
  [50 * 3_600_000, '2 days'],
])('a watch that failed %i ms after it was heard of says so, and stays ready', (ms, words) => {
  const state = { connected: false, lastEventAt: NOW - ms, lastError: 'connection refused' };
  expect(checks(state)['watch-Ingress']).toBe(
    `+ 3 objects, as of ${words} ago, last error: connection refused`,
  );
});

it('a kind that was never listed is not ready, unless a snapshot file stands in', () => {
  const state = { synced: false, connected: false, lastEventAt: null, lastError: 'connection refused' };
  expect(checks(state)['watch-Ingress']).toBe('- connection refused');
  const cached = checks(state, { path: '/var/lib/s', savedAt: NOW - 7_200_000 });
  expect(cached['watch-Ingress']).toBe('+ connection refused');
  expect(cached['snapshot-file']).toBe(
    '+ serving from /var/lib/s, saved 2 h ago, until the API server answers',
  );
});
