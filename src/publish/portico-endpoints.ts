import { responseText } from '../kubernetes/api-request.ts';
import { type Clock, sleep } from '../kubernetes/clock.ts';
import type { PorticoEndpoint } from './gateway-service.ts';
import type { Leadership } from './leadership.ts';
import type { LogOnce } from './log-once.ts';
import { listOwnPods } from './own-pods.ts';

/** Where the Services of Gateways send requests. */
export type EndpointsFrom =
  | { readonly kind: 'fixed'; readonly endpoints: readonly PorticoEndpoint[] }
  /** The Pods of Portico that are ready. */
  | { readonly kind: 'pods'; readonly namespace: string; readonly podName: string };

export interface PorticoEndpointsOptions {
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logOnce: LogOnce;
  readonly from: EndpointsFrom;
  /** Called when they change. Never with an empty list. */
  readonly onChange: (endpoints: readonly PorticoEndpoint[]) => void;
}

/** A Pod that leaves gets connections for as long as it is not noticed. */
const CHECK_EVERY_MS = 3_000;
const MORE_PER_POD_MS = 20;
const FAILED_RETRY_MS = 30_000;
const TOPIC = 'the Pods of Portico';

/** Follows them for as long as this process is the leader. */
export function followPorticoEndpoints(options: PorticoEndpointsOptions): void {
  const { from, onChange } = options;
  if (from.kind === 'fixed') onChange(from.endpoints);
  else void followPods(from, options);
}

async function followPods(
  { namespace, podName }: EndpointsFrom & { readonly kind: 'pods' },
  { leadership, clock, random, logOnce, onChange }: PorticoEndpointsOptions,
): Promise<void> {
  const get = async (path: string): Promise<unknown> => {
    const response = await leadership.call({ method: 'GET', path, signal: leadership.signal });
    if (response.status !== 200) throw new Error(responseText(response));
    return response.body;
  };
  let last = '';
  while (!leadership.signal.aborted) {
    let delayMs = CHECK_EVERY_MS;
    try {
      const pods = await listOwnPods(get, namespace, podName);
      const ready = pods.filter((pod) => pod.ready && pod.address !== '');
      const endpoints = ready.map(({ address, node }) => ({ address, node }));
      const text = JSON.stringify(endpoints);
      // When no Pod is ready, a Service without endpoints would help nobody.
      if (endpoints.length > 0 && text !== last) onChange(endpoints);
      if (endpoints.length > 0) last = text;
      delayMs = Math.max(CHECK_EVERY_MS, pods.length * MORE_PER_POD_MS);
      logOnce.resolve(TOPIC);
    } catch (error) {
      if (leadership.signal.aborted) return;
      logOnce.warnOnce(
        TOPIC,
        `${TOPIC} cannot be listed, so the Services of Gateways keep their endpoints: ${(error as Error).message} ` +
          `(the verb "list" on resource "pods" in namespace "${namespace}" is needed)`,
      );
      delayMs = FAILED_RETRY_MS;
    }
    await sleep(clock, delayMs * (1 + random() / 5), leadership.signal);
  }
}
