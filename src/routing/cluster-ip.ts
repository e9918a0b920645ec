import type { BackendKey } from './table.ts';

/** Ends the key of a backend that is reached by the ClusterIP of its Service, after `@`. */
export const CLUSTER_IP = 'cluster-ip';

/** The same port of the same Service, to be reached by its ClusterIP. */
export function byClusterIp(key: BackendKey): BackendKey {
  return key.includes(':') ? `${key}@${CLUSTER_IP}` : key;
}
