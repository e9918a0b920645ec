import type { Kind } from '../model/objects.ts';
import type { Problem } from '../model/problem.ts';
import type { Snapshot } from '../model/snapshot.ts';

/** Where objects come from: a cluster or files. */
export interface Source {
  /** Resolves when every kind has listed once (never rejects for a server that is away: it keeps trying). */
  readonly synced: Promise<void>;
  /** The latest snapshot; replaced, never changed. */
  snapshot(): Snapshot;
  /** What is wrong with the source itself: files that cannot be parsed, kinds that may not be listed. */
  problems(): readonly Problem[];
  /** Per kind, for metrics and /readyz?verbose. */
  states(): readonly WatchState[];
  /** What is served from a snapshot file until the API server has answered; null from then on. */
  cached?(): CachedSnapshot | null;
  stop(): Promise<void>;
}

export interface CachedSnapshot {
  readonly path: string;
  /** Milliseconds since the epoch. */
  readonly savedAt: number;
}

export interface WatchState {
  readonly kind: Kind;
  readonly synced: boolean;
  /** Listed, and nothing has failed since it was last heard of: what is known is what there is. */
  readonly connected: boolean;
  readonly objects: number;
  /** Milliseconds since the epoch. */
  readonly lastEventAt: number | null;
  readonly relists: number;
  readonly errors: number;
  /** One line that says what to do. */
  readonly lastError: string | null;
}

/** What became dirty: 'endpoints' means that only EndpointSlices changed. */
export type SourceEvent = 'routes' | 'endpoints';
