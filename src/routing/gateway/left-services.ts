import { type ObjectKey, namespaceOf } from '../../model/objects.ts';
import { type Problem, problem, referenceTo } from '../../model/problem.ts';
import { type ShardedMap, difference, edit, get } from '../../model/sharded-map.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import { asArray, asObject, asString } from '../../model/untyped.ts';
import type { Compilation } from '../compile/compilation.ts';
import { CLASS_LABEL, INFRASTRUCTURE, NAME_LABEL } from './service-labels.ts';

/** The Gateways that own Services which Portico made, by the keys of these. */
export function gatewayServices(
  last: ShardedMap<ObjectKey>,
  before: Snapshot['services'],
  after: Snapshot['services'],
): ShardedMap<ObjectKey> {
  const made = edit(last);
  for (const [key, service] of difference(before, after)) {
    const gateway = service === undefined ? null : gatewayOf(key, service);
    if (gateway === null) made.delete(key);
    else made.set(key, gateway);
  }
  return made.done();
}

/**
 * That a Gateway does not need a Service any more which was made for it, as it has another class now or Gateways have no
 * Services: the Gateway owns it, and Portico may delete nothing. What was made for a class of others is theirs.
 */
export function leftServiceProblems(
  key: ObjectKey,
  {
    gatewayServices: made,
    snapshot,
    settings,
    gateways,
  }: Pick<Compilation, 'gatewayServices' | 'snapshot' | 'settings' | 'gateways'>,
): readonly Problem[] {
  const gateway = get(made, key);
  const service = get(snapshot.services, key);
  // One that is gone takes its Service along.
  if (gateway === undefined || service === undefined || !get(snapshot.gateways, gateway)) return [];
  const labels = asObject(asObject(asObject(service)['metadata'])['labels']);
  const className = asString(labels[CLASS_LABEL]) ?? '';
  if (gateways.classes.get(className)?.rejected !== null) return [];
  if (settings.gatewayServicePorts && get(gateways.gateways, gateway)?.className === className) return [];
  const selector = `${NAME_LABEL}=${asString(labels[NAME_LABEL]) ?? ''},${CLASS_LABEL}=${className}`;
  const message = `It was made for Gateway ${gateway}, which does not need it any more; delete it: kubectl --namespace ${namespaceOf(key)} delete services,endpointslices --selector ${selector}`;
  return [problem('warning', 'GatewayServiceLeft', referenceTo('Service', key, service), '', message)];
}

function gatewayOf(key: ObjectKey, service: unknown): ObjectKey | null {
  const { annotations, ownerReferences } = asObject(asObject(service)['metadata']);
  if (asObject(annotations)[INFRASTRUCTURE] === undefined) return null;
  const owner = asArray(ownerReferences)
    .map(asObject)
    .find(({ kind, controller }) => kind === 'Gateway' && controller === true);
  const name = asString(owner?.['name']);
  return name === null || name === undefined ? null : `${namespaceOf(key)}/${name}`;
}
