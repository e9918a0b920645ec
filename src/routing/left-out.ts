import { entries } from '../model/sharded-map.ts';
import { plural } from '../model/plural.ts';
import type { ObjectKey } from '../model/objects.ts';
import type { Compilation } from './compile/compilation.ts';

/** Ingresses that are not served because they are not ours. */
export interface LeftOut {
  /** The class that they name; empty for none. */
  readonly className: string;
  /** Sorted. */
  readonly ingresses: readonly ObjectKey[];
}

/** Classes that one line names. */
const MAX_CLASSES = 5;

/** The Ingresses that are left out, by class, most first. Takes time in proportion to their number. */
export function leftOut({ foreign }: Pick<Compilation, 'foreign'>): readonly LeftOut[] {
  const byClass = new Map<string, ObjectKey[]>();
  for (const [ingress, className] of entries(foreign)) {
    const ingresses = byClass.get(className);
    if (ingresses) ingresses.push(ingress);
    else byClass.set(className, [ingress]);
  }
  return [...byClass]
    .map(([className, ingresses]) => ({ className, ingresses: ingresses.sort() }))
    .sort((a, b) => b.ingresses.length - a.ingresses.length || (a.className < b.className ? -1 : 1));
}

/** `298 Ingresses of class "nginx", 2 Ingresses without a class`; null when none is left out. */
export function describeLeftOut(groups: readonly LeftOut[]): string | null {
  if (groups.length === 0) return null;
  const named = groups
    .slice(0, MAX_CLASSES)
    .map(
      ({ className, ingresses }) =>
        `${plural(ingresses.length, 'Ingress', 'Ingresses')} ${ofClass(className)}`,
    );
  const others = groups.slice(MAX_CLASSES).reduce((sum, { ingresses }) => sum + ingresses.length, 0);
  return [...named, ...(others > 0 ? [`${others} of other classes`] : [])].join(', ');
}

/** `of class "nginx"`, `without a class` */
export function ofClass(className: string): string {
  return className === '' ? 'without a class' : `of class ${JSON.stringify(className)}`;
}
