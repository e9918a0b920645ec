import { asObject, asString } from '../../model/untyped.ts';
import { type ObjectReference, type Problem, problem, referenceTo } from '../../model/problem.ts';
import type { CompileSettings } from '../settings.ts';
import { type ShardedMap, entries } from '../../model/sharded-map.ts';

/** By which classes we go. */
export type ClassSettings = Pick<
  CompileSettings,
  'ingressClass' | 'controllerName' | 'watchIngressWithoutClass'
>;

/** What decides whether an Ingress is ours. */
export interface Classes {
  /** Names of the IngressClasses whose controller we are. */
  readonly ours: ReadonlySet<string>;
  /** Whether an IngressClass of the configured name exists, ours or not. */
  readonly exists: boolean;
  /** An Ingress without a class is ours too. */
  readonly takesClassless: boolean;
  readonly problems: readonly Problem[];
}

const DEFAULT_CLASS = 'ingressclass.kubernetes.io/is-default-class';
const CLASS_ANNOTATION = 'kubernetes.io/ingress.class';

export function readClasses(ingressClasses: ShardedMap<unknown>, settings: ClassSettings): Classes {
  const ours = new Set<string>();
  const problems: Problem[] = [];
  let exists = false;
  let takesClassless = settings.watchIngressWithoutClass;
  for (const [name, object] of [...entries(ingressClasses)].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (name === settings.ingressClass) exists = true;
    const spec = asObject(asObject(object)['spec']);
    if (spec['controller'] !== settings.controllerName) continue;
    ours.add(name);
    const annotations = asObject(asObject(asObject(object)['metadata'])['annotations']);
    if (annotations[DEFAULT_CLASS] === 'true') takesClassless = true;
    if (spec['parameters'] !== undefined && spec['parameters'] !== null) {
      const message = 'Portico supports no parameters, so these have no effect; remove them.';
      const object_ = referenceTo('IngressClass', name, object);
      problems.push(problem('warning', 'ParametersNotSupported', object_, 'spec.parameters', message));
    }
  }
  return { ours, exists, takesClassless, problems };
}

export type Ownership =
  | { readonly kind: 'ours'; readonly problems: readonly Problem[] }
  | { readonly kind: 'class-missing'; readonly problems: readonly Problem[] }
  /** Another controller's, by the class that it names; nobody's when that is empty. */
  | { readonly kind: 'foreign'; readonly className: string };

const OURS: Ownership = { kind: 'ours', problems: [] };

/** Whose an Ingress is: by `spec.ingressClassName`, else by the old annotation, else by the default class. */
export function ownership(
  ingress: unknown,
  object: ObjectReference,
  classes: Classes,
  settings: ClassSettings,
): Ownership {
  const className = asObject(asObject(ingress)['spec'])['ingressClassName'];
  const annotation = asString(
    asObject(asObject(asObject(ingress)['metadata'])['annotations'])[CLASS_ANNOTATION],
  );
  if (className !== undefined && className !== null) {
    if (typeof className !== 'string') return foreign('');
    if (classes.ours.has(className)) return annotation === undefined ? OURS : bothSet(object, className);
    return className === settings.ingressClass && !classes.exists
      ? classMissing(object, className)
      : foreign(className);
  }
  if (annotation !== undefined) return annotation === settings.ingressClass ? OURS : foreign(annotation);
  return classes.takesClassless ? OURS : foreign('');
}

function foreign(className: string): Ownership {
  return { kind: 'foreign', className };
}

function bothSet(object: ObjectReference, className: string): Ownership {
  const message = `spec.ingressClassName "${className}" decides and this annotation is ignored; remove it.`;
  const field = `metadata.annotations[${CLASS_ANNOTATION}]`;
  return { kind: 'ours', problems: [problem('warning', 'ClassAnnotationIgnored', object, field, message)] };
}

function classMissing(object: ObjectReference, className: string): Ownership {
  const message =
    `There is no IngressClass "${className}", so this Ingress is not served; ` +
    'create it as deploy/ingressclass.yaml does.';
  const field = 'spec.ingressClassName';
  return {
    kind: 'class-missing',
    problems: [problem('error', 'IngressClassNotFound', object, field, message)],
  };
}
