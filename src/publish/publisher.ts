import type { Compilation } from '../routing/compile/compile.ts';
import type { ApiCall } from '../kubernetes/api-request.ts';
import type { Log } from '../kubernetes/log.ts';
import type { Clock } from '../kubernetes/clock.ts';
import { type LogOnce, createLogOnce } from './log-once.ts';
import { type EventRecorder, startEventRecorder } from './event-recorder.ts';
import type { LeaseTimes } from './lease.ts';
import { Elector } from './leader.ts';
import { OwnedIngresses } from './owned-ingresses.ts';
import type { PortFacts, ServingFacts } from '../routing/gateway/serving-facts.ts';
import { GatewayStatusUpdater } from './gateway-status-updater.ts';
import { GatewayServiceUpdater } from './gateway-service-updater.ts';
import {
  type EndpointsFrom,
  type PorticoEndpointsOptions,
  followPorticoEndpoints,
} from './portico-endpoints.ts';
import { StatusUpdater } from './status-updater.ts';
import type { Leadership } from './leadership.ts';
import type { DesiredStatus } from './ingress-status.ts';
import {
  type AddressesFrom,
  type StatusAddresses,
  type StatusAddressesOptions,
  followStatusAddresses,
} from './status-addresses.ts';
import type { ObjectKey } from '../model/objects.ts';

export interface PublishOptions {
  readonly call: ApiCall;
  readonly clock: Clock;
  /** From 0 to below 1. */
  readonly random: () => number;
  readonly log: Log;
  /** Unique to this process, for ever. */
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
  /** Where the Services of Gateways send requests; null where Gateways have no Services. */
  readonly endpoints: EndpointsFrom | null;
  /** The latest compilation; null until there is one. `changed` says that it may be another one. */
  readonly compilation: () => Compilation | null;
  /** What became of the ports of Gateways: another object after each change. Null where no data plane is asked. */
  readonly portFacts: () => PortFacts | null;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** The least time from one look at the latest compilation to the next: people read statuses and Events, and they read slowly. */
const CHECK_AFTER_MS = 500;

/** Installations with different classes have different Leases. */
export function leaseNameOf(ingressClass: string): string {
  return `portico-${ingressClass}`;
}

/** What writes to the cluster while this process is the leader. */
interface Writers {
  readonly status: {
    readonly updater: StatusUpdater;
    readonly gateways: GatewayStatusUpdater;
    readonly addresses: StatusAddresses;
  } | null;
  readonly events: EventRecorder | null;
  readonly services: GatewayServiceUpdater | null;
}

/** Takes part in the election; as the leader it keeps statuses and Events as the latest compilation wants them. */
export class Publisher {
  readonly #options: PublishOptions;
  readonly #logOnce: LogOnce;
  readonly #owned = new OwnedIngresses();
  readonly #elector: Elector;
  #latest: Compilation | null = null;
  #portFacts: PortFacts | null = null;
  #nodeAddresses: ServingFacts['nodeAddresses'] | null = null;
  #writers: Writers | null = null;
  /** Null while no look is due. */
  #cancelCheck: (() => void) | null = null;
  #checkedAtMs = -Infinity;
  #stopped = false;

  constructor(options: PublishOptions) {
    this.#options = options;
    this.#logOnce = createLogOnce(options.log);
    this.#check();
    this.#elector = new Elector({ ...options, onLead: (leadership) => this.#lead(leadership) });
  }

  leading(): boolean {
    return this.#elector.leading();
  }

  /** There may be another compilation, or other facts of ports: they are read now, or at most half a second later. */
  changed(): void {
    if (this.#cancelCheck || this.#stopped) return;
    const { clock } = this.#options;
    const sinceMs = clock.monotonicMs() - this.#checkedAtMs;
    this.#cancelCheck = clock.setTimeout(() => this.#check(), Math.max(0, CHECK_AFTER_MS - sinceMs));
  }

  /** Stops writing and gives the Lease back. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelCheck?.();
    await this.#elector.stop();
  }

  #lead(leadership: Leadership): void {
    const { addresses, events, endpoints, controllerName, identity, clock, random } = this.#options;
    const common = { leadership, clock, random, logOnce: this.#logOnce };
    const reporter = { controller: controllerName, instance: identity };
    this.#writers = {
      status: addresses && this.#startStatus(addresses, common),
      events: events ? startEventRecorder({ ...common, reporter }) : null,
      services: endpoints && this.#startServices(endpoints, common),
    };
    if (this.#latest) this.#publish(this.#latest, []);
    leadership.signal.addEventListener('abort', () => (this.#writers = null));
  }

  #startStatus(
    from: AddressesFrom,
    common: Omit<StatusAddressesOptions, 'from' | 'onChange'>,
  ): Writers['status'] {
    const compilation = (): Compilation | null => this.#latest;
    const { leaseName: fieldManager } = this.#options;
    const updater = new StatusUpdater({ ...common, owned: this.#owned, compilation, fieldManager });
    const { now } = this.#options;
    const gateways = new GatewayStatusUpdater({ ...common, compilation, now, fieldManager });
    const onChange = (desired: DesiredStatus): void => {
      updater.setDesired(desired);
      this.#nodeAddresses = desired.addresses.map((address) =>
        'ip' in address
          ? { type: 'IPAddress', value: address.ip }
          : { type: 'Hostname', value: address.hostname },
      );
      this.#setFacts(gateways);
    };
    return { updater, gateways, addresses: followStatusAddresses({ ...common, from, onChange }) };
  }

  #startServices(
    from: EndpointsFrom,
    common: Omit<PorticoEndpointsOptions, 'from' | 'onChange'>,
  ): GatewayServiceUpdater {
    const { leaseName: fieldManager } = this.#options;
    const services = new GatewayServiceUpdater({ ...common, compilation: () => this.#latest, fieldManager });
    followPorticoEndpoints({ ...common, from, onChange: (endpoints) => services.setEndpoints(endpoints) });
    return services;
  }

  #setFacts(gateways: GatewayStatusUpdater | undefined): void {
    if (this.#nodeAddresses === null) return;
    gateways?.setFacts({ nodeAddresses: this.#nodeAddresses, ports: this.#portFacts });
  }

  #publish(latest: Compilation, affected: Iterable<ObjectKey>): void {
    this.#writers?.status?.addresses.advance(latest);
    this.#writers?.status?.updater.enqueue(affected);
    this.#writers?.status?.gateways.advance(latest);
    this.#writers?.events?.advance(latest);
    this.#writers?.services?.advance(latest);
  }

  #check(): void {
    this.#cancelCheck = null;
    this.#checkedAtMs = this.#options.clock.monotonicMs();
    const latest = this.#options.compilation();
    const ports = this.#options.portFacts();
    if (ports !== this.#portFacts) {
      this.#portFacts = ports;
      this.#setFacts(this.#writers?.status?.gateways);
    }
    if (latest && latest !== this.#latest) {
      const affected = this.#owned.advance(latest);
      this.#latest = latest;
      this.#publish(latest, affected);
    }
  }
}
