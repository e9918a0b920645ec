import { asArray, asObject, asString } from '../model/untyped.ts';
import { apiPath } from '../kubernetes/api-request.ts';

/** A Pod of Portico. */
export interface OwnPod {
  readonly name: string;
  readonly node: string;
  readonly address: string;
  readonly ready: boolean;
  /** The uid of the DaemonSet that made it; empty for none. */
  readonly daemonSet: string;
}

/** `app.kubernetes.io/name` of our Pods, as deploy/ has it. */
const POD_LABEL = 'app.kubernetes.io/name=portico';
const PODS_PER_PAGE = '250';

/** The Pods of our installation; `get` gives the body of a response. */
export async function listOwnPods(
  get: (path: string) => Promise<unknown>,
  namespace: string,
  podName: string,
): Promise<readonly OwnPod[]> {
  const pods: OwnPod[] = [];
  let next = '';
  do {
    const query = new URLSearchParams({ labelSelector: POD_LABEL, limit: PODS_PER_PAGE });
    if (next !== '') query.set('continue', next);
    const page = await get(`${apiPath('', 'pods', namespace)}?${query}`);
    pods.push(...asArray(asObject(page)['items']).map(readPod));
    next = asString(asObject(asObject(page)['metadata'])['continue']) ?? '';
  } while (next !== '');
  const own = pods.find(({ name }) => name === podName);
  // Another installation in the same namespace has the same label and another DaemonSet.
  return pods.filter(({ daemonSet }) => !own || daemonSet === own.daemonSet);
}

function readPod(pod: unknown): OwnPod {
  const { metadata: written, spec, status } = asObject(pod);
  const metadata = asObject(written);
  const conditions = asArray(asObject(status)['conditions']).map(asObject);
  const owner = asArray(metadata['ownerReferences'])
    .map(asObject)
    .find(({ kind, controller }) => kind === 'DaemonSet' && controller === true);
  const leaving = typeof metadata['deletionTimestamp'] === 'string';
  return {
    name: asString(metadata['name']) ?? '',
    node: asString(asObject(spec)['nodeName']) ?? '',
    address: asString(asObject(status)['podIP']) ?? '',
    ready: !leaving && conditions.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
    daemonSet: asString(owner?.['uid']) ?? '',
  };
}
