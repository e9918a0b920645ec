import type { PolicySet } from '../policies/policy-set.ts';
import type { PolicyConfigs } from '../policies/registry.ts';
import { type DeadlineList, DeadlineLists, type Deadlines } from './deadlines.ts';
import type { Limits } from './limits.ts';
import { type RetryRules, retryRules } from './retry-rules.ts';

/** What is asked of an exchange whose time is over. */
export interface TimedExchange {
  onContinueTimeout(): void;
  /** For one attempt to connect; without `timeLeft`, for all of them. */
  onConnectTimeout(timeLeft: boolean): void;
  /** For one attempt, from sending the request to the end of the response. */
  onAttemptTimeout(): void;
  onBackoffOver(): void;
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
  /** For the whole response to one attempt; null for any time. */
  readonly attemptMs: number | null;
}

/** As the route says, or else the flags. */
export function routeTimeouts(configs: PolicyConfigs, limits: Limits): RouteTimeouts {
  const { timeouts: config } = configs;
  const { totalMs = null, attemptMs = null } = configs['request-timeout'] ?? {};
  // Who gives a response more time means its silence, too.
  const idleMs = Math.max(limits.upstreamIdleTimeoutMs, attemptMs ?? totalMs ?? 0);
  const silenceMs = config?.readMs ?? limits.tunnelIdleTimeoutMs;
  return {
    connectMs: config?.connectMs ?? limits.connectTimeoutMs,
    sendMs: config?.sendMs ?? idleMs,
    readMs: config?.readMs ?? idleMs,
    silenceMs,
    callerMs: Math.max(silenceMs, limits.bodyIdleTimeoutMs),
    attemptMs,
  };
}

/** The same as lists of deadlines, and how often a request is tried within them. */
export interface UpstreamDeadlines {
  readonly timeouts: RouteTimeouts;
  readonly retries: RetryRules;
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
  /** A policy set is the same object for as long as its Ingress says the same. */
  readonly #known = new WeakMap<PolicySet, UpstreamDeadlines>();

  constructor(limits: Limits, clock: Deadlines) {
    this.#limits = limits;
    this.#connects = new DeadlineLists(clock, (exchange) => exchange.onConnectTimeout(false));
    this.#connectAttempts = new DeadlineLists(clock, (exchange) => exchange.onConnectTimeout(true));
    this.#upstreams = new DeadlineLists(clock, (upstream) => upstream.timedOut());
    this.#tunnels = new DeadlineLists(clock, (tunnel) => tunnel.idle());
    this.#usual = this.#make({});
  }

  of(policies: PolicySet | null): UpstreamDeadlines {
    if (policies === null) return this.#usual;
    const { configs } = policies;
    const { timeouts, retries, 'request-timeout': whole } = configs;
    if (timeouts === undefined && retries === undefined && !whole) return this.#usual;
    let found = this.#known.get(policies);
    if (!found) this.#known.set(policies, (found = this.#make(configs)));
    return found;
  }

  #make(configs: PolicyConfigs): UpstreamDeadlines {
    const timeouts = routeTimeouts(configs, this.#limits);
    const retries = retryRules(configs.retries, this.#limits);
    return {
      timeouts,
      retries,
      connects: this.#connects.of(timeouts.connectMs),
      connectAttempts: this.#connectAttempts.of(timeouts.connectMs / retries.attempts),
      sends: this.#upstreams.of(timeouts.sendMs),
      reads: this.#upstreams.of(timeouts.readMs),
      calls: this.#upstreams.of(timeouts.silenceMs),
      tunnels: this.#tunnels.of(timeouts.silenceMs),
    };
  }
}
