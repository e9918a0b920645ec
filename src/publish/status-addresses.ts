import type { Compilation } from '../routing/compile/compile.ts';
import type { ObjectKey } from '../model/objects.ts';
import { get } from '../model/sharded-map.ts';
import { type Address, addressText, settleAddresses, statusAddresses } from './addresses.ts';
import type { Clock } from '../kubernetes/clock.ts';
import type { Complaints } from './log-once.ts';
import { type NodeWatchOptions, watchNodes } from './node-watch.ts';
import type { Wanted } from './status.ts';

/** Where the addresses come from that are published. */
export type AddressesFrom =
  | { readonly kind: 'fixed'; readonly addresses: readonly Address[] }
  /** The load-balancer status of this Service. */
  | { readonly kind: 'service'; readonly service: ObjectKey }
  /** The nodes whose Portico Pod is ready. */
  | { readonly kind: 'nodes'; readonly namespace: string; readonly podName: string };

/** What should be published, for one term. */
export interface WantedAddresses {
  /** To be called when there is another compilation: a Service may have got an address. */
  advance(compilation: Compilation): void;
}

/** How long an address stays published when its node's Portico is not ready. */
export const NODE_LINGERS_MS = 60_000;

export type WantedOptions = Omit<NodeWatchOptions, 'namespace' | 'podName' | 'onAddresses'> & {
  readonly from: AddressesFrom;
  /** Called when something else is wanted, or when what lingered may have to go. */
  readonly onWanted: (wanted: Wanted) => void;
};

export function followAddresses(options: WantedOptions): WantedAddresses {
  const { from, clock, complaints, onWanted } = options;
  switch (from.kind) {
    case 'fixed':
      onWanted({ addresses: settleAddresses(from.addresses), lingers: () => false });
      return { advance: () => {} };
    case 'service':
      return followService(from.service, complaints, onWanted);
    case 'nodes':
      followNodes(from, options, clock);
      return { advance: () => {} };
  }
}

function followService(
  service: ObjectKey,
  complaints: Complaints,
  onWanted: (wanted: Wanted) => void,
): WantedAddresses {
  let last: string | null = null;
  return {
    advance({ snapshot }) {
      const topic = `--publish-service ${service}`;
      const object = get(snapshot.services, service);
      if (object === undefined) {
        complaints.raise(
          topic,
          `${topic}: there is no such Service in the namespaces that are watched; no status is written until there is`,
        );
        return;
      }
      const addresses = settleAddresses(statusAddresses(object).filter((address) => address !== null));
      const texts = addresses.map(addressText).join();
      if (texts === last) return;
      if (texts === '') {
        complaints.raise(
          topic,
          `${topic}: the Service has no load-balancer address, so the Ingresses get none either; ` +
            'wait for it, or check that the cluster has load balancers',
        );
      } else complaints.settle(topic);
      last = texts;
      onWanted({ addresses, lingers: () => false });
    },
  };
}

function followNodes(
  from: AddressesFrom & { readonly kind: 'nodes' },
  { onWanted, ...options }: WantedOptions,
  clock: Clock,
): void {
  const startedMs = clock.monotonicMs();
  const readyMs = new Map<string, number>();
  watchNodes({
    ...options,
    namespace: from.namespace,
    podName: from.podName,
    onAddresses(found) {
      const addresses = settleAddresses(found);
      for (const address of addresses) readyMs.set(addressText(address), clock.monotonicMs());
      // What our predecessor published is given as much time, counted from the beginning of our own term.
      const lingers = (address: Address): boolean =>
        clock.monotonicMs() - (readyMs.get(addressText(address)) ?? startedMs) < NODE_LINGERS_MS;
      onWanted({ addresses, lingers });
    },
  });
}
