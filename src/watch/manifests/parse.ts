import { type Kind, type Kinds, type ObjectKey, objectKey } from '../../routing/objects.ts';
import type { Problem } from '../../routing/problem.ts';
import { validateObject } from '../../routing/validate.ts';
import { type Json, type JsonObject, freeze, isJsonObject, isTooDeep, normalForm } from './normal-form.ts';
import { type Place, type YamlDocument, oddKey, offsetOf, parseYaml, stepsOf } from './yaml.ts';

/** Where an object stands: enough to find any of its fields again, without keeping syntax trees. */
export interface Origin {
  readonly file: string;
  readonly text: string;
  readonly document: number;
  /** The way to an item of a `List`; empty for an object that is a document. */
  readonly steps: readonly (string | number)[];
}

/** One object of a file, whether or not the API server would take it. */
export interface Manifest {
  readonly kind: Kind;
  readonly key: ObjectKey;
  readonly object: Kinds[Kind];
  readonly origin: Origin;
  /** What validation says of it; with an error among them the API server would have refused it. */
  readonly problems: readonly Problem[];
}

export interface PlacedProblem {
  readonly problem: Problem;
  readonly place: Place;
}

export interface ParsedFile {
  readonly manifests: readonly Manifest[];
  readonly problems: readonly PlacedProblem[];
  /** The kinds Portico has no use for, as `apps/v1 Deployment`. */
  readonly ignored: readonly string[];
  /** Part of the file could not be read at all, so that nobody knows which objects it should hold. */
  readonly broken: boolean;
}

const GROUP_VERSIONS: Record<Kind, string> = {
  Ingress: 'networking.k8s.io/v1',
  IngressClass: 'networking.k8s.io/v1',
  Service: 'v1',
  EndpointSlice: 'discovery.k8s.io/v1',
  Secret: 'v1',
};
/** Versions of these kinds that API servers used to serve and no longer do. */
const RETIRED = /^(?:extensions|networking\.k8s\.io|discovery\.k8s\.io)\/v1beta1$/;

const MAX_ALIASES = 100;

/** The objects of one file. Every mistake is a problem with a place; nothing is thrown for what a file contains. */
export function parseManifests(file: string, text: string): ParsedFile {
  const manifests: Manifest[] = [];
  const problems: PlacedProblem[] = [];
  const ignored: string[] = [];
  let broken = false;
  const yaml = parseYaml(file, text);

  const report = (code: string, offset: number, message: string) => {
    const problem: Problem = {
      code,
      severity: 'error',
      object: { kind: 'File', name: file },
      field: '',
      message,
    };
    problems.push({ problem, place: yaml.placeOf(offset) });
  };

  const takeDocument = (document: YamlDocument, index: number) => {
    const [error] = document.errors;
    if (error) {
      broken = true;
      const said = error.message.split('\n')[0];
      return report(
        'InvalidSyntax',
        error.pos[0],
        `The YAML is not valid: ${said}; mend it to have the file read`,
      );
    }
    let value: unknown;
    try {
      value = document.toJS({ maxAliasCount: MAX_ALIASES });
    } catch (cause) {
      broken = true;
      const said = cause instanceof Error ? cause.message : String(cause);
      return report(
        'InvalidSyntax',
        offsetOf(document, []),
        `The YAML cannot be unfolded: ${said}; write its anchors and aliases out`,
      );
    }
    if (isTooDeep(value)) {
      broken = true;
      return report(
        'InvalidSyntax',
        offsetOf(document, []),
        'The YAML is nested too deeply, or contains itself',
      );
    }
    const odd = oddKey(document.contents);
    if (odd !== null) {
      broken = true;
      return report(
        'InvalidSyntax',
        odd,
        'A key must be a string, which this one is not; quote it or mend the indentation',
      );
    }
    if (value === null || value === undefined) return undefined;
    return takeObject(value, { apiVersion: '', kind: '' }, { document, index, steps: [] });
  };

  interface Position {
    readonly document: YamlDocument;
    readonly index: number;
    readonly steps: readonly (string | number)[];
  }
  const takeObject = (
    value: unknown,
    inherited: { apiVersion: string; kind: string },
    position: Position,
  ): void => {
    const at = (...steps: string[]) => offsetOf(position.document, [...position.steps, ...steps]);
    if (!isJsonObject(value)) {
      return report(
        'NotAnObject',
        at(),
        'This is not a Kubernetes object: it has no apiVersion and kind; it is left out.',
      );
    }
    const apiVersion = value['apiVersion'] ?? inherited.apiVersion;
    const kind = value['kind'] ?? inherited.kind;
    if (typeof kind !== 'string' || kind === '' || typeof apiVersion !== 'string' || apiVersion === '') {
      const missing = typeof kind === 'string' && kind !== '' ? 'apiVersion' : 'kind';
      return report(
        'NotAnObject',
        at(missing),
        `This object has no ${missing}; add it, until then it is left out.`,
      );
    }
    if (Array.isArray(value['items']) && kind.endsWith('List')) {
      const of =
        kind === 'List' ? { apiVersion: '', kind: '' } : { apiVersion, kind: kind.slice(0, -'List'.length) };
      for (const [item, inner] of (value['items'] as readonly Json[]).entries()) {
        takeObject(inner, of, { ...position, steps: [...position.steps, 'items', item] });
      }
      return undefined;
    }
    if (!isKind(kind) || !(apiVersion === GROUP_VERSIONS[kind] || RETIRED.test(apiVersion))) {
      ignored.push(`${apiVersion} ${kind}`);
      return undefined;
    }
    if (apiVersion !== GROUP_VERSIONS[kind]) {
      return report(
        'RetiredVersion',
        at('apiVersion'),
        `${kind} of ${apiVersion} is no longer served by API servers; write apiVersion: ${GROUP_VERSIONS[kind]} and mend what changed with it.`,
      );
    }
    return takeKnown(kind, apiVersion, value, position, at);
  };

  const takeKnown = (
    kind: Kind,
    apiVersion: string,
    written: JsonObject,
    { index, steps }: Position,
    at: (...steps: string[]) => number,
  ): void => {
    const object = freeze(normalForm(kind, apiVersion, written));
    const metadata = object['metadata'] as JsonObject;
    for (const field of ['name', 'namespace'] as const) {
      const value = metadata[field];
      if (field === 'namespace' && kind === 'IngressClass') continue;
      if (typeof value === 'string' && value !== '' && !value.includes('/')) continue;
      return report(
        'InvalidName',
        at('metadata', field),
        `This ${kind} needs a metadata.${field}, a string without a slash; until it has one it is left out.`,
      );
    }
    // It has the kind and a name; that the rest has its type is what validateObject finds out.
    const known = object as unknown as Kinds[Kind];
    manifests.push({
      kind,
      key: objectKey(known),
      object: known,
      origin: { file, text, document: index, steps },
      problems: validateObject(kind, object),
    });
  };

  for (const [index, document] of yaml.documents.entries()) takeDocument(document, index);
  return { manifests, problems, ignored, broken };
}

function isKind(kind: string): kind is Kind {
  return Object.hasOwn(GROUP_VERSIONS, kind);
}

/** Where a field of an object is written, or its nearest ancestor that is. Parses the file anew: this is rare. */
export function placeOfField(origin: Origin, field: string): Place {
  const yaml = parseYaml(origin.file, origin.text);
  const document = yaml.documents[origin.document];
  if (!document) return { file: origin.file, line: 1, column: 1 };
  const offsetIn = (path: string) => offsetOf(document, [...origin.steps, ...stepsOf(path)]);
  if (field.startsWith('data')) {
    // What a Secret has under `data` may have been written under `stringData`, which wins.
    const written = offsetIn(`stringData${field.slice('data'.length)}`);
    if (written !== offsetIn('stringData')) return yaml.placeOf(written);
  }
  return yaml.placeOf(offsetIn(field));
}
