import type { Compilation } from '../routing/compile/compile.ts';
import type { ObjectKey } from '../model/objects.ts';
import { get } from '../model/sharded-map.ts';
import { type Address, addressText, sortAddresses, statusAddresses } from './addresses.ts';
import type { Clock } from '../kubernetes/clock.ts';
import type { LogOnce } from './log-once.ts';
import { type NodeWatchOptions, watchNodes } from './node-watch.ts';
import type { DesiredStatus } from './ingress-status.ts';

/** Where the addresses come from that are published. */
export type AddressesFrom =
  | { readonly kind: 'fixed'; readonly addresses: readonly Address[] }
  /** The load-balancer status of this Service. */
  | { readonly kind: 'service'; readonly service: ObjectKey }
  /** The nodes whose Portico Pod is ready. */
  | { readonly kind: 'nodes'; readonly namespace: string; readonly podName: string };

/** The addresses that every status should have. */
export interface StatusAddresses {
  /** Call it with every new compilation: a Service may have got an address. */
  advance(compilation: Compilation): void;
}

/** How long an address stays published when its node's Portico is not ready. */
export const NODE_LINGERS_MS = 60_000;

export type StatusAddressesOptions = Omit<NodeWatchOptions, 'namespace' | 'podName' | 'onAddresses'> & {
  readonly from: AddressesFrom;
  /** Called when the addresses change, or when the time of a lingering address may be over. */
  readonly onChange: (desired: DesiredStatus) => void;
};

export function followStatusAddresses(options: StatusAddressesOptions): StatusAddresses {
  const { from, clock, logOnce, onChange } = options;
  switch (from.kind) {
    case 'fixed':
      onChange({ addresses: sortAddresses(from.addresses), lingers: () => false });
      return { advance: () => {} };
    case 'service':
      return followService(from.service, logOnce, onChange);
    case 'nodes':
      followNodes(from, options, clock);
      return { advance: () => {} };
  }
}

function followService(
  service: ObjectKey,
  logOnce: LogOnce,
  onChange: (desired: DesiredStatus) => void,
): StatusAddresses {
  let last: string | null = null;
  return {
    advance({ snapshot }) {
      const topic = `--publish-service ${service}`;
      const object = get(snapshot.services, service);
      if (object === undefined) {
        logOnce.warnOnce(
          topic,
          `${topic}: there is no such Service in the watched namespaces; no status is written until it exists`,
        );
        return;
      }
      const addresses = sortAddresses(statusAddresses(object).filter((address) => address !== null));
      const texts = addresses.map(addressText).join();
      if (texts === last) return;
      if (texts === '') {
        logOnce.warnOnce(
          topic,
          `${topic}: the Service has no load-balancer address, so the Ingresses get none either; ` +
            'wait for it, or check that the cluster has load balancers',
        );
      } else logOnce.resolve(topic);
      last = texts;
      onChange({ addresses, lingers: () => false });
    },
  };
}

function followNodes(
  from: AddressesFrom & { readonly kind: 'nodes' },
  { onChange, ...options }: StatusAddressesOptions,
  clock: Clock,
): void {
  const startedMs = clock.monotonicMs();
  const readyMs = new Map<string, number>();
  watchNodes({
    ...options,
    namespace: from.namespace,
    podName: from.podName,
    onAddresses(found) {
      const addresses = sortAddresses(found);
      for (const address of addresses) readyMs.set(addressText(address), clock.monotonicMs());
      // What our predecessor published is given as much time, counted from the beginning of our own term.
      const lingers = (address: Address): boolean =>
        clock.monotonicMs() - (readyMs.get(addressText(address)) ?? startedMs) < NODE_LINGERS_MS;
      onChange({ addresses, lingers });
    },
  });
}
