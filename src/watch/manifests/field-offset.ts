import { type Pair, isAlias, isCollection, isMap, isScalar, isSeq } from 'yaml';
import { type YamlDocument, startOf } from './yaml.ts';

/** `spec.rules[0].http` as a list of steps; `metadata.annotations[portico.dev/a]` and `data["tls.crt"]` as well. */
export function stepsOf(field: string): readonly (string | number)[] {
  return [...field.matchAll(/\[(\d+)\]|\["?([^\]"]*)"?\]|([^.[\]]+)/g)].map(([, index, key, word]) =>
    index === undefined ? (key ?? word ?? '') : Number(index),
  );
}

/**
 * Where the node at the end of the steps begins, or else its nearest ancestor that is there. A map or list that
 * has a key is found at its key, since that is the line people look for.
 */
export function offsetOf(document: YamlDocument, steps: readonly (string | number)[]): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (let at = 0; at < steps.length;) {
    const next = descend(document, node, steps, at);
    if (next === null) break;
    offset = next.offset ?? offset;
    node = next.node;
    at = next.at;
  }
  return offset;
}

interface Descent {
  readonly node: unknown;
  readonly offset: number | null;
  readonly at: number;
}

function descend(
  document: YamlDocument,
  parent: unknown,
  steps: readonly (string | number)[],
  at: number,
): Descent | null {
  const collection = isAlias(parent) ? parent.resolve(document) : parent;
  const step = steps[at];
  if (isSeq(collection)) {
    const node = typeof step === 'number' ? collection.items[step] : undefined;
    return node === undefined ? null : { node, offset: startOf(node), at: at + 1 };
  }
  if (!isMap(collection)) return null;
  // A key may itself contain dots, as `tls.crt` and annotations do: the longest name that exists is meant.
  for (let end = steps.length; end > at; end--) {
    const pair = pairOf(document, collection.items, steps.slice(at, end).join('.'), 0);
    if (!pair) continue;
    const place = isCollection(pair.value) || pair.value === null ? pair.key : pair.value;
    return { node: pair.value, offset: startOf(place) ?? startOf(pair.key), at: end };
  }
  return null;
}

const MERGE_DEPTH = 10;

function pairOf(
  document: YamlDocument,
  pairs: readonly Pair[],
  key: string,
  depth: number,
): Pair | undefined {
  const own = pairs.find((pair) => isScalar(pair.key) && String(pair.key.value) === key);
  if (own || depth >= MERGE_DEPTH) return own;
  for (const pair of pairs) {
    if (!isScalar(pair.key) || pair.key.source !== '<<') continue;
    for (const merged of isSeq(pair.value) ? pair.value.items : [pair.value]) {
      const map = isAlias(merged) ? merged.resolve(document) : merged;
      const found = isMap(map) ? pairOf(document, map.items, key, depth + 1) : undefined;
      if (found) return found;
    }
  }
  return undefined;
}
