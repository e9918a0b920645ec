import {
  type Document,
  LineCounter,
  type Node,
  type Pair,
  type ParsedNode,
  type ScalarTag,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  parseAllDocuments,
} from 'yaml';

/** A position in a file, counted from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export type YamlDocument = Document.Parsed<ParsedNode>;
export interface YamlFile {
  readonly documents: readonly YamlDocument[];
  placeOf(offset: number): Place;
}

/** kubectl still reads these words of YAML 1.1 as booleans, so a string that needs quotes is noticed here as well. */
const oldBoolean: ScalarTag = {
  tag: 'tag:yaml.org,2002:bool',
  default: true,
  test: /^(?:yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$/,
  resolve: (word) => /^(?:yes|on)$/i.test(word),
};

/** YAML, of which JSON is a part, with positions. Throws for nothing: what is wrong is in each document's errors. */
export function parseYaml(file: string, text: string): YamlFile {
  const lineCounter = new LineCounter();
  const end = text.trimEnd().length;
  const documents = parseAllDocuments(text, {
    lineCounter,
    schema: 'core',
    customTags: (tags) => [oldBoolean, ...tags],
    merge: true,
    // A date, a set or a byte array is nothing that JSON, and so the API, knows.
    resolveKnownTags: false,
    prettyErrors: false,
    logLevel: 'silent',
  });
  return {
    documents: Array.isArray(documents) ? documents : [],
    placeOf(offset) {
      // What is missing at the end is missing on the last line that says something.
      const { line, col } = lineCounter.linePos(Math.min(offset, end));
      return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
    },
  };
}

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

function startOf(node: unknown): number | null {
  return (node as Node | null | undefined)?.range?.[0] ?? null;
}

/** The first key that JSON could not hold: a map, a list or nothing as a key. */
export function oddKey(node: unknown): number | null {
  if (isSeq(node)) return node.items.map(oddKey).find((offset) => offset !== null) ?? null;
  if (!isMap(node)) return null;
  for (const pair of node.items) {
    if (!isScalar(pair.key) || pair.key.value === null) return startOf(pair.key) ?? startOf(node) ?? 0;
    const inside = oddKey(pair.value);
    if (inside !== null) return inside;
  }
  return null;
}
