import { type ObjectKey, namespaceOf } from '../../model/objects.ts';
import type { UntypedObject } from '../../model/untyped.ts';
import { compareText } from '../precedence.ts';
import { type ConversionNote, addNotes } from './conversion.ts';
import type { ConvertedEntry } from './convert-rules.ts';
import type { ConvertedRule } from './split-rules.ts';

/** What the routes of one Ingress at one host are, at the listeners that have the host. */
export interface HostEntries {
  readonly hostname: string;
  /** The listeners, by their names. */
  readonly listeners: readonly string[];
  readonly entries: readonly ConvertedEntry[];
  /** Beside those of the entries. */
  readonly notes: readonly ConversionNote[];
}

/** An HTTPRoute or GRPCRoute before it has a name. */
export interface RouteDraft {
  readonly kind: ConvertedEntry['kind'];
  readonly ingress: ObjectKey;
  /** What its name ends with. */
  readonly suffix: '' | 'redirect';
  readonly hostnames: readonly string[];
  readonly listeners: readonly string[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly rules: readonly ConvertedRule[];
  readonly countsClients: boolean;
  readonly notes: readonly ConversionNote[];
}

export const HTTP_LISTENER = 'http';

/** Of Gateway API: what one route may have. */
const MAX_HOSTNAMES = 16;
const MAX_RULES = 16;
const MAX_MATCHES_OF_ROUTE = 128;
const MAX_MATCHES_OF_RULE = 8;

interface Block {
  readonly kind: ConvertedEntry['kind'];
  readonly annotations: Readonly<Record<string, string>>;
  readonly entries: readonly ConvertedEntry[];
  readonly hosts: HostEntries[];
}

/**
 * The routes of an Ingress: hosts with the same rules share one, and what one may not have more of is split. The result
 * does not depend on the order of `hosts`.
 */
export function draftRoutes(ingress: ObjectKey, hosts: readonly HostEntries[]): readonly RouteDraft[] {
  const blocks = new Map<string, Block>();
  for (const host of [...hosts].sort((a, b) => compareText(a.hostname, b.hostname))) {
    const byAnnotations = Map.groupBy(host.entries, ({ annotations }) => JSON.stringify(annotations));
    for (const entries of byAnnotations.values()) {
      const [first] = entries;
      if (!first) continue;
      const rules = entries.map((entry) => entry.rules);
      const key = JSON.stringify([first.kind, first.annotations, rules, parentClass(host)]);
      const block = blocks.get(key) ?? {
        kind: first.kind,
        annotations: first.annotations,
        entries,
        hosts: [],
      };
      block.hosts.push(host);
      blocks.set(key, block);
    }
  }
  const drafts = [...blocks.values()].flatMap((block) => draftsOf(ingress, block));
  return drafts.toSorted((a, b) => compareText(a.suffix, b.suffix));
}

/** Hosts share a route only if they are served by the same protocols. */
function parentClass({ listeners, hostname }: HostEntries): string {
  const isPlain = listeners.includes(HTTP_LISTENER);
  const isTls = listeners.length > Number(isPlain);
  return `${Number(isPlain)}${Number(isTls)}${Number(hostname === '')}`;
}

function draftsOf(ingress: ObjectKey, { kind, annotations, entries, hosts }: Block): readonly RouteDraft[] {
  const parts = partsOf(entries);
  return chunks(hosts, MAX_HOSTNAMES).flatMap((some) => {
    const listeners = [...new Set(some.flatMap((host) => host.listeners))].toSorted(httpFirst);
    const hostnames = some.map(({ hostname }) => hostname).filter((hostname) => hostname !== '');
    return parts.map(({ rules, notes: ofEntries }): RouteDraft => {
      const notes: ConversionNote[] = [...ofEntries];
      for (const host of some) addNotes(notes, host.notes);
      const suffix = suffixOf(rules, listeners);
      const countsClients = entries.some((entry) => entry.countsClients);
      return { kind, ingress, suffix, hostnames, listeners, annotations, rules, countsClients, notes };
    });
  });
}

function suffixOf(rules: readonly ConvertedRule[], listeners: readonly string[]): RouteDraft['suffix'] {
  const isHttpOnly = listeners.length === 1 && listeners[0] === HTTP_LISTENER;
  return isHttpOnly && rules.every(isRedirectToHttps) ? 'redirect' : '';
}

function isRedirectToHttps({ filters = [] }: ConvertedRule): boolean {
  return filters.some(
    ({ requestRedirect }) => (requestRedirect as UntypedObject | undefined)?.['scheme'] === 'https',
  );
}

function httpFirst(a: string, b: string): number {
  return Number(b === HTTP_LISTENER) - Number(a === HTTP_LISTENER) || compareText(a, b);
}

interface Part {
  readonly rules: ConvertedRule[];
  readonly notes: ConversionNote[];
  matches: number;
}

/** The rules of entries, in as many routes as they need. Those of one entry stay together: their order decides. */
function partsOf(entries: readonly ConvertedEntry[]): readonly Part[] {
  const parts: Part[] = [];
  for (const { rules, notes } of entries) {
    const matches = rules.reduce((sum, rule) => sum + rule.matches.length, 0);
    let part = parts.at(-1);
    if (!part || !fits(part, rules, matches)) parts.push((part = { rules: [], notes: [], matches: 0 }));
    const [only, ...others] = rules;
    const same = only && others.length === 0 ? part.rules.findIndex((rule) => mayShare(rule, only)) : -1;
    const shared = part.rules[same];
    if (shared && only) part.rules[same] = { ...shared, matches: [...shared.matches, ...only.matches] };
    else part.rules.push(...rules);
    part.matches += matches;
    addNotes(part.notes, notes);
  }
  return parts;
}

function fits(part: Part, rules: readonly ConvertedRule[], matches: number): boolean {
  return part.rules.length + rules.length <= MAX_RULES && part.matches + matches <= MAX_MATCHES_OF_ROUTE;
}

/** Whether two rules do the same, so that one with the matches of both does. */
function mayShare(a: ConvertedRule, b: ConvertedRule): boolean {
  if (a.matches.length + b.matches.length > MAX_MATCHES_OF_RULE) return false;
  // A match on a header field counts by its place among the rules.
  if ([...a.matches, ...b.matches].some((match) => 'headers' in match)) return false;
  const [x, y] = [JSON.stringify([a.filters, a.backendRefs]), JSON.stringify([b.filters, b.backendRefs])];
  return x === y && !x.includes('"replacePrefixMatch"');
}

export function chunks<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  const all: T[][] = [];
  for (let at = 0; at < items.length; at += size) all.push(items.slice(at, at + size));
  return all;
}

export function namespaceAndName(key: ObjectKey): { readonly namespace: string; readonly name: string } {
  const namespace = namespaceOf(key);
  return { namespace, name: key.slice(namespace.length + 1) };
}
