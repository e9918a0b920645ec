import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { type Compilation, type CompileSettings, type KeyPair, compile } from '../routing/compile/compile.ts';
import { type Problem, describeObject } from '../model/problem.ts';
import type { NameFault } from '../model/name-fault.ts';
import type { ObjectKey } from '../model/objects.ts';
import { type ShardedMap, difference, edit, emptyMap, get } from '../model/sharded-map.ts';
import { forbiddenSecrets } from '../routing/settings.ts';
import { type Snapshot, EMPTY_SNAPSHOT } from '../model/snapshot.ts';
import type { RouteTable } from '../routing/table.ts';
import { withLearnedZone } from '../routing/zone.ts';
import type { ProblemLog } from './problem-log.ts';
import { advanceEndpoints, startHoldOff } from '../watch/hold-off.ts';
import type { Source, SourceEvent } from '../watch/source.ts';

export interface ControlOptions {
  readonly source: Source;
  /** `now` is set for every compile. */
  readonly settings: Omit<CompileSettings, 'now'>;
  /** Takes a table and its keys into service. Called for the first ones, and then only when one is another. */
  readonly publish: (table: RouteTable, keys: ShardedMap<KeyPair>) => void;
  readonly compiled: (seconds: number) => void;
  readonly problemLog: ProblemLog;
  readonly logger: Logger;
}

/** The loop from "something changed" to a published table. */
export interface Control {
  dirty(what: SourceEvent): void;
  /** What is wrong with the name of a Service, or null for nothing. */
  nameFault(service: ObjectKey, fault: NameFault | null): void;
  /** Null until everything was listed once. */
  compilation(): Compilation | null;
  stop(): Promise<void>;
}

/** A timer that is set for longer fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export function startControl(options: ControlOptions): Control {
  const { source, publish, compiled, problemLog, logger } = options;
  let { settings } = options;
  let compilation: Compilation | null = null;
  let sourceProblems: readonly Problem[] = [];
  let nameFaults: Snapshot['nameFaults'] = emptyMap();
  let certificateTimer: NodeJS.Timeout | null = null;

  const run = (what: SourceEvent): void => {
    const previous = compilation;
    const latest = source.snapshot();
    const objects = what === 'endpoints' && previous ? advanceEndpoints(previous.snapshot, latest) : latest;
    const snapshot = { ...objects, nameFaults };
    settings = withLearnedZone(settings, previous?.snapshot ?? EMPTY_SNAPSHOT, snapshot);
    settings = { ...settings, forbiddenSecrets: forbiddenSecrets(source.problems()) };
    const startedAt = performance.now();
    const next = compile(snapshot, { ...settings, now: Date.now() }, previous ?? undefined);
    const seconds = (performance.now() - startedAt) / 1000;
    compilation = next;
    for (const { object, error } of next.faults) {
      logger.error({ err: error }, `failed to compile ${describeObject(object)}, which is left out`);
    }
    if (next.table !== previous?.table || next.keys !== previous.keys) {
      publish(next.table, next.keys);
      compiled(seconds);
      logger.debug({ generation: next.table.generation, seconds }, `compiled after a change of ${what}`);
    }
    reportProblems(previous, next);
    watchCertificates(next);
  };

  const reportProblems = (previous: Compilation | null, next: Compilation): void => {
    const before = sourceProblems;
    sourceProblems = source.problems();
    const changes = [{ before, after: sourceProblems }];
    const none: readonly Problem[] = [];
    if (previous) {
      for (const [key, after] of difference(previous.problems, next.problems)) {
        changes.push({ before: get(previous.problems, key) ?? none, after: after ?? none });
      }
    } else {
      for (const shard of next.problems.shards) {
        for (const after of shard.values()) changes.push({ before: none, after });
      }
    }
    problemLog.changed(changes);
  };

  /** A certificate expires although nothing in the cluster changes. */
  const watchCertificates = ({ certificatesValidUntil }: Compilation): void => {
    if (certificateTimer) clearTimeout(certificateTimer);
    if (certificatesValidUntil === Infinity) return;
    const delayMs = Math.max(certificatesValidUntil - Date.now(), 1_000);
    const fire = (): void => holdOff.dirty('routes');
    certificateTimer = setTimeout(fire, Math.min(delayMs, LONGEST_TIMER_MS)).unref();
  };

  const holdOff = startHoldOff({
    run,
    onFailure: (cause, retryInMs) => {
      logger.error({ err: cause, retryInMs }, 'compiling failed; the last table stays in service');
    },
  });
  return {
    dirty: (what) => holdOff.dirty(what),
    nameFault(service, fault) {
      if (isDeepStrictEqual(get(nameFaults, service) ?? null, fault)) return;
      const faults = edit(nameFaults);
      if (fault) faults.set(service, fault);
      else faults.delete(service);
      nameFaults = faults.done();
      // Before everything is listed there is nothing to compile.
      if (compilation) holdOff.dirty('endpoints');
    },
    compilation: () => compilation,
    async stop() {
      if (certificateTimer) clearTimeout(certificateTimer);
      await holdOff.stop();
    },
  };
}
