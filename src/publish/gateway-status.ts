import { isDeepStrictEqual } from 'node:util';
import { type UntypedObject, asArray, asObject } from '../model/untyped.ts';
import { type Condition, OUR_CONDITIONS } from '../routing/gateway/conditions.ts';

/** A condition as it is written (metav1.Condition). */
interface WrittenCondition extends Condition {
  readonly observedGeneration: number;
  readonly lastTransitionTime: string;
}

/** Whose status is written, and when. */
export interface StatusContext {
  /** The generation that the conditions are about. */
  readonly generation: number;
  /** RFC 3339, whole seconds. */
  readonly now: string;
}

/**
 * The conditions as they should be: those of others as they are, ours with the time at which their status last changed. Ours
 * that are no longer wanted are gone.
 */
export function mergeConditions(
  present: unknown,
  wanted: readonly Condition[],
  { generation, now }: StatusContext,
): readonly unknown[] {
  const before = asArray(present).map(asObject);
  const ours = wanted.map((condition): WrittenCondition => {
    const last = before.find(({ type }) => type === condition.type);
    const since = last?.['status'] === condition.status ? last['lastTransitionTime'] : undefined;
    return {
      ...condition,
      message: condition.message.slice(0, MAX_MESSAGE),
      observedGeneration: generation,
      lastTransitionTime: typeof since === 'string' ? since : now,
    };
  });
  const isOurs = ({ type }: UntypedObject): boolean => OUR_CONDITIONS.has(String(type));
  return inPlace(before, isOurs, ours, (last, { type }) => last['type'] === type);
}

/**
 * What is there with ours in their places: a controller that puts its own last, as many do, would else be answered by another
 * order for ever.
 */
function inPlace<T extends object>(
  before: readonly UntypedObject[],
  isOurs: (entry: UntypedObject) => boolean,
  wanted: readonly T[],
  isSame: (entry: UntypedObject, wanted: T) => boolean,
): readonly unknown[] {
  const left = new Set(wanted);
  const kept = before.flatMap((entry): readonly unknown[] => {
    if (!isOurs(entry)) return [entry];
    const next = [...left].find((each) => isSame(entry, each));
    if (next === undefined) return [];
    left.delete(next);
    return [next];
  });
  return [...kept, ...left];
}

const MAX_MESSAGE = 32_768;

/** One entry of `status.parents` or `status.ancestors`: whom it is about, and its conditions. */
export interface WantedEntry {
  readonly ref: unknown;
  readonly conditions: readonly Condition[];
}

/** As the API allows: beyond it the whole status would be refused. */
const MAX_ENTRIES = { parentRef: 32, ancestorRef: 16 } as const;

/** The entries as they should be: those of other controllers as they are, ours one for each reference. */
export function mergeEntries(
  present: unknown,
  refField: 'parentRef' | 'ancestorRef',
  wanted: readonly WantedEntry[],
  controllerName: string,
  context: StatusContext,
): readonly unknown[] {
  const before = asArray(present).map(asObject);
  const isOurs = (entry: UntypedObject): boolean => entry['controllerName'] === controllerName;
  const ours = before.filter(isOurs);
  const merged = wanted.map(({ ref, conditions }) => {
    const last = ours.find((entry) => isDeepStrictEqual(entry[refField], ref));
    return {
      [refField]: ref,
      controllerName,
      conditions: mergeConditions(last?.['conditions'], conditions, context),
    };
  });
  const placed = inPlace(before, isOurs, merged, (last, next) =>
    isDeepStrictEqual(last[refField], next[refField]),
  );
  return placed.slice(0, MAX_ENTRIES[refField]);
}

/** Whether two statuses say the same: an empty list says what none says, and the order of fields makes no difference. */
export function isSameStatus(present: unknown, wanted: UntypedObject): boolean {
  const before = asObject(present);
  return Object.entries(wanted).every(([field, value]) =>
    isDeepStrictEqual(before[field] ?? EMPTY, value ?? EMPTY),
  );
}

const EMPTY: readonly unknown[] = [];
