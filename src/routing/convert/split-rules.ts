import { isDeepStrictEqual } from 'node:util';
import { namespaceOf } from '../../model/objects.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import type { UntypedObject } from '../../model/untyped.ts';
import type { PolicySet } from '../../policies/policy-set.ts';
import type { PolicyConfigs } from '../../policies/registry.ts';
import type { CanaryBackend, Route, WeightedBackend } from '../table.ts';
import { type BackendReading, backendRef, readBackend, smallestWeights } from './convert-backends.ts';
import { type ConversionNote, addNotes, note } from './conversion.ts';

/** A rule of an HTTPRoute or a GRPCRoute. */
export interface ConvertedRule {
  readonly matches: readonly UntypedObject[];
  readonly filters?: readonly UntypedObject[];
  /** Absent where nobody gets in, and where the filters answer. */
  readonly backendRefs?: readonly UntypedObject[];
}

interface SplitRules {
  readonly rules: readonly ConvertedRule[];
  readonly notes: readonly ConversionNote[];
  readonly readings: readonly BackendReading[];
}

/** The rules of a route: one, or with a canary one for each thing that decides, and one for the rest. */
export function splitRules(
  route: Route,
  matches: readonly UntypedObject[],
  filters: Pick<ConvertedRule, 'filters'>,
  snapshot: Snapshot,
): SplitRules {
  const notes: ConversionNote[] = [];
  const all: readonly WeightedBackend[] = route.backends ?? [{ key: route.backend, weight: 1, canary: null }];
  const namespace = namespaceOf(route.ingress);
  const readings = all.map(({ key }) => readBackend(key, snapshot));
  const refs = (chosen: readonly number[], weights: readonly number[] | null): ConvertedRule['backendRefs'] =>
    chosen.flatMap((index) => {
      const reading = readings[index];
      return reading?.kind === 'port' ? [backendRef(reading, namespace, weights?.[index] ?? null)] : [];
    });
  for (const reading of readings) {
    if (reading.kind === 'port') addNotes(notes, reading.notes);
    else notes.push(note('lost', `${reading.why}; requests get 500.`));
  }
  const rule = (extra: UntypedObject, backendRefs: ConvertedRule['backendRefs']): ConvertedRule => ({
    matches: matches.map((match) => ({ ...match, ...extra })),
    ...filters,
    ...(backendRefs && backendRefs.length > 0 && { backendRefs }),
  });
  if (all.length === 1) return { rules: [rule({}, refs([0], null))], notes, readings };
  const everyone = all.map((_, index) => index);
  const rules: ConvertedRule[] = [];
  for (const [index, { canary }] of all.entries()) {
    if (canary === null) continue;
    for (const { match, takes } of conditionsOf(canary, notes)) {
      const chosen = takes ? [index] : everyone.filter((each) => each !== index);
      rules.push(rule({ headers: [match] }, refs(chosen, null)));
    }
    if (!isDeepStrictEqual(withoutCanary(canary.route.policies), withoutCanary(route.policies)))
      notes.push(
        note(
          'lost',
          `What Ingress ${canary.ingress} says of its own Pods: requests to them are handled as those to the others.`,
        ),
      );
  }
  rules.push(rule({}, refs(everyone, smallestWeights(all))));
  const [first] = all.flatMap(({ canary }) => canary ?? []);
  if (first)
    notes.push(
      note(
        'differs',
        `While the Service of the canary ${first.ingress} has no endpoint, its share gets 503.`,
      ),
    );
  return { rules, notes, readings };
}

function withoutCanary(policies: PolicySet | null): PolicyConfigs {
  const { canary: _, 'path-regex': __, ...configs } = policies?.configs ?? {};
  return configs;
}

interface Condition {
  readonly match: UntypedObject;
  /** Whether requests that match go to the canary; the others do otherwise. */
  readonly takes: boolean;
}

/** In the order in which they decide. */
function conditionsOf(
  { conditions: { header, cookie } }: CanaryBackend,
  notes: ConversionNote[],
): readonly Condition[] {
  const conditions: Condition[] = [];
  if (header !== null) {
    const { name, takes } = header;
    switch (takes.kind) {
      case 'always':
        conditions.push({ match: { name, value: 'always' }, takes: true });
        conditions.push({ match: { name, value: 'never' }, takes: false });
        break;
      case 'value':
        conditions.push({ match: { name, value: takes.value }, takes: true });
        break;
      case 'pattern': {
        const value = `.*(?:${takes.pattern}).*`;
        conditions.push({ match: { type: 'RegularExpression', name, value }, takes: true });
        break;
      }
      default:
        takes satisfies never;
    }
  }
  if (cookie !== null) {
    const escaped = cookie.replaceAll(/[^\w-]/g, '\\$&');
    for (const [value, isTaken] of [
      ['always', true],
      ['never', false],
    ] as const) {
      const pattern = `(?:.*;\\s*)?${escaped}=${value}(?:\\s*;.*)?`;
      conditions.push({
        match: { type: 'RegularExpression', name: 'Cookie', value: pattern },
        takes: isTaken,
      });
    }
    notes.push(note('differs', `The cookie ${cookie} is looked for by an expression in the Cookie field.`));
  }
  return conditions;
}
