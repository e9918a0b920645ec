import { parseCidr } from '../http/trusted-proxies.ts';
import type { ObjectReader } from '../model/object-reader.ts';
import type { ConfigMap, ObjectKey, Secret } from '../model/objects.ts';
import type { ObjectReference, Severity } from '../model/problem.ts';
import { refusedName } from '../model/refused-addresses.ts';
import { quote } from '../model/untyped.ts';
import { type AnnotationSpec, PORTICO, namesOf } from './annotation-spec.ts';
import { type GlobalDefaults, NO_DEFAULTS } from './global-defaults.ts';
import { parseReference } from './written-reference.ts';

/** Ranges in one list: what a thread compiles for one Ingress has a bound. */
const MAX_CIDRS = 4096;

/** Takes a problem of one annotation, by its full name, or of a global option, whose name has no `/`. */
export type ReportAnnotation = (severity: Severity, code: string, name: string, message: string) => void;

/** A Secret or ConfigMap that an annotation names. */
export interface NamedObject<T extends Secret | ConfigMap> {
  readonly key: ObjectKey;
  /** Undefined when there is none, or it may not be read. */
  readonly object: T | undefined;
  /** Why there is none, as the beginning of a sentence. */
  readonly absence: string;
}

/**
 * Reads the annotations of one Ingress for one policy, and the global option in place of one that is not written. A value that cannot be understood is reported, with what becomes of
 * it, and read as absent; `isInvalid` remembers that there was one.
 */
export class AnnotationReader {
  readonly namespace: string;
  /** Of the Ingress. */
  readonly name: string;
  isInvalid = false;
  readonly #annotations: ReadonlyMap<string, unknown>;
  readonly #objects: ObjectReader;
  readonly #closes: boolean;
  readonly #report: ReportAnnotation;
  readonly #defaults: GlobalDefaults;

  constructor(
    annotations: ReadonlyMap<string, unknown>,
    { namespace = '', name }: ObjectReference,
    objects: ObjectReader,
    whenInvalid: 'default' | 'close',
    report: ReportAnnotation,
    defaults: GlobalDefaults = NO_DEFAULTS,
  ) {
    this.#annotations = annotations;
    this.namespace = namespace;
    this.name = name;
    this.#objects = objects;
    this.#closes = whenInvalid === 'close';
    this.#report = report;
    this.#defaults = defaults;
  }

  /** Whether it is written, or the global option is set that is its default. */
  has(spec: AnnotationSpec): boolean {
    return this.isWritten(spec) || this.#option(spec) !== null;
  }

  /** Whether the Ingress itself has it. */
  isWritten(spec: AnnotationSpec): boolean {
    return namesOf(spec).some((name) => this.#annotations.has(name));
  }

  /** The full name under which it is written; else that of the global option; else ours. */
  nameOf(spec: AnnotationSpec): string {
    const names = namesOf(spec);
    return names.find((name) => this.#annotations.has(name)) ?? this.#option(spec) ?? names[0] ?? '';
  }

  /** The name of the global option, where it is set. */
  #option({ global }: AnnotationSpec): string | null {
    return global !== undefined && Object.hasOwn(this.#defaults, global) ? global : null;
  }

  #value(spec: AnnotationSpec): unknown {
    if (this.isWritten(spec)) return this.#annotations.get(this.nameOf(spec));
    const option = this.#option(spec);
    return option === null ? undefined : this.#defaults[option];
  }

  /** Whether the value stands under our name rather than that of ingress-nginx. */
  isOurs(spec: AnnotationSpec): boolean {
    return this.nameOf(spec).startsWith(PORTICO);
  }

  /** The text as written; null when it is absent or no text. */
  text(spec: AnnotationSpec): string | null {
    if (!this.has(spec)) return null;
    const value = this.#value(spec);
    if (typeof value === 'string') return value;
    this.invalid(spec, 'is not text', 'put it in quotes');
    return null;
  }

  /** One of the choices, without regard to case; null when it is absent or none of them. */
  choice<T extends string>(spec: AnnotationSpec, choices: readonly T[]): T | null {
    const written = this.text(spec);
    if (written === null) return null;
    const lowered = written.toLowerCase();
    const found = choices.find((choice) => choice.toLowerCase() === lowered);
    if (found === undefined) this.invalid(spec, 'is not valid', `use ${listed(choices)}`);
    return found ?? null;
  }

  /** `true` or `false`; under a name of ingress-nginx also what else Go's ParseBool takes. */
  bool(spec: AnnotationSpec): boolean | null {
    const choices = this.isOurs(spec) ? ['true', 'false'] : ['true', 'false', '1', '0', 't', 'f'];
    const chosen = this.choice(spec, choices);
    return chosen === null ? null : ['true', '1', 't'].includes(chosen);
  }

  /** A whole number in this range, in decimal; null when it is absent or none. */
  wholeNumber(spec: AnnotationSpec, least: number, most: number): number | null {
    const written = this.text(spec)?.trim();
    if (written === undefined) return null;
    const number = /^[+-]?\d{1,15}$/.test(written) ? Number(written) : Number.NaN;
    if (number >= least && number <= most) return number;
    const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
    this.invalid(spec, 'is not valid', `write a whole number ${range}`);
    return null;
  }

  /** Ranges of addresses with commas between them; null when it is absent or one of them is none. */
  cidrs(spec: AnnotationSpec): readonly string[] | null {
    const written = this.text(spec);
    if (written === null) return null;
    const cidrs = written.split(',').flatMap((cidr) => cidr.trim() || []);
    if (cidrs.length > MAX_CIDRS) {
      this.invalid(spec, `has ${cidrs.length} ranges`, `write at most ${MAX_CIDRS}`);
      return null;
    }
    const bad = cidrs.find((cidr) => parseCidr(cidr).kind === 'bad');
    if (bad === undefined) return cidrs;
    const advice = 'write addresses and ranges like 10.0.0.0/8 with commas between them';
    this.invalid(spec, `has ${quote(bad)}, which is not an address or a range`, advice);
    return null;
  }

  /**
   * The Secret that a value names: `name`, or `namespace/name`. `what` says what it should be, after its name: `with the
   * key auth`. Its bytes must not become a part of a config; see `PolicyModule.secrets`.
   */
  secret(spec: AnnotationSpec, what: string): NamedObject<Secret> | null {
    const key = this.#reference(spec);
    if (key === null) return null;
    return { key, object: this.#objects.secret(key), absence: this.#objects.absence(`Secret ${key}`, what) };
  }

  /** The ConfigMap that a value names, in the same way. What it says is public, and may become a part of a config. */
  configMap(spec: AnnotationSpec, what = ''): NamedObject<ConfigMap> | null {
    const key = this.#reference(spec);
    if (key === null) return null;
    const absence = this.#objects.absence(`ConfigMap ${key}`, what);
    return { key, object: this.#objects.configMap(key), absence };
  }

  #reference(spec: AnnotationSpec): ObjectKey | null {
    const written = this.text(spec);
    if (written === null) return null;
    const { refersTo } = spec;
    if (refersTo === undefined) throw new Error(`${this.nameOf(spec)} is not said to refer to an object`);
    const reference = parseReference(written, this.namespace);
    if (reference === null) {
      this.invalid(spec, `is not the name of a ${refersTo}`, 'write its name');
      return null;
    }
    const { namespace, name } = reference;
    // A global option is what the operator of Portico says.
    const isAllowed = this.#objects.acrossNamespaces || !this.isWritten(spec);
    if (namespace !== this.namespace && !isAllowed) {
      this.invalid(
        spec,
        'is in another namespace',
        `an Ingress may use the ${refersTo}s of its own namespace only`,
      );
      return null;
    }
    return `${namespace}/${name}`;
  }

  /** Whether limits of all replicas together have a store. */
  get hasLimitStore(): boolean {
    return this.#objects.hasLimitStore;
  }

  /** Whether spans of requests have somewhere to go. */
  get hasCollector(): boolean {
    return this.#objects.hasCollector;
  }

  /** Why no request may be sent to a host, to follow its name; null when one may. */
  refusedHost(host: string): string | null {
    return refusedName(host, this.namespace, this.#objects.nameRules);
  }

  /** The global option that is the default of an annotation; null where it is not set. */
  optionOf(spec: AnnotationSpec): string | null {
    const option = this.#option(spec);
    return option === null ? null : (this.#defaults[option] ?? null);
  }

  /**
   * Says that the value of an annotation cannot be used: `fault` continues the value, `advice` says what to write, and
   * `instead` is what holds, unless the policy closes.
   */
  invalid(spec: AnnotationSpec, fault: string, advice: string, instead = spec.default): void {
    const closed = this.isWritten(spec) ? CLOSED : CLOSED_BY_OPTION;
    const consequence = this.#closes ? closed : `the default is used: ${instead}`;
    const message = `${quote(this.#value(spec))} ${fault}: ${advice}; ${consequence}.`;
    this.fail('AnnotationInvalid', spec, message);
  }

  /** The same with a sentence and a code of its own; the policy closes if it is one that does. */
  fail(code: string, spec: AnnotationSpec, message: string): void {
    this.isInvalid = true;
    this.#report(this.#closes ? 'error' : 'warning', code, this.nameOf(spec), message);
  }

  /** Something that costs a part of the value, not the policy. */
  error(code: string, spec: AnnotationSpec, message: string): void {
    this.#report('error', code, this.nameOf(spec), message);
  }

  /** Something to know that costs nothing. */
  warn(code: string, spec: AnnotationSpec, message: string): void {
    this.#report('warning', code, this.nameOf(spec), message);
  }
}

/** What becomes of an Ingress with a policy that closes, as the end of a sentence. */
export const CLOSED = 'every path of this Ingress answers 503 until this is fixed';

/** The same where it is a global option that closes. */
const CLOSED_BY_OPTION =
  'every path of every Ingress without an annotation of its own answers 503 until this is fixed';

/** `a, b or c` */
export function listed(choices: readonly string[]): string {
  return choices.length < 2 ? choices.join('') : `${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}`;
}
