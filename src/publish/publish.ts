import type { Compilation } from '../routing/compile/compile.ts';
import type { ApiCall, Say } from '../kubernetes/api-request.ts';
import type { Clock } from '../kubernetes/clock.ts';
import { createComplaints } from './log-once.ts';
import { type EventDesk, openEventDesk } from './event-recorder.ts';
import type { LeaseTimes } from './lease.ts';
import { type Elector, startElector } from './leader.ts';
import { trackServed } from './owned-ingresses.ts';
import { type StatusDesk, openStatusDesk } from './status-updater.ts';
import type { Term } from './leadership.ts';
import { type AddressesFrom, type WantedAddresses, followAddresses } from './status-addresses.ts';

export interface PublishOptions {
  readonly call: ApiCall;
  readonly clock: Clock;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly say: Say;
  /** Of this process and no other, ever. */
  readonly identity: string;
  /** Where the Lease is. */
  readonly namespace: string;
  /** Also the field manager of what is written. */
  readonly leaseName: string;
  readonly times: LeaseTimes;
  /** `reportingController` of Events. */
  readonly controllerName: string;
  /** Null when no status is to be written. */
  readonly addresses: AddressesFrom | null;
  readonly events: boolean;
  /** The latest compilation; null until there is one. */
  readonly compilation: () => Compilation | null;
}

export interface Publisher {
  leading(): boolean;
  /** Stops writing and gives the Lease back. */
  stop(): Promise<void>;
}

/** How often the latest compilation is looked at: what is published is for people, and people read slowly. */
const LOOK_EVERY_MS = 500;

/** Two installations with different classes have different Leases. */
export function leaseNameOf(ingressClass: string): string {
  return `portico-${ingressClass}`;
}

/** Stands for election, and as the leader keeps statuses and Events as the latest compilation wants them. */
export function startPublishing(options: PublishOptions): Publisher {
  const { clock, random, say, compilation, addresses, controllerName, identity } = options;
  const complaints = createComplaints(say);
  const served = trackServed();
  let last: Compilation | null = null;
  let status: StatusDesk | null = null;
  let wanted: WantedAddresses | null = null;
  let events: EventDesk | null = null;

  const onLead = (term: Term): void => {
    if (addresses) {
      const desk = openStatusDesk({
        term,
        clock,
        random,
        complaints,
        served,
        compilation: () => last,
        fieldManager: options.leaseName,
      });
      status = desk;
      const onWanted = desk.want;
      wanted = followAddresses({ from: addresses, term, clock, random, complaints, onWanted });
    }
    if (options.events) {
      const reporter = { controller: controllerName, instance: identity };
      events = openEventDesk({ term, clock, random, complaints, reporter });
    }
    if (last) tell(last, []);
    term.signal.addEventListener('abort', () => {
      status = null;
      wanted = null;
      events = null;
    });
  };

  const tell = (latest: Compilation, touched: Iterable<string>): void => {
    wanted?.advance(latest);
    status?.look(touched);
    events?.advance(latest);
  };

  const look = (): void => {
    const latest = compilation();
    if (latest && latest !== last) {
      const touched = served.advance(latest);
      last = latest;
      tell(latest, touched);
    }
    cancel = clock.setTimeout(look, LOOK_EVERY_MS);
  };
  let cancel: () => void = () => {};
  look();
  const elector: Elector = startElector({ ...options, onLead });

  return {
    leading: elector.leading,
    async stop() {
      cancel();
      await elector.stop();
    },
  };
}
