import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { type Compilation, type CompileSettings, type KeyPair, compile } from '../routing/compile/compile.ts';
import { type Problem, describeObject } from '../model/problem.ts';
import type { SecretData } from '../model/secret-data.ts';
import type { NameFault } from '../model/name-fault.ts';
import type { ObjectKey } from '../model/objects.ts';
import { type ShardedMap, difference, edit, emptyMap, get, values } from '../model/sharded-map.ts';
import { forbiddenSecrets } from '../routing/settings.ts';
import { type Snapshot, EMPTY_SNAPSHOT } from '../model/snapshot.ts';
import type { RouteTable } from '../routing/table.ts';
import { withLearnedZone } from '../routing/zone.ts';
import type { ChangeLog } from './change-log.ts';
import type { ProblemLog } from './problem-log.ts';
import { HoldOff, advanceEndpoints } from '../watch/hold-off.ts';
import type { Source, SourceEvent } from '../watch/source.ts';

export interface ReconcilerOptions {
  readonly source: Source;
  /** `now` is set for every compile. */
  readonly settings: Omit<CompileSettings, 'now'>;
  /** Gives a table and its Secrets to the data plane. Called with the first table, then only when one of these changes. */
  readonly distribute: (
    table: RouteTable,
    keys: ShardedMap<KeyPair>,
    secrets: ShardedMap<SecretData>,
  ) => void;
  readonly compiled: (seconds: number) => void;
  /** Called when there is another compilation, also one with the same table. */
  readonly onCompilation: () => void;
  readonly problemLog: ProblemLog;
  readonly changeLog: ChangeLog;
  readonly logger: Logger;
}

/** A timer that is set for longer fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The loop from "something changed" to a table in the data plane. */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #holdOff: HoldOff;
  #settings: ReconcilerOptions['settings'];
  #compilation: Compilation | null = null;
  #sourceProblems: readonly Problem[] = [];
  #nameFaults: Snapshot['nameFaults'] = emptyMap();
  #certificateTimer: NodeJS.Timeout | null = null;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#settings = options.settings;
    this.#holdOff = new HoldOff({
      run: (what) => this.#compile(what),
      onFailure: (cause, retryInMs) => {
        options.logger.error({ err: cause, retryInMs }, 'compiling failed; the last table stays in use');
      },
    });
  }

  /** Something changed: it is compiled soon. */
  dirty(what: SourceEvent): void {
    this.#holdOff.dirty(what);
  }

  /** Takes what is wrong with the name of a Service, or null for nothing. */
  nameFault(service: ObjectKey, fault: NameFault | null): void {
    if (isDeepStrictEqual(get(this.#nameFaults, service) ?? null, fault)) return;
    const faults = edit(this.#nameFaults);
    if (fault) faults.set(service, fault);
    else faults.delete(service);
    this.#nameFaults = faults.done();
    // Before everything is listed there is nothing to compile.
    if (this.#compilation) this.dirty('endpoints');
  }

  /** Null until everything was listed once. */
  compilation(): Compilation | null {
    return this.#compilation;
  }

  async stop(): Promise<void> {
    if (this.#certificateTimer) clearTimeout(this.#certificateTimer);
    await this.#holdOff.stop();
  }

  #compile(what: SourceEvent): void {
    const { source, distribute, compiled, logger } = this.#options;
    const previous = this.#compilation;
    const latest = source.snapshot();
    const objects = what === 'endpoints' && previous ? advanceEndpoints(previous.snapshot, latest) : latest;
    const snapshot = { ...objects, nameFaults: this.#nameFaults };
    const settings = withLearnedZone(this.#settings, previous?.snapshot ?? EMPTY_SNAPSHOT, snapshot);
    this.#settings = { ...settings, forbiddenSecrets: forbiddenSecrets(source.problems()) };
    const startedAt = performance.now();
    const next = compile(snapshot, { ...this.#settings, now: Date.now() }, previous ?? undefined);
    const seconds = (performance.now() - startedAt) / 1000;
    this.#compilation = next;
    for (const { object, error } of next.faults) {
      logger.error({ err: error }, `failed to compile ${describeObject(object)}, which is left out`);
    }
    const sameSecrets = next.keys === previous?.keys && next.policySecrets === previous.policySecrets;
    if (next.table !== previous?.table || !sameSecrets) {
      distribute(next.table, next.keys, next.policySecrets);
      compiled(seconds);
      logger.debug({ generation: next.table.generation, seconds }, `compiled after a change of ${what}`);
    }
    this.#options.changeLog.compiled(previous, next);
    this.#reportProblems(previous, next);
    this.#watchCertificates(next);
    this.#options.onCompilation();
  }

  #reportProblems(previous: Compilation | null, next: Compilation): void {
    const { source, problemLog } = this.#options;
    const before = this.#sourceProblems;
    this.#sourceProblems = source.problems();
    const changes = [{ before, after: this.#sourceProblems }];
    const none: readonly Problem[] = [];
    if (previous) {
      for (const [key, after] of difference(previous.problems, next.problems)) {
        changes.push({ before: get(previous.problems, key) ?? none, after: after ?? none });
      }
    } else {
      for (const after of values(next.problems)) changes.push({ before: none, after });
    }
    problemLog.changed(changes);
  }

  /** A certificate expires although nothing in the cluster changes. */
  #watchCertificates({ certificatesValidUntil }: Compilation): void {
    if (this.#certificateTimer) clearTimeout(this.#certificateTimer);
    if (certificatesValidUntil === Infinity) return;
    const delayMs = Math.max(certificatesValidUntil - Date.now(), 1_000);
    const fire = (): void => this.dirty('routes');
    this.#certificateTimer = setTimeout(fire, Math.min(delayMs, LONGEST_TIMER_MS)).unref();
  }
}
