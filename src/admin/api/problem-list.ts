import type { ProblemPage, ProblemRow, SeverityCounts } from './answers.ts';
import { type SourceLocation, problemSubject } from '../../model/format-problem.ts';
import { type Problem, sortProblems } from '../../model/problem.ts';
import { type ShardedMap, values } from '../../model/sharded-map.ts';
import { compareText } from '../../routing/precedence.ts';
import { sortedInSteps } from '../sorted-in-steps.ts';

/** What every problem is in. */
export interface ProblemSource {
  /** Of reading. */
  readonly source: readonly Problem[];
  /** Of compiling, by object. */
  readonly compiled: ShardedMap<readonly Problem[]>;
}

/** Codes of problems which say that an object lost something to another one. */
const CONFLICTS = new Set([
  'CanaryConflict',
  'ClientCertificateConflict',
  'DefaultBackendConflict',
  'HostOwnedByNamespace',
  'HostnameConflict',
  'MatchConflict',
  'PathConflict',
  'PathShadowed',
  'ProtocolConflict',
  'StreamPortTaken',
  'TlsConflict',
  'TlsHostTaken',
]);

export function isConflict({ code }: Problem): boolean {
  return CONFLICTS.has(code);
}

/** All of them, by namespace and object; those of one object with the worst first. */
export function* allProblems({ source, compiled }: ProblemSource): Generator<void, readonly Problem[]> {
  const found: Problem[] = [...sortProblems(source)];
  for (const ofObject of values(compiled)) {
    found.push(...ofObject);
    yield;
  }
  return yield* sortedInSteps(found, byObject);
}

function byObject({ object: a }: Problem, { object: b }: Problem): number {
  return (
    compareText(a.namespace ?? '', b.namespace ?? '') ||
    compareText(a.kind, b.kind) ||
    compareText(a.name, b.name)
  );
}

/** Which problems are wanted; empty for all. */
export interface ProblemFilter {
  readonly namespace: string;
  readonly severity: '' | 'error' | 'warning' | 'info';
  readonly code: string;
  readonly conflicts: boolean;
  /** Part of the object, the field, the code or the message. */
  readonly text: string;
}

export function problemFilter(filter: ProblemFilter): (problem: Problem) => boolean {
  const text = filter.text.toLowerCase();
  return (problem) =>
    (filter.namespace === '' || problem.object.namespace === filter.namespace) &&
    (filter.severity === '' || problem.severity === filter.severity) &&
    (filter.code === '' || problem.code === filter.code) &&
    (!filter.conflicts || isConflict(problem)) &&
    (text === '' ||
      `${problemSubject(problem)} ${problem.code} ${problem.message}`.toLowerCase().includes(text));
}

/** Namespaces that are counted in an answer. */
const MAX_NAMESPACES = 200;

export function* countByNamespace(problems: readonly Problem[]): Generator<void, ProblemPage['namespaces']> {
  const counts = new Map<string, { error: number; warning: number; info: number }>();
  for (const { object, severity } of problems) {
    const namespace = object.namespace ?? '';
    let count = counts.get(namespace);
    if (!count) counts.set(namespace, (count = { error: 0, warning: 0, info: 0 }));
    count[severity]++;
    yield;
  }
  const worstFirst = ([a, one]: [string, SeverityCounts], [b, other]: [string, SeverityCounts]): number =>
    other.error - one.error || other.warning - one.warning || other.info - one.info || compareText(a, b);
  const sorted = yield* sortedInSteps([...counts], worstFirst);
  return sorted.slice(0, MAX_NAMESPACES).map(([namespace, count]) => ({ namespace, ...count }));
}

export function problemRow(
  problem: Problem,
  locate: (problem: Problem) => SourceLocation | null,
): ProblemRow {
  const { severity, code, object, field, message } = problem;
  const place = locate(problem);
  return {
    severity,
    code,
    object: { kind: object.kind, namespace: object.namespace ?? '', name: object.name },
    field,
    message,
    place: place && `${place.file}:${place.line}:${place.column}`,
    conflict: isConflict(problem),
  };
}
