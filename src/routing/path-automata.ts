import { FirstMatch, type TOO_COSTLY } from '../http/regex/first-match.ts';
import { matchGroups } from '../http/regex/groups.ts';
import { type Program, compileRegex } from '../http/regex/regex-program.ts';
import { parseRegex } from '../http/regex/syntax.ts';
import type { PathPattern } from './table.ts';

/**
 * The automata of the regular expressions of a table. They are made when a request first needs them, on each thread for
 * itself, and forgotten when those of a namespace take too much: what a tenant writes costs others neither time nor memory.
 */

/** What the automata of one namespace may take of a thread's memory. */
const MAX_BYTES_PER_NAMESPACE = 16 * 1024 * 1024;
const MAX_NAMESPACES = 10_000;
/** Programs for groups: the cost of making one again is small. */
const MAX_PROGRAMS = 2_048;

/** Of paths or of hosts. */
interface Patterns {
  readonly namespace: string;
  readonly entries: readonly { readonly pattern: PathPattern }[];
}

interface NamespaceAutomata {
  bytes: number;
  readonly byList: WeakMap<Patterns, FirstMatch | null>;
}

const namespaces = new Map<string, NamespaceAutomata>();

/** The place of the first expression of a list that matches the beginning of a path; -1 for none. */
export function firstPattern(list: Patterns, path: string, maxWork?: number): number | typeof TOO_COSTLY {
  const automata = automataOf(list.namespace);
  let automaton = automata.byList.get(list);
  if (automaton === undefined) {
    const program = programOf(list.entries.map(({ pattern }) => pattern));
    automaton = program && new FirstMatch(program);
    automata.byList.set(list, automaton);
    automata.bytes += automaton?.bytes ?? 0;
  }
  if (automaton === null) return -1;
  const before = automaton.bytes;
  const found = automaton.find(path, maxWork);
  automata.bytes += automaton.bytes - before;
  if (automata.bytes > MAX_BYTES_PER_NAMESPACE) namespaces.delete(list.namespace);
  return found;
}

function automataOf(namespace: string): NamespaceAutomata {
  const known = namespaces.get(namespace);
  if (known) return known;
  if (namespaces.size >= MAX_NAMESPACES) namespaces.clear();
  const automata = { bytes: 0, byList: new WeakMap() };
  namespaces.set(namespace, automata);
  return automata;
}

const programs = new Map<string, Program | null>();

/** What the groups of an expression take of a path; see `matchGroups`. */
export function patternGroups(pattern: PathPattern, path: string): ReturnType<typeof matchGroups> {
  const key = `${pattern.ignoreCase ? 'i' : ''}/${pattern.text}`;
  let program = programs.get(key);
  if (program === undefined) {
    if (programs.size >= MAX_PROGRAMS) programs.clear();
    program = programOf([pattern]);
    programs.set(key, program);
  }
  return program && matchGroups(program, path);
}

/** Null for what cannot be compiled, of which there is none in a table. */
function programOf(patterns: readonly PathPattern[]): Program | null {
  const regexes = patterns.map(({ text, ignoreCase }) => parseRegex(text, ignoreCase));
  const valid = regexes.filter((regex) => regex.kind === 'regex');
  return valid.length === regexes.length ? compileRegex(valid, Infinity) : null;
}
