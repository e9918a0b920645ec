import { isDeepStrictEqual } from 'node:util';
import { type TrustedProxies, trustedProxies } from '../../http/trusted-proxies.ts';
import { type BindPolicies, policyBinder } from '../../policies/bound-policies.ts';
import type { PolicyThread } from '../../policies/policy.ts';
import { returnedRequestId } from '../../policies/returned-request-id.ts';
import { strictTransportSecurity } from '../../policies/strict-transport-security.ts';
import type { HttpsRedirect } from '../../routing/decide.ts';
import type { GlobalSettings } from '../../routing/global-options.ts';
import type { Limits } from '../limits.ts';
import type { ThreadSettings } from './messages.ts';
import type { Tracer } from '../tracing/tracer.ts';
import { type TracingSettings, tracingSettings } from '../tracing/tracing-settings.ts';

type TracerOf = (settings: TracingSettings) => Tracer;

/** What holds for all hosts: as the flags say, unless the table says otherwise. Another table changes it at once. */
export class LiveSettings {
  readonly #flags: ThreadSettings;
  readonly #thread: PolicyThread;
  readonly #tracerOf: TracerOf;
  #globals: GlobalSettings | undefined = undefined;
  trustedProxies: TrustedProxies;
  bindPolicies: BindPolicies;
  httpsRedirect: HttpsRedirect | null;
  underscoresInHeaders: boolean;
  /** Null where no request is traced. */
  tracer: Tracer | null;
  /** One object, whose values change. */
  readonly limits: Limits;

  constructor(flags: ThreadSettings, thread: PolicyThread, tracerOf: TracerOf) {
    this.#flags = flags;
    this.#thread = thread;
    this.#tracerOf = tracerOf;
    this.tracer = this.#newTracer();
    this.trustedProxies = trustedProxies(flags.trustedProxies);
    this.bindPolicies = this.#bindWith(flags.strictTransportSecurity);
    this.httpsRedirect = flags.httpsRedirect;
    this.underscoresInHeaders = flags.underscoresInHeaders ?? false;
    this.limits = { ...flags.limits };
  }

  /** Gives whether limits are others now. */
  adopt(globals: GlobalSettings | undefined): boolean {
    const before = this.#globals;
    if (globals === before) return false;
    this.#globals = globals;
    const flags = this.#flags;
    this.trustedProxies = trustedProxies(globals?.trustedProxies ?? flags.trustedProxies);
    this.httpsRedirect = flags.httpsRedirect && { ...flags.httpsRedirect, ...globals?.httpsRedirect };
    this.underscoresInHeaders = globals?.underscoresInHeaders ?? flags.underscoresInHeaders ?? false;
    if (!isDeepStrictEqual(globals?.tracing, before?.tracing)) this.tracer = this.#newTracer();
    // Bound policies may have state, such as what a limit has counted.
    const hsts = (settings: GlobalSettings | undefined): string | null =>
      settings?.hsts === undefined ? flags.strictTransportSecurity : settings.hsts;
    if (hsts(globals) !== hsts(before)) this.bindPolicies = this.#bindWith(hsts(globals));
    if (isDeepStrictEqual(globals?.limits, before?.limits)) return false;
    Object.assign(this.limits, flags.limits, globals?.limits);
    return true;
  }

  #newTracer(): Tracer | null {
    const settings = tracingSettings(this.#flags.tracing ?? null, this.#globals?.tracing);
    return settings && this.#tracerOf(settings);
  }

  #bindWith(hsts: string | null): BindPolicies {
    return policyBinder(this.#thread, [
      ...(hsts === null ? [] : [strictTransportSecurity(hsts)]),
      ...(this.#flags.returnRequestId ? [returnedRequestId()] : []),
    ]);
  }
}
