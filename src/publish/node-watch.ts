import { type Address, nodeAddresses } from './addresses.ts';
import { apiPath, responseText } from '../kubernetes/api-request.ts';
import { type Clock, sleep } from '../kubernetes/clock.ts';
import type { LogOnce } from './log-once.ts';
import type { Leadership } from './leadership.ts';
import { listOwnPods } from './own-pods.ts';

export interface NodeWatchOptions {
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logOnce: LogOnce;
  /** Where our own Pods are. */
  readonly namespace: string;
  /** Our own Pod, by which its siblings are known. */
  readonly podName: string;
  /** Called after every check with the addresses of the nodes whose Portico Pod is ready. Never an empty list. */
  readonly onAddresses: (addresses: readonly Address[]) => void;
}

const CHECK_EVERY_MS = 10_000;
/** So that thousands of Pods are not listed every ten seconds: a Pod is a few kilobytes. */
const MORE_PER_POD_MS = 20;
const FORBIDDEN_RETRY_MS = 300_000;
/** A Node hardly ever gets another address. */
const NODE_TRUSTED_MS = 600_000;

class Refused extends Error {}

/**
 * Lists our Pods every ten seconds and reads each Node of theirs once in a while. A list now and then by one
 * leader needs fewer rights than a watch would ("list" on pods in our own namespace, "get" on nodes) and no state.
 */
export function watchNodes(options: NodeWatchOptions): void {
  const { leadership, clock, random, logOnce, namespace, podName, onAddresses } = options;
  const nodes = new Map<string, { readonly addresses: readonly Address[]; readonly untilMs: number }>();

  const get = async (path: string): Promise<unknown> => {
    const response = await leadership.call({ method: 'GET', path, signal: leadership.signal });
    if (response.status === 404) return null;
    if (response.status === 403) throw new Refused(responseText(response));
    if (response.status !== 200) throw new Error(responseText(response));
    return response.body;
  };

  const addressesOf = async (node: string): Promise<readonly Address[]> => {
    const known = nodes.get(node);
    if (known && known.untilMs > clock.monotonicMs()) return known.addresses;
    const addresses = nodeAddresses(await get(apiPath('', 'nodes', undefined, node)));
    nodes.set(node, { addresses, untilMs: clock.monotonicMs() + NODE_TRUSTED_MS * (0.5 + random() / 2) });
    return addresses;
  };

  /** Returns how long to wait before the next check. */
  const check = async (): Promise<number> => {
    const siblings = await listOwnPods(get, namespace, podName);
    const addresses: Address[] = [];
    const serving = new Set<string>();
    for (const { node, ready } of siblings) {
      if (!ready || node === '' || serving.has(node)) continue;
      serving.add(node);
      addresses.push(...(await addressesOf(node)));
    }
    for (const node of nodes.keys()) if (!serving.has(node)) nodes.delete(node);
    // When no Pod is ready, an empty status would help nobody.
    if (addresses.length > 0) onAddresses(addresses);
    return Math.max(CHECK_EVERY_MS, siblings.length * MORE_PER_POD_MS);
  };

  const loop = async (): Promise<void> => {
    while (!leadership.signal.aborted) {
      let delayMs = CHECK_EVERY_MS;
      try {
        delayMs = await check();
        logOnce.resolve(TOPIC);
      } catch (error) {
        if (leadership.signal.aborted) return;
        const why = (error as Error).message;
        if (error instanceof Refused) {
          const rights = `the verbs "list" on resource "pods" in namespace "${namespace}" and "get" on resource "nodes"`;
          const advice = `grant them or give --publish-address`;
          logOnce.warnOnce(
            TOPIC,
            `${TOPIC} cannot be found without ${rights}: ${advice}; serving continues. (${why})`,
          );
          delayMs = FORBIDDEN_RETRY_MS;
        } else
          logOnce.warnOnce(TOPIC, `${TOPIC} cannot be found: ${why}; the last addresses stay in the status`);
      }
      await sleep(clock, delayMs * (1 + random() / 5), leadership.signal);
    }
  };
  void loop();
}

const TOPIC = 'the addresses of our nodes';
