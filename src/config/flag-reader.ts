import { type Flag, environmentName } from './flags.ts';
import { type Parse, boolean } from './flag-values.ts';

/** What the command line says of each flag, by flag name. */
export type FlagValues = Readonly<Record<string, string | readonly string[] | boolean | undefined>>;
export type Environment = Readonly<Record<string, string | undefined>>;

export type ConfigResult<T> =
  | { readonly kind: 'ok'; readonly config: T }
  /** Every mistake, each a line that names the flag or variable. */
  | { readonly kind: 'invalid'; readonly errors: readonly string[] };

/** Reads flags one by one and gathers what is wrong with them. */
export class FlagReader {
  readonly errors: string[] = [];
  readonly #declared: ReadonlyMap<string, Flag>;
  readonly #flags: FlagValues;
  readonly #env: Environment;
  #defaults: Environment = {};

  constructor(declared: readonly Flag[], flags: FlagValues, env: Environment) {
    this.#declared = new Map(declared.map((flag) => [flag.name, flag]));
    this.#flags = flags;
    this.#env = env;
  }

  /** Whether the command line itself, and not the environment, has the flag. */
  given(name: string): boolean {
    return this.#flags[name] !== undefined;
  }

  /** What a flag is when neither the command line nor the environment has it, instead of its own default. */
  useDefaults(defaults: Environment): void {
    this.#defaults = defaults;
  }

  one<T>(name: string, parse: Parse<T>): T {
    const [place, value] = this.#texts(name);
    // After a mistake the value is never used: the result is a list of mistakes.
    return this.#parse(place, value[0] ?? '', parse) as T;
  }

  optional<T>(name: string, parse: Parse<T>): T | null {
    const [place, value] = this.#texts(name);
    return value[0] === undefined ? null : (this.#parse(place, value[0], parse) ?? null);
  }

  many<T>(name: string, parse: Parse<T>): T[] {
    const [place, value] = this.#texts(name);
    return value.map((each) => this.#parse(place, each, parse)).filter((each) => each !== undefined);
  }

  flag(name: string): boolean {
    const [place, value] = this.#texts(name);
    return value[0] === undefined ? false : (this.#parse(place, value[0], boolean) ?? false);
  }

  result<T>(config: T): ConfigResult<T> {
    if (this.errors.length > 0) return { kind: 'invalid', errors: this.errors };
    return { kind: 'ok', config: deepFreeze(config) };
  }

  #parse<T>(place: string, value: string, parse: Parse<T>): T | undefined {
    const parsed = parse(value);
    if ('value' in parsed) return parsed.value;
    this.errors.push(`${place}: ${parsed.error}`);
    return undefined;
  }

  #texts(name: string): [place: string, texts: readonly string[]] {
    const flag = this.#declared.get(name);
    if (!flag) throw new Error(`flag ${name} is read but not declared`);
    const given = this.#flags[name];
    if (given !== undefined) return [`--${name}`, typeof given === 'object' ? given : [String(given)]];
    const variable = environmentName(flag);
    const fromEnvironment = this.#env[variable];
    if (fromEnvironment !== undefined && fromEnvironment !== '') {
      // A comma within braces belongs to a glob: {web,shop}
      const texts = flag.many
        ? fromEnvironment.split(/[\s,]+(?![^{}]*\})/).filter(Boolean)
        : [fromEnvironment];
      return [variable, texts];
    }
    const fallback = this.#defaults[name] ?? flag.default;
    return [`--${name}`, fallback === undefined ? [] : [fallback]];
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
