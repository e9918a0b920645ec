import type { UntypedObject } from '../model/untyped.ts';
import type { AnnotationReader } from './annotation-reader.ts';
import type { FilterReader } from './filter-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import type { ObjectKey } from '../model/objects.ts';
import type { FormContext, StandardForm } from './standard-form.ts';
import type { SecretData } from '../model/secret-data.ts';
import type { LocalResponse, PolicyRefusal } from '../http/local-response.ts';
import type { ClusterLimits } from './limits/cluster-limits.ts';
import type { SharedLimits } from './limits/shared-limits.ts';
import type { RequestEdit, RequestView } from '../http/request-view.ts';
import type { ResponseEdit } from '../http/response-edit.ts';
import type { Subrequest, SubrequestOutcome } from '../http/subrequest.ts';

/**
 * When a policy acts on a request, in the order of the phases: a redirect or a preflight is answered before limits are
 * counted, limits before a client is authenticated, and only what may pass is rewritten and sent to an endpoint.
 */
export type Phase = 'redirect' | 'limit' | 'access' | 'rewrite' | 'upstream' | 'response';

/**
 * One policy: what asks for it, how it is read, and what it does. A policy is one file; `registry.ts` gives it its place.
 * `C` is plain data: it is compared, printed, and posted to the data-plane threads.
 */
export interface PolicyModule<C extends object = object, N extends string = string> {
  /** The key in `PolicySet.configs`, the heading in the reference and the label in metrics: `balance`. */
  readonly name: N;
  readonly phase: Phase;
  /** What the policy is for, in a sentence or two for the reference. */
  readonly summary: string;
  /** A page of docs/ that says more. */
  readonly page?: { readonly title: string; readonly file: string };
  readonly annotations: readonly AnnotationSpec[];
  /**
   * What a value costs that cannot be understood: the policy's default is used, or every path of the Ingress answers
   * 503. Policies that decide who gets in, or what is verified, close.
   */
  readonly whenInvalid: 'default' | 'close';
  /** Whether it counts on an Ingress that is a canary, too; no when absent: the main Ingress decides for both. */
  readonly ofCanaries?: true;
  /** Whether it says something of an Ingress that routes of Gateway API say otherwise: it has no effect on them; no when absent. */
  readonly ofIngressesOnly?: true;
  /** Whether it is one of those of which one is enough under `satisfy: any`; no when absent. */
  readonly isAlternative?: true;
  /** Unknown annotations that begin like one of these close the Ingress: a typing error must not open what was to be closed. */
  readonly reservedPrefixes?: readonly string[];
  /** Called when one of `annotations` is written, or a global option of theirs is set. Null when they ask for nothing. */
  parse(read: AnnotationReader): C | null;
  /** The types of filters of Gateway API that ask for it. */
  readonly filters?: readonly string[];
  /**
   * The config that one of these filters asks for, null for nothing: `filter` is what it says under its own name. Fails
   * through `read` for what it cannot keep to.
   */
  fromFilter?(filter: UntypedObject, read: FilterReader): C | null;
  /**
   * Our annotations, by their full names, that ask for the same on another object; null where none do. `renamed` are those that
   * are written, under our names where they have one: right where a value means the same under both, and used as they are
   * where the policy does not say otherwise.
   */
  write?(config: C, renamed: Readonly<Record<string, string>>): Readonly<Record<string, string>> | null;
  /**
   * What differs, in sentences, where `written`, which comes of `write`, stands for `config`; null where it may not. Absent
   * where it must be equal.
   */
  differs?(config: C, written: C): readonly string[] | null;
  /** What it is in the standard of Gateway API; null for nothing. Absent where there never is anything. */
  standardForm?(config: C, context: FormContext): StandardForm | null;
  /** Whether it also sets fields of what Portico answers before there is a route, such as redirects to https; no when absent. */
  ofAllResponses?: true;
  /** For goldens, `explain` and the reference: `least-requests`. */
  describe(config: C): string;
  /** The same without the values of header fields, for the admin API; `describe` where it has none. */
  outline?(config: C): string;
  /**
   * The Secrets whose data `bind` uses through `PolicyThread.secret`. A config names a Secret and holds no byte of it: what
   * it holds is printed, logged and posted with the table.
   */
  secrets?(config: C): readonly ObjectKey[];
  /**
   * What the policy does with requests, once for each config and data-plane thread; it may keep state. Absent where the
   * config is read by the proxy itself, as that of a balance is.
   */
  bind?(config: C, thread: PolicyThread): BoundPolicy;
}

/** What a policy may use of the data-plane thread that it runs on. */
export interface PolicyThread {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Milliseconds on a clock that only goes forward, and is the same for every thread of the process. */
  monotonicMs(): number;
  /** Counts clients together with the other threads of the process. */
  readonly limits: SharedLimits;
  /** Counts clients together with all replicas; null without a store for it. */
  readonly clusterLimits: ClusterLimits | null;
  /**
   * The data of a Secret that `PolicyModule.secrets` names, as it is now; the same object for as long as it says the
   * same. Undefined when there is none.
   */
  secret(key: ObjectKey): SecretData | undefined;
  /**
   * Whether a password is that of a hash; a promise only where it has to be hashed, which another thread does, within
   * limits of the namespace. Never throws or rejects.
   */
  checkPassword(
    namespace: string,
    hash: string,
    password: Buffer,
  ): PasswordVerdict | Promise<PasswordVerdict>;
  /** Asks another server, within the limits of the namespace. Never rejects. */
  send(request: Subrequest): Promise<SubrequestOutcome>;
}

/**
 * A policy at work. Whatever it throws ends the exchange with 500 and no other. Nothing here may scan a list whose length
 * a tenant chooses, or wait for anything but the promise that it returns.
 */
export interface BoundPolicy {
  /** Of its module; absent for what no Ingress asks for. */
  name?: string;
  /** Lower-case names of fields that Pods get of this policy alone: under `satisfy: any` also where it is not asked. */
  readonly ownFields?: readonly string[];
  /** Called once for a request, before anything is sent to an endpoint. */
  onRequest?(request: RequestView, edit: RequestEdit): Verdict | Promise<Verdict>;
  /** Called once for the final response, whether it comes from a Pod or from Portico. `value` of the request is that of the client's fields. */
  onResponse?(edit: ResponseEdit, request: RequestView): void;
  /** Called once when an exchange is over, however it ended, if `onRequest` may have been called for it. */
  onComplete?(request: RequestView): void;
}

/** What becomes of a request after a policy has seen it. */
export type Verdict =
  | { readonly kind: 'continue' }
  /** The client gets this instead; `detail` is what the access log says of it, after a colon what exactly was wrong. */
  | {
      readonly kind: 'respond';
      readonly response: LocalResponse;
      readonly detail?: PolicyRefusal | `${PolicyRefusal}: ${string}`;
      /** The name of the policy, filled in when it has been asked. */
      readonly by?: string;
    }
  /** The client is told why it is refused, in the language of its request. */
  | { readonly kind: 'refuse'; readonly reason: PolicyRefusal; readonly by?: string };

/** `busy`: too many others wait, or it took too long. */
export type PasswordVerdict = 'right' | 'wrong' | 'busy';

export const CONTINUE: Verdict = { kind: 'continue' };

/** A verdict with the name of the policy that gave it, unless it has one. */
export function signed(verdict: Verdict, policy: BoundPolicy | undefined): Verdict {
  if (verdict.kind === 'continue' || verdict.by !== undefined || policy?.name === undefined) return verdict;
  return { ...verdict, by: policy.name };
}

/** Gives a policy its types: its name as a literal, its config as what `parse` returns. */
export function definePolicy<C extends object, const N extends string>(
  module: PolicyModule<C, N>,
): PolicyModule<C, N> {
  return module;
}
