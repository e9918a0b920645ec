import { pino } from 'pino';
import { compileSettings } from '../config/compile-settings.ts';
import type { CompileConfig } from '../config/config.ts';
import type { SourceLocation } from '../model/format-problem.ts';
import { type Compilation, compile, listProblems } from '../routing/compile/compile.ts';
import { type Problem, sortProblems } from '../model/problem.ts';
import { get } from '../model/sharded-map.ts';
import { EMPTY_SNAPSHOT, type Snapshot, applyChanges } from '../model/snapshot.ts';
import type { ClassSettings } from '../routing/ingress/classes.ts';
import { readManifests } from '../watch/manifests.ts';
import type { Source } from '../watch/source.ts';
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
      /** What could not be read: the compilation does not have it. */
      readonly unread: readonly Problem[];
      readonly locate: (problem: Problem) => SourceLocation | null;
    }
  | Failure;

const SYNC_TIMEOUT_MS = 30_000;
const ERRORS_ONLY_MS = 2_000;

/** `assumeClass` takes the IngressClass as given where the manifests do not have it. */
export async function compileOnce(
  config: CompileConfig,
  env: NodeJS.ProcessEnv,
  { assumeClass = false } = {},
): Promise<CompileOnceResult> {
  const read = await readOnce(config, env);
  if (read.kind !== 'read') return read;
  const { settings, forbiddenSecrets, locate } = read;
  const snapshot = assumeClass ? withClass(read.snapshot, settings) : read.snapshot;
  const compilation = compile(snapshot, { ...settings, forbiddenSecrets, now: Date.now() });
  const problems = sortProblems([...read.problems, ...listProblems(compilation)]);
  const unread = read.problems.filter(({ severity }) => severity === 'error');
  return { kind: 'compiled', compilation, problems, unread, locate };
}

function withClass(snapshot: Snapshot, { ingressClass, controllerName }: ClassSettings): Snapshot {
  if (get(snapshot.ingressClasses, ingressClass)) return snapshot;
  const object = { metadata: { name: ingressClass }, spec: { controller: controllerName } };
  return applyChanges(snapshot, [{ kind: 'IngressClass', key: ingressClass, object }]);
}

/** Reads everything once; nothing is written but notes about the paths, to standard error. */
export async function readOnce(config: CompileConfig, env: NodeJS.ProcessEnv): Promise<ReadOnceResult> {
  switch (config.source.kind) {
    case 'manifests':
      return readFiles(config, config.source.paths);
    case 'cluster':
      return readCluster(config, env);
  }
}

async function readFiles(config: CompileConfig, paths: readonly string[]): Promise<ReadOnceResult> {
  const { recursive, watchNamespaces } = config;
  const set = await readManifests({ paths, recursive, watchNamespaces });
  if (set.empty.length > 0) {
    return { kind: 'no-input', message: set.empty.map((each) => `--manifests: ${each}`).join('; ') };
  }
  for (const note of set.notes) console.error(`portico: --manifests: ${note}`);
  return resultOf(config, set.snapshot, set.problems, (problem) => set.locate(problem));
}

async function readCluster(config: CompileConfig, env: NodeJS.ProcessEnv): Promise<ReadOnceResult> {
  const opened = await openSource(config, env, pino({ level: 'silent' }), () => {});
  if (opened.kind === 'failed') return { kind: 'no-input', message: opened.message };
  const { source, description, locate } = opened;
  try {
    // Without credentials there is nothing to wait for.
    await opened.cluster?.credentials.headers();
    const failure = await firstLists(source);
    if (failure !== null) {
      // What a server answered names it already.
      const message = failure.startsWith(description) ? failure : `${description}: ${failure}`;
      return { kind: 'unavailable', message };
    }
    return resultOf(config, source.snapshot(), source.problems(), locate);
  } catch (error) {
    return { kind: 'unavailable', message: `${description}: ${(error as Error).message}` };
  } finally {
    await source.stop();
  }
}

/** Waits for the first list of every kind; resolves with why there is none. */
async function firstLists(source: Source): Promise<string | null> {
  const timeout = Promise.withResolvers<'timeout'>();
  const timer = setTimeout(() => timeout.resolve('timeout'), SYNC_TIMEOUT_MS);
  // A server that answered with nothing but errors by then will not do so later.
  const early = setTimeout(() => {
    if (source.states().every(({ synced, lastError }) => !synced && lastError !== null))
      timeout.resolve('timeout');
  }, ERRORS_ONLY_MS);
  const outcome = await Promise.race([source.synced, timeout.promise]);
  clearTimeout(timer);
  clearTimeout(early);
  if (outcome !== 'timeout') return null;
  const errors = source.states().map((state) => state.lastError ?? `no list of ${state.kind} yet`);
  return [...new Set(errors)].join('; ');
}

function resultOf(
  config: CompileConfig,
  snapshot: Snapshot,
  problems: readonly Problem[],
  locate: (problem: Problem) => SourceLocation | null,
): ReadOnceResult {
  const settings = withLearnedZone(compileSettings(config), EMPTY_SNAPSHOT, snapshot);
  const forbidden = forbiddenSecrets(problems);
  return { kind: 'read', snapshot, settings, forbiddenSecrets: forbidden, problems, locate };
}
