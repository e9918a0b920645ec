import { closestMatch } from '../../model/closest-match.ts';
import {
  GATEWAY_KINDS,
  type Kind,
  type Kinds,
  type ObjectKey,
  isNamespaced,
  objectKey,
} from '../../model/objects.ts';
import type { Problem } from '../../model/problem.ts';
import { BUILT_IN_KINDS } from '../../model/validation/api-schema.ts';
import { validateManifest } from '../../model/validation/validate.ts';
import { offsetOf, stepsOf } from './field-offset.ts';
import { type Json, type JsonObject, freeze, isJsonObject, normalForm } from './normal-form.ts';
import type { SourceLocation } from '../../model/format-problem.ts';
import { type YamlDocument, type YamlFile, plainValue, yamlFile } from './yaml.ts';

/** Where an object stands: enough to find any of its fields again, without keeping syntax trees. */
export interface Origin {
  readonly file: string;
  readonly yaml: () => YamlFile;
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
  /** Of its name. */
  readonly place: SourceLocation;
  /** What validation says of it; with an error among them the API server would have refused it. */
  readonly problems: readonly Problem[];
}

export interface LocatedProblem {
  readonly problem: Problem;
  readonly place: SourceLocation;
}

export interface ParsedFile {
  readonly manifests: readonly Manifest[];
  readonly problems: readonly LocatedProblem[];
  /** The kinds Portico has no use for, as `apps/v1 Deployment`. */
  readonly ignored: readonly string[];
  /** Part of the file could not be read at all, so that nobody knows which objects it should hold. */
  readonly broken: boolean;
}

const GATEWAY_API = 'gateway.networking.k8s.io';
/** The versions of each kind that API servers serve; the first is the one to write. */
const API_VERSIONS: Record<Kind, readonly [string, ...string[]]> = {
  Ingress: ['networking.k8s.io/v1'],
  IngressClass: ['networking.k8s.io/v1'],
  Service: ['v1'],
  EndpointSlice: ['discovery.k8s.io/v1'],
  Secret: ['v1'],
  ConfigMap: ['v1'],
  Namespace: ['v1'],
  GatewayClass: [`${GATEWAY_API}/v1`, `${GATEWAY_API}/v1beta1`],
  Gateway: [`${GATEWAY_API}/v1`, `${GATEWAY_API}/v1beta1`],
  ListenerSet: [`${GATEWAY_API}/v1`],
  HTTPRoute: [`${GATEWAY_API}/v1`, `${GATEWAY_API}/v1beta1`],
  GRPCRoute: [`${GATEWAY_API}/v1`],
  TLSRoute: [`${GATEWAY_API}/v1`],
  TCPRoute: [`${GATEWAY_API}/v1`, `${GATEWAY_API}/v1alpha2`],
  UDPRoute: [`${GATEWAY_API}/v1`, `${GATEWAY_API}/v1alpha2`],
  ReferenceGrant: [`${GATEWAY_API}/v1`, `${GATEWAY_API}/v1beta1`],
  BackendTLSPolicy: [`${GATEWAY_API}/v1`],
};
/** Versions of these groups that API servers used to serve and no longer do, but for those above. */
const RETIRED =
  /^(?:(?:extensions|networking\.k8s\.io|discovery\.k8s\.io)\/v1beta1|gateway\.networking\.k8s\.io\/v1(?:alpha[123]|beta1))$/;

/** What the items of a typed list do not repeat. */
interface TypeMeta {
  readonly apiVersion: string;
  readonly kind: string;
}
const UNTYPED: TypeMeta = { apiVersion: '', kind: '' };

/** The objects of one file. Every mistake is a problem with a place; nothing is thrown for what a file contains. */
export function parseManifests(file: string, text: string): ParsedFile {
  const read = yamlFile(file, text);
  const yaml = read();
  const manifests: Manifest[] = [];
  const problems: LocatedProblem[] = [];
  const ignored: string[] = [];
  let broken = false;

  const report = (code: string, field: string, offset: number, message: string): void => {
    const object = { kind: 'File', name: file };
    problems.push({
      problem: { code, severity: 'error', object, field, message },
      place: yaml.locationOf(offset),
    });
  };
  for (const [index, document] of yaml.documents.entries()) {
    const field = yaml.documents.length > 1 ? `document ${index + 1}` : '';
    const plain = plainValue(document);
    if (plain.is === 'error') {
      broken = true;
      report('InvalidSyntax', field, plain.offset, plain.message);
    } else if (plain.value !== null && plain.value !== undefined) {
      takeObject(plain.value, UNTYPED, { document, index, field, steps: [] });
    }
  }
  return { manifests, problems, ignored, broken };

  interface Position {
    readonly document: YamlDocument;
    readonly index: number;
    readonly field: string;
    readonly steps: readonly (string | number)[];
  }
  function offsetAt({ document, steps }: Position, ...below: readonly string[]): number {
    return offsetOf(document, [...steps, ...below]);
  }

  function takeObject(value: unknown, listed: TypeMeta, position: Position): void {
    const leaveOut = (code: string, below: readonly string[], message: string) =>
      report(code, position.field, offsetAt(position, ...below), message);
    if (!isJsonObject(value)) {
      const message = 'This is not a Kubernetes object: it has no apiVersion and kind; it is left out.';
      return leaveOut('NotAnObject', [], message);
    }
    const { kind = listed.kind, apiVersion = listed.apiVersion } = value;
    if (typeof kind !== 'string' || kind === '') {
      return leaveOut('NotAnObject', ['kind'], 'This object has no kind; add it, until then it is left out.');
    }
    if (typeof apiVersion !== 'string' || apiVersion === '') {
      const message = 'This object has no apiVersion; add it, until then it is left out.';
      return leaveOut('NotAnObject', ['apiVersion'], message);
    }
    if (Array.isArray(value['items']) && kind.endsWith('List')) {
      const items = value['items'] as readonly Json[];
      const of = kind === 'List' ? UNTYPED : { apiVersion, kind: kind.slice(0, -'List'.length) };
      for (const [item, inner] of items.entries()) {
        const field = `${position.field} items[${item}]`.trim();
        takeObject(inner, of, { ...position, field, steps: [...position.steps, 'items', item] });
      }
      return undefined;
    }
    const misspelt = misspeltType(apiVersion, kind);
    if (misspelt !== null) {
      broken = true;
      return report(misspelt.code, position.field, offsetAt(position, misspelt.field), misspelt.message);
    }
    if (!isKind(kind) || !(isServed(kind, apiVersion) || RETIRED.test(apiVersion))) {
      ignored.push(`${apiVersion} ${kind}`);
      return undefined;
    }
    if (!isServed(kind, apiVersion)) {
      const message = `${kind} of ${apiVersion} is not served by API servers any more; write apiVersion: ${API_VERSIONS[kind][0]} and correct the fields that changed with it.`;
      return leaveOut('RetiredVersion', ['apiVersion'], message);
    }
    const object = freeze(normalForm(kind, apiVersion, value));
    const unnamed = missingName(kind, object);
    if (unnamed) {
      const message = `This ${kind} needs a metadata.${unnamed}, a string without a slash; until it has one it is left out.`;
      return leaveOut('InvalidName', ['metadata', unnamed], message);
    }
    // It has the kind and a name; that the rest has its type is what validateObject finds out.
    const known = object as unknown as Kinds[Kind];
    manifests.push({
      kind,
      key: objectKey(known),
      object: known,
      origin: { file, yaml: read, document: position.index, steps: position.steps },
      place: yaml.locationOf(offsetAt(position, 'metadata', 'name')),
      problems: validateManifest(kind, object),
    });
    return undefined;
  }
}

interface MisspeltType {
  readonly code: string;
  readonly field: 'kind' | 'apiVersion';
  readonly message: string;
}

/**
 * Whether an object is one that Portico reads, but for a spelling mistake: a kind that its API group does not have, or an
 * API version that does not exist. Other groups have kinds of the same names, so that only a near miss is one.
 */
function misspeltType(apiVersion: string, kind: string): MisspeltType | null {
  if (isKind(kind)) {
    const [ours] = API_VERSIONS[kind];
    if (isServed(kind, apiVersion) || RETIRED.test(apiVersion)) return null;
    if (closestMatch(apiVersion, [ours]) === null && !Object.hasOwn(BUILT_IN_KINDS, apiVersion)) return null;
    const message = `"${apiVersion}" has no ${kind}; write apiVersion: ${ours}`;
    return { code: 'ApiVersionUnknown', field: 'apiVersion', message };
  }
  const kinds = kindsOf(apiVersion);
  if (kinds === undefined || kinds.includes(kind)) return null;
  const meant = closestMatch(kind, kinds);
  if (meant === null || !isKind(meant)) return null;
  return {
    code: 'KindUnknown',
    field: 'kind',
    message: `"${apiVersion}" has no kind "${kind}"; write ${meant}`,
  };
}

/** The kinds of an API version that is known here. */
function kindsOf(apiVersion: string): readonly string[] | undefined {
  if (apiVersion === `${GATEWAY_API}/v1`) return GATEWAY_KINDS;
  return Object.hasOwn(BUILT_IN_KINDS, apiVersion) ? BUILT_IN_KINDS[apiVersion]?.split(' ') : undefined;
}

function isKind(kind: string): kind is Kind {
  return Object.hasOwn(API_VERSIONS, kind);
}

function isServed(kind: Kind, apiVersion: string): boolean {
  return API_VERSIONS[kind].includes(apiVersion);
}

/** Which part of its key an object lacks, if any. */
function missingName(kind: Kind, object: JsonObject): 'name' | 'namespace' | null {
  const { name, namespace } = object['metadata'] as JsonObject;
  if (!isName(name)) return 'name';
  return !isNamespaced(kind) || isName(namespace) ? null : 'namespace';
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && !value.includes('/');
}

/** Where a field of an object is written, or its nearest ancestor that is. */
export function locateField(
  { file, yaml: read, document: index, steps }: Origin,
  field: string,
): SourceLocation {
  const yaml = read();
  const document = yaml.documents[index];
  if (!document) return { file, line: 1, column: 1 };
  const offsetIn = (path: string) => offsetOf(document, [...steps, ...stepsOf(path)]);
  if (field.startsWith('data')) {
    // What a Secret has under `data` may have been written under `stringData`, which wins.
    const written = offsetIn(`stringData${field.slice('data'.length)}`);
    if (written !== offsetIn('stringData')) return yaml.locationOf(written);
  }
  return yaml.locationOf(offsetIn(field));
}
