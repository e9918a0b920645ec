import {
  type Document,
  LineCounter,
  type Node,
  type ParsedNode,
  type ScalarTag,
  isMap,
  isScalar,
  isSeq,
  parseAllDocuments,
} from 'yaml';
import type { SourceLocation } from '../../model/format-problem.ts';

export type YamlDocument = Document.Parsed<ParsedNode>;
export interface YamlFile {
  readonly documents: readonly YamlDocument[];
  locationOf(offset: number): SourceLocation;
}

/** kubectl still reads these words of YAML 1.1 as booleans, so a string that needs quotes is noticed here as well. */
const oldBoolean: ScalarTag = {
  tag: 'tag:yaml.org,2002:bool',
  default: true,
  test: /^(?:yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$/,
  resolve: (word) => /^(?:yes|on)$/i.test(word),
};

const MAX_ALIASES = 100;
/** More than any API object needs, and little enough for every recursive walk. It also ends circular aliases. */
const MAX_DEPTH = 100;

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
    locationOf(offset) {
      // What is missing at the end is missing on the last line that says something.
      const { line, col } = lineCounter.linePos(Math.min(offset, end));
      return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
    },
  };
}

/**
 * The file as `parseYaml` gives it. A syntax tree is large and, once its objects are read, only needed for the place of a
 * problem: the garbage collector may take it, and then the file is parsed again.
 */
export function yamlFile(file: string, text: string): () => YamlFile {
  let tree: WeakRef<YamlFile> | null = null;
  return () => {
    const yaml = tree?.deref() ?? parseYaml(file, text);
    tree = new WeakRef(yaml);
    return yaml;
  };
}

export type PlainValue =
  | { readonly is: 'value'; readonly value: unknown }
  /** Not YAML, or more than JSON could hold. */
  | { readonly is: 'error'; readonly offset: number; readonly message: string };

/** A document as JSON has it: maps with strings as keys, lists, scalars; a tree of limited depth. */
export function plainValue(document: YamlDocument): PlainValue {
  const start = startOf(document.contents) ?? 0;
  const [error] = document.errors;
  if (error) return invalidYaml(error.pos[0], `The YAML is not valid: ${error.message.split('\n')[0]}`);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    return invalidYaml(start, `The YAML cannot be expanded: ${said}; write out its anchors and aliases`);
  }
  if (isTooDeep(value)) return invalidYaml(start, 'The YAML is nested too deeply, or contains itself');
  const odd = oddKey(document.contents);
  if (odd === null) return { is: 'value', value };
  return invalidYaml(
    odd,
    'A key must be a string, which this one is not; quote it or correct the indentation',
  );
}

function invalidYaml(offset: number, message: string): PlainValue {
  return { is: 'error', offset, message };
}

function isTooDeep(value: unknown, depth = 0): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return depth > MAX_DEPTH || Object.values(value).some((inner) => isTooDeep(inner, depth + 1));
}

/** The first key that JSON could not hold: a map, a list or nothing as a key. */
function oddKey(node: unknown): number | null {
  if (isSeq(node)) return node.items.map(oddKey).find((offset) => offset !== null) ?? null;
  if (!isMap(node)) return null;
  for (const pair of node.items) {
    if (!isScalar(pair.key) || pair.key.value === null) return startOf(pair.key) ?? startOf(node) ?? 0;
    const inside = oddKey(pair.value);
    if (inside !== null) return inside;
  }
  return null;
}

/** The offset where a node begins; null for one that is not written. */
export function startOf(node: unknown): number | null {
  return (node as Node | null | undefined)?.range?.[0] ?? null;
}
