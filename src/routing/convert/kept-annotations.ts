import { isDeepStrictEqual } from 'node:util';
import { ObjectReader } from '../../model/object-reader.ts';
import { type ObjectKey, namespaceOf } from '../../model/objects.ts';
import { get } from '../../model/sharded-map.ts';
import { asObject } from '../../model/untyped.ts';
import { type AnnotationSpec, PORTICO, namesOf } from '../../policies/annotation-spec.ts';
import type { PolicySet } from '../../policies/policy-set.ts';
import { POLICIES, type PolicyConfigs, type PolicyName } from '../../policies/registry.ts';
import type { Compilation } from '../compile/compile.ts';
import { readAnnotations } from '../ingress/annotations.ts';
import { type ConversionNote, note } from './conversion.ts';
import { MODULES } from './policy-modules.ts';

type Annotations = Readonly<Record<string, string>>;

/** The annotations of Portico by which a route keeps policies. */
export interface KeptAnnotations {
  readonly annotations: Annotations;
  readonly notes: readonly ConversionNote[];
  /** Those that cannot be kept so. */
  readonly lost: readonly PolicyName[];
}

/**
 * Looks for annotations that ask on a route for what the annotations of an Ingress ask for, and reads what it finds as a route
 * would: only what comes out the same is kept.
 */
export class AnnotationKeeper {
  readonly #compilation: Compilation;
  readonly #known = new Map<string, KeptAnnotations>();
  readonly #byDefault = new Map<string, PolicyConfigs>();

  constructor(compilation: Compilation) {
    this.#compilation = compilation;
  }

  /** What routes of a namespace have without any annotation. */
  byDefault(namespace: string): PolicyConfigs {
    const known = this.#byDefault.get(namespace);
    if (known) return known;
    const configs = this.#read(`${namespace}/route`, {})?.configs ?? {};
    this.#byDefault.set(namespace, configs);
    return configs;
  }

  /** `names` are the policies to keep, of those that the Ingress has; `policies` is what they are. */
  keep(ingress: ObjectKey, policies: PolicySet, names: readonly PolicyName[]): KeptAnnotations {
    const key = `${ingress} ${policies.id} ${names.join()}`;
    const known = this.#known.get(key);
    if (known) return known;
    const kept = this.#find(ingress, policies, names);
    this.#known.set(key, kept);
    return kept;
  }

  #find(ingress: ObjectKey, { configs }: PolicySet, names: readonly PolicyName[]): KeptAnnotations {
    const written = asObject(
      asObject(asObject(get(this.#compilation.snapshot.ingresses, ingress))['metadata'])['annotations'],
    );
    const byDefault = this.byDefault(namespaceOf(ingress));
    const wanted = new Set<PolicyName>(names);
    const candidates = new Map<PolicyName, Annotations>();
    const put = (name: PolicyName): void => {
      const config = configs[name];
      // What every route has needs no annotation.
      if (config !== undefined && isDeepStrictEqual(config, byDefault[name])) return;
      const policy = MODULES.get(name);
      const renamed = translated(policy?.annotations ?? [], written);
      candidates.set(name, (config && policy?.write?.(config, renamed)) ?? renamed);
    };
    for (const name of wanted) put(name);
    const lost = new Set<PolicyName>();
    // What a global option asks for may have been turned off by an annotation, and what is lost is left out again.
    for (let attempt = 0; attempt < POLICIES.length; attempt++) {
      const annotations = Object.assign({}, ...candidates.values()) as Annotations;
      const read = this.#read(ingress, annotations);
      const notes: ConversionNote[] = [];
      let isSettled = true;
      for (const { name } of POLICIES) {
        const found = read?.closed.includes(name) ? undefined : read?.configs[name];
        const same = wanted.has(name) ? differences(name, configs[name], found) : null;
        if (wanted.has(name)) {
          if (same !== null) notes.push(...same);
          else {
            wanted.delete(name);
            candidates.delete(name);
            lost.add(name);
            isSettled = false;
          }
        } else if (found !== undefined && configs[name] === undefined && !candidates.has(name)) {
          put(name);
          isSettled = false;
        }
      }
      if (isSettled) return { annotations: sorted(annotations), notes, lost: [...lost] };
    }
    return { annotations: {}, notes: [], lost: names };
  }

  #read(ingress: ObjectKey, annotations: Annotations): Pick<PolicySet, 'configs' | 'closed'> | null {
    const { snapshot, settings } = this.#compilation;
    const namespace = namespaceOf(ingress);
    const object = { kind: 'HTTPRoute', namespace, name: ingress.slice(namespace.length + 1) };
    const objects = new ObjectReader(snapshot, settings);
    return readAnnotations({ metadata: { annotations } }, object, objects, settings.defaults).policies;
  }
}

const YES: ReadonlySet<string> = new Set(['1', 't', 'true']);
const NO: ReadonlySet<string> = new Set(['0', 'f', 'false']);

/** Under our names; of several spellings of one annotation the first that is written counts. */
function translated(
  specs: readonly AnnotationSpec[],
  written: Readonly<Record<string, unknown>>,
): Annotations {
  const found: Record<string, string> = {};
  for (const spec of specs) {
    const [own = ''] = namesOf(spec);
    const name = namesOf(spec).find((each) => Object.hasOwn(written, each));
    const value = name === undefined ? undefined : written[name];
    if (!own.startsWith(PORTICO) || typeof value !== 'string') continue;
    found[own] = name === own || !spec.values.includes('`true`') ? value : spelledOut(value);
  }
  return found;
}

/** Go's ParseBool takes more than `true` and `false`. */
function spelledOut(value: string): string {
  const lower = value.toLowerCase();
  if (YES.has(lower)) return 'true';
  return NO.has(lower) ? 'false' : value;
}

/** What differs where a config stands for another one; null where it may not. */
function differences(
  name: PolicyName,
  config: object | undefined,
  found: object | undefined,
): readonly ConversionNote[] | null {
  if (isDeepStrictEqual(config, found)) return [];
  const differs = config && found && MODULES.get(name)?.differs?.(config, found);
  return differs?.map((text) => note('differs', text)) ?? null;
}

function sorted(annotations: Annotations): Annotations {
  return Object.fromEntries(Object.entries(annotations).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
