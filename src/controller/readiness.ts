import type { ReadinessCheck } from '../admin/server.ts';
import type { DataPlane } from './data-plane.ts';
import type { Source, WatchState } from '../watch/source.ts';

/** What `/readyz` goes by, and what it says of it. `now` is in milliseconds since the epoch. */
export function readiness(
  source: Pick<Source, 'states' | 'cached'>,
  dataPlane: Pick<DataPlane, 'serving' | 'draining' | 'adoptedGeneration'>,
  now: number,
): readonly ReadinessCheck[] {
  const [serving, draining] = [dataPlane.serving(), dataPlane.draining()];
  const cached = source.cached?.() ?? null;
  const watches = source.states().map((state) => ({
    name: `watch-${state.kind}`,
    // What was true last is served: that is better than nobody serving.
    ok: state.synced || cached !== null,
    detail: watchDetail(state, now),
  }));
  const file = cached && {
    name: 'snapshot-file',
    ok: true,
    detail: `serving from ${cached.path}, saved ${age(now - cached.savedAt)} ago, until the API server answers`,
  };
  return [
    ...watches,
    ...(file ? [file] : []),
    {
      name: 'data-plane',
      ok: serving,
      detail: serving
        ? `every thread serves table generation ${dataPlane.adoptedGeneration()}`
        : 'waiting for the threads',
    },
    { name: 'not-draining', ok: !draining, detail: draining ? 'stopping' : 'ok' },
  ];
}

function watchDetail(
  { synced, connected, objects, lastError, lastEventAt }: WatchState,
  now: number,
): string {
  if (!synced) return lastError ?? 'not listed yet';
  const count = `${objects} ${objects === 1 ? 'object' : 'objects'}`;
  if (connected) return count;
  const heard = lastEventAt === null ? '' : `, as of ${age(now - lastEventAt)} ago`;
  return `${count}${heard}${lastError ? `, last error: ${lastError}` : ''}`;
}

const UNITS = [
  { name: 'days', ms: 86_400_000 },
  { name: 'h', ms: 3_600_000 },
  { name: 'min', ms: 60_000 },
] as const;

/** A time in the largest unit of which there are two: `90 s`, `3 h`. */
function age(ms: number): string {
  const unit = UNITS.find((each) => ms >= 2 * each.ms);
  return unit ? `${Math.floor(ms / unit.ms)} ${unit.name}` : `${Math.max(0, Math.floor(ms / 1000))} s`;
}
