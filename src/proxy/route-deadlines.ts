import type { PolicySet } from '../policies/policy-set.ts';
import type { TimeoutsConfig } from '../policies/timeouts.ts';
import { type DeadlineList, DeadlineLists, type Deadlines } from './deadlines.ts';
import type { Limits } from './limits.ts';

/** What is asked of an exchange whose time is over. */
export interface TimedExchange {
  onContinueTimeout(): void;
  /** For one attempt to connect; without `timeLeft`, for all of them. */
  onConnectTimeout(timeLeft: boolean): void;
}

/** What is asked of an upstream whose time is over. */
export interface TimedUpstream {
  timedOut(): void;
}

/** What is asked of a tunnel whose time is over. */
export interface TimedTunnel {
  idle(): void;
}

/** How long a request of a route waits for its Pod, in milliseconds. */
export interface RouteTimeouts {
  /** For a connection: all attempts together. */
  readonly connectMs: number;
  /** For the Pod to take some of the request. */
  readonly sendMs: number;
  /** For the Pod to send some of the response. */
  readonly readMs: number;
  /** The same once it is a gRPC call or a tunnel. */
  readonly silenceMs: number;
  /** For the client of a gRPC call to send some of it. */
  readonly callerMs: number;
}

/** As the route says, or else the flags. */
export function routeTimeouts(config: TimeoutsConfig | undefined, limits: Limits): RouteTimeouts {
  const silenceMs = config?.readMs ?? limits.tunnelIdleTimeoutMs;
  return {
    connectMs: config?.connectMs ?? limits.connectTimeoutMs,
    sendMs: config?.sendMs ?? limits.upstreamIdleTimeoutMs,
    readMs: config?.readMs ?? limits.upstreamIdleTimeoutMs,
    silenceMs,
    callerMs: Math.max(silenceMs, limits.bodyIdleTimeoutMs),
  };
}

/** The same as lists of deadlines. */
export interface UpstreamDeadlines {
  readonly timeouts: RouteTimeouts;
  readonly connects: DeadlineList<TimedExchange>;
  /** For one attempt to connect while there are others left. */
  readonly connectAttempts: DeadlineList<TimedExchange>;
  readonly sends: DeadlineList<TimedUpstream>;
  readonly reads: DeadlineList<TimedUpstream>;
  readonly calls: DeadlineList<TimedUpstream>;
  readonly tunnels: DeadlineList<TimedTunnel>;
}

/** The deadlines of every route, on one thread. */
export class RouteDeadlines {
  readonly #limits: Limits;
  readonly #connects: DeadlineLists<TimedExchange>;
  readonly #connectAttempts: DeadlineLists<TimedExchange>;
  readonly #upstreams: DeadlineLists<TimedUpstream>;
  readonly #tunnels: DeadlineLists<TimedTunnel>;
  readonly #usual: UpstreamDeadlines;
  /** A config is the same object for as long as its Ingress says the same. */
  readonly #known = new WeakMap<TimeoutsConfig, UpstreamDeadlines>();

  constructor(limits: Limits, clock: Deadlines) {
    this.#limits = limits;
    this.#connects = new DeadlineLists(clock, (exchange) => exchange.onConnectTimeout(false));
    this.#connectAttempts = new DeadlineLists(clock, (exchange) => exchange.onConnectTimeout(true));
    this.#upstreams = new DeadlineLists(clock, (upstream) => upstream.timedOut());
    this.#tunnels = new DeadlineLists(clock, (tunnel) => tunnel.idle());
    this.#usual = this.#make(undefined);
  }

  of(policies: PolicySet | null): UpstreamDeadlines {
    const config = policies === null ? undefined : policies.configs.timeouts;
    if (config === undefined) return this.#usual;
    let found = this.#known.get(config);
    if (!found) this.#known.set(config, (found = this.#make(config)));
    return found;
  }

  #make(config: TimeoutsConfig | undefined): UpstreamDeadlines {
    const timeouts = routeTimeouts(config, this.#limits);
    return {
      timeouts,
      connects: this.#connects.of(timeouts.connectMs),
      connectAttempts: this.#connectAttempts.of(timeouts.connectMs / this.#limits.attempts),
      sends: this.#upstreams.of(timeouts.sendMs),
      reads: this.#upstreams.of(timeouts.readMs),
      calls: this.#upstreams.of(timeouts.silenceMs),
      tunnels: this.#tunnels.of(timeouts.silenceMs),
    };
  }
}
