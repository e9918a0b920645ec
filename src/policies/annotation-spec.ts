import type { ReferredKind } from '../model/objects.ts';

export const PORTICO = 'portico.dev/';
export const INGRESS_NGINX = 'nginx.ingress.kubernetes.io/';

/** One annotation, as the reader, the messages and the reference page know it. */
export interface AnnotationSpec {
  /** After `portico.dev/`; null for one that only ingress-nginx has, or only its ConfigMap. */
  readonly name: string | null;
  /**
   * The annotation of ingress-nginx that asks for the same, after its prefix, or all its spellings: the first that is
   * written counts, and ours before them.
   */
  readonly nginx?: string | readonly string[];
  /** The option of ingress-nginx's ConfigMap that is its default; see `GlobalDefaults`. */
  readonly global?: string;
  /** What may be written, for the reference: `round-robin`, `ewma`. */
  readonly values: string;
  /** Without the annotation. */
  readonly default: string;
  /** Whether it counts for the paths of its Ingress, or for the whole host. */
  readonly scope: 'path' | 'host';
  /** The kind of object that its value names, as `name` or `namespace/name`: such objects are watched. */
  readonly refersTo?: ReferredKind;
  /** What it does, in a sentence or more. */
  readonly about: string;
  /** Where the annotation of ingress-nginx does not mean exactly the same: what differs, in one sentence. */
  readonly difference?: string;
}

/** There are a few hundred, which are asked for again for every Ingress. */
const fullNames = new WeakMap<AnnotationSpec, readonly string[]>();

/** In full; ours first. */
export function namesOf(spec: AnnotationSpec): readonly string[] {
  let names = fullNames.get(spec);
  if (names === undefined) {
    names = [
      ...(spec.name === null ? [] : [`${PORTICO}${spec.name}`]),
      ...nginxNamesOf(spec).map((spelling) => `${INGRESS_NGINX}${spelling}`),
    ];
    fullNames.set(spec, names);
  }
  return names;
}

/** Our name for it, in full. */
export function ownNameOf({ name }: AnnotationSpec): string {
  return `${PORTICO}${name ?? ''}`;
}

/** Its spellings in ingress-nginx, after the prefix. */
export function nginxNamesOf({ nginx = [] }: AnnotationSpec): readonly string[] {
  return typeof nginx === 'string' ? [nginx] : nginx;
}
