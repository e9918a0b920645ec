import { pino } from 'pino';
import { compileSettings } from '../config/compile-settings.ts';
import type { CompileConfig } from '../config/config.ts';
import type { SourceLocation } from '../model/format-problem.ts';
import { type Compilation, compile, listProblems } from '../routing/compile/compile.ts';
import { type Problem, sortProblems } from '../model/problem.ts';
import { EMPTY_SNAPSHOT, type Snapshot } from '../model/snapshot.ts';
import { withLearnedZone } from '../routing/zone.ts';
import { type CompileSettings, forbiddenSecrets } from '../routing/settings.ts';
import { openSource } from '../controller/open-source.ts';

type Failure = { readonly kind: 'no-input' | 'unavailable'; readonly message: string };

/** Everything read once, for `audit`. */
export type ReadOnceResult =
  | {
      readonly kind: 'read';
      readonly snapshot: Snapshot;
      readonly settings: Omit<CompileSettings, 'now'>;
      readonly forbiddenSecrets: readonly string[];
      /** Of reading alone. */
      readonly problems: readonly Problem[];
      readonly locate: (problem: Problem) => SourceLocation | null;
    }
  | Failure;

/** Everything read and compiled once, for `check` and `explain`. */
export type CompileOnceResult =
  | {
      readonly kind: 'compiled';
      readonly compilation: Compilation;
      readonly problems: readonly Problem[];
      readonly locate: (problem: Problem) => SourceLocation | null;
    }
  | Failure;

const SYNC_TIMEOUT_MS = 30_000;

export async function compileOnce(config: CompileConfig, env: NodeJS.ProcessEnv): Promise<CompileOnceResult> {
  const read = await readOnce(config, env);
  if (read.kind !== 'read') return read;
  const { snapshot, settings, forbiddenSecrets, locate } = read;
  const compilation = compile(snapshot, { ...settings, forbiddenSecrets, now: Date.now() });
  const problems = sortProblems([...read.problems, ...listProblems(compilation)]);
  return { kind: 'compiled', compilation, problems, locate };
}

/** Reads everything once; nothing is written. */
export async function readOnce(config: CompileConfig, env: NodeJS.ProcessEnv): Promise<ReadOnceResult> {
  const opened = await openSource(config, env, pino({ level: 'silent' }), () => {});
  if (opened.kind === 'failed') return { kind: 'no-input', message: opened.message };
  const { source, locate } = opened;
  try {
    // Without credentials there is nothing to wait for.
    await opened.cluster?.credentials.headers();
  } catch (error) {
    await source.stop();
    return { kind: 'unavailable', message: `${opened.description}: ${(error as Error).message}` };
  }
  const timeout = Promise.withResolvers<'timeout'>();
  const timer = setTimeout(() => timeout.resolve('timeout'), SYNC_TIMEOUT_MS);
  const outcome = await Promise.race([source.synced, timeout.promise]);
  clearTimeout(timer);
  try {
    if (outcome === 'timeout') {
      const errors = new Set(
        source.states().map((state) => state.lastError ?? `no list of ${state.kind} yet`),
      );
      return { kind: 'unavailable', message: `${opened.description}: ${[...errors].join('; ')}` };
    }
    const snapshot = source.snapshot();
    const settings = withLearnedZone(compileSettings(config), EMPTY_SNAPSHOT, snapshot);
    const problems = source.problems();
    return {
      kind: 'read',
      snapshot,
      settings,
      forbiddenSecrets: forbiddenSecrets(problems),
      problems,
      locate,
    };
  } finally {
    await source.stop();
  }
}
