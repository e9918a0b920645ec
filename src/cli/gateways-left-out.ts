import { type Problem, problem, referenceTo } from '../model/problem.ts';
import { entries, get } from '../model/sharded-map.ts';
import { COLLECTIONS, type Snapshot } from '../model/snapshot.ts';
import { asObject, asString } from '../model/untyped.ts';
import type { Compilation } from '../routing/compile/compile.ts';
import { type ParentKey, ROUTE_KINDS } from '../routing/gateway/kinds.ts';
import { readParentRefs } from '../routing/gateway/parent-refs.ts';

/**
 * What nobody says in a status, because it is about objects that no controller has: Gateways of a class that is not
 * there, and routes of a parent that is not there. A Gateway whose class another controller has is left to that one.
 */
export function gatewaysLeftOut({ snapshot, settings }: Compilation): readonly Problem[] {
  if (!settings.gatewayController) return [];
  const problems: Problem[] = [];
  for (const [key, gateway] of entries(snapshot.gateways)) {
    const className = asString(asObject(asObject(gateway)['spec'])['gatewayClassName']) ?? '';
    if (get(snapshot.gatewayClasses, className) !== undefined) continue;
    const advice = `create one with controllerName: ${settings.gatewayController}, or correct the name`;
    const message = `There is no GatewayClass "${className}", so nobody serves this Gateway; ${advice}.`;
    const object = referenceTo('Gateway', key, gateway);
    problems.push(problem('warning', 'GatewayClassNotFound', object, 'spec.gatewayClassName', message));
  }
  for (const kind of ROUTE_KINDS) {
    for (const [key, route] of entries(snapshot[COLLECTIONS[kind]])) {
      const refs = asObject(asObject(route)['spec'])['parentRefs'];
      readParentRefs(refs, key.slice(0, key.indexOf('/'))).forEach(({ parent }, i) => {
        if (parent === null || isThere(snapshot, parent)) return;
        const message = `There is no ${parent}, so this route is attached to nothing there; create it, or correct the name.`;
        const object = referenceTo(kind, key, route);
        problems.push(problem('warning', 'ParentNotFound', object, `spec.parentRefs[${i}]`, message));
      });
    }
  }
  return problems;
}

function isThere({ gateways, listenerSets }: Snapshot, parent: ParentKey): boolean {
  const [kind, key = ''] = parent.split(' ');
  return get(kind === 'Gateway' ? gateways : listenerSets, key) !== undefined;
}
