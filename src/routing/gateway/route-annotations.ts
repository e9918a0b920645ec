import type { ObjectReader } from '../../model/object-reader.ts';
import { type ObjectReference, type Problem, problem } from '../../model/problem.ts';
import { asObject } from '../../model/untyped.ts';
import { PORTICO } from '../../policies/annotation-spec.ts';
import { type GlobalDefaults, NO_DEFAULTS } from '../../policies/global-defaults.ts';
import type { PolicyModule } from '../../policies/policy.ts';
import { type PolicySet, policySet } from '../../policies/policy-set.ts';
import type { PolicyName } from '../../policies/registry.ts';
import { isRestrictingPolicy } from '../host-passthrough.ts';
import { ANNOTATIONS, policiesReading, readAnnotations } from '../ingress/annotations.ts';
import type { RouteKind } from '../table.ts';

/** What the annotations of a route ask for, for all of its rules. */
export interface RouteAnnotations {
  /** Null when they ask for nothing. */
  readonly policies: PolicySet | null;
  readonly problems: readonly Problem[];
}

/**
 * Reads those of Portico; what ingress-nginx reads is meant for Ingresses. What a route of this kind cannot have is left out
 * and told, and closes the route where it says who may use it.
 */
export function readRouteAnnotations(
  kind: RouteKind,
  route: unknown,
  object: ObjectReference,
  objects: ObjectReader,
  defaults: GlobalDefaults = NO_DEFAULTS,
): RouteAnnotations {
  const written = asObject(asObject(asObject(route)['metadata'])['annotations']);
  const names = Object.keys(written).filter((name) => name.startsWith(PORTICO));
  const isHttp = isHttpKind(kind);
  // Global options are about HTTP.
  const holding = isHttp ? defaults : NO_DEFAULTS;
  if (names.length === 0 && holding === NO_DEFAULTS) return { policies: null, problems: [] };
  const problems: Problem[] = [];
  const closed = new Set<PolicySet['closed'][number]>();
  const usable: Record<string, unknown> = {};
  for (const name of names) {
    const reading = policiesReading(name);
    const isKnown = reading.length > 0 || ANNOTATIONS.some((spec) => `${PORTICO}${spec.name}` === name);
    if (!isKnown || reading.some((policy) => isFor(kind, policy))) {
      usable[name] = written[name];
      continue;
    }
    const closing = reading.filter(({ whenInvalid }) => isHttp && whenInvalid === 'close');
    for (const policy of closing) closed.add(policy.name as PolicyName);
    const consequence =
      closing.length > 0 ? `, so every rule of this one answers 503 until it is removed` : ': remove it';
    const message = `This annotation has no effect on ${kind}s${consequence}.`;
    const field = `metadata.annotations[${name}]`;
    const severity = closing.length > 0 ? 'error' : 'warning';
    problems.push(problem(severity, 'AnnotationNotForRoute', object, field, message));
  }
  const read = readAnnotations({ metadata: { annotations: usable } }, object, objects, holding);
  const configs = read.policies?.configs ?? {};
  return {
    policies: policySet(configs, [...new Set([...(read.policies?.closed ?? []), ...closed])]),
    problems: [...problems, ...read.problems.map((each) => inTermsOf(kind, each))],
  };
}

function isHttpKind(kind: RouteKind): boolean {
  return kind === 'HTTPRoute' || kind === 'GRPCRoute';
}

function isFor(kind: RouteKind, policy: PolicyModule): boolean {
  if (isHttpKind(kind)) return policy.ofIngressesOnly !== true;
  // Nothing can keep to a restriction of a stream: the route is rejected for it.
  return isRestrictingPolicy(policy);
}

/** Policies speak of the Ingress that has their annotations. */
function inTermsOf(kind: RouteKind, { message, ...rest }: Problem): Problem {
  const said = message
    .replaceAll(
      'every path of this Ingress answers 503',
      isHttpKind(kind) ? `every rule of this ${kind} answers 503` : `this ${kind} is not served`,
    )
    .replaceAll('this Ingress', `this ${kind}`)
    .replaceAll('an Ingress may use', 'a route may use');
  return { ...rest, message: said };
}
