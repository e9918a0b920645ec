import { parseAllDocuments } from 'yaml';
import { conversionText } from '../../src/cli/convert.ts';
import type { Kind, ObjectMeta } from '../../src/model/objects.ts';
import { objectKey } from '../../src/model/objects.ts';
import { type ObjectChange, snapshotOf } from '../../src/model/snapshot.ts';
import { validateManifest } from '../../src/model/validation/validate.ts';
import {
  type Conversion,
  type ConversionNote,
  NOTE_LEVELS,
  type NoteLevel,
} from '../../src/routing/convert/conversion.ts';
import { convertIngresses } from '../../src/routing/convert/convert-ingresses.ts';
import { hostViews } from '../../src/routing/convert/host-views.ts';
import { type Compilation, compile } from '../../src/routing/compile/compile.ts';
import type { CompileSettings } from '../../src/routing/settings.ts';
import type { Case, CaseRequest } from './cases.ts';
import { unnamedAspects } from './named-differences.ts';
import { type Difference, differenceOf } from './same-decisions.ts';
import { describeProblem } from './table-text.ts';

/** Ingresses, and what they were converted to, both compiled with the same settings. */
export interface Converted {
  readonly before: Compilation;
  readonly conversion: Conversion;
  readonly text: string;
  /** What a reader of YAML 1.2 makes of the text. */
  readonly written: readonly ObjectChange[];
  /** What the API server would refuse of it. */
  readonly invalid: readonly string[];
  readonly after: Compilation;
}

export function convertObjects(
  objects: readonly ObjectChange[],
  settings: CompileSettings,
  options: { readonly portable: boolean; readonly redirects: boolean },
  before = compile(snapshotOf(objects), settings),
): Converted {
  const conversion = convertIngresses(before, {
    gateway: 'infra/main',
    gatewayClass: 'portico',
    gatewayController: 'portico.dev/gateway-controller',
    portable: options.portable,
    httpPort: 80,
    httpsPort: 443,
    redirectsToHttps: options.redirects,
  });
  const text = [...conversionText(conversion)].join('');
  const written = readDocuments(text);
  const invalid = written.flatMap(({ kind, object }) => validateManifest(kind, object).map(describeProblem));
  const others = objects.filter(({ kind }) => kind !== 'Ingress');
  const after = compile(snapshotOf([...others, ...written]), settings);
  return { before, conversion, text, written, invalid, after };
}

/** What a reader of YAML makes of it, in either version. */
export function readDocuments(text: string, version: '1.1' | '1.2' = '1.2'): readonly ObjectChange[] {
  return parseAllDocuments(text, { version }).flatMap((document) => {
    const [fault] = document.errors;
    if (fault) throw fault;
    const object = document.toJS() as { kind: Kind; metadata?: ObjectMeta } | null;
    return object ? [{ kind: object.kind, key: objectKey(object), object } as ObjectChange] : [];
  });
}

/** Requests for every host and place of a table, and some that are near to them. */
export function requestsFor(before: Compilation, redirects: boolean): readonly CaseRequest[] {
  const views = hostViews(before, redirects ? { port: 443 } : null);
  return views.flatMap(({ hostname, http, https, tls }) => {
    const suffix = hostname.slice(1);
    const wildcard = [`any${suffix}`, `two.labels${suffix}`];
    const hosts = hostname === '' ? ['other.invalid'] : hostname.startsWith('*.') ? wildcard : [hostname];
    const places = [...http, ...https].map(({ place }) => pathLike(place.value));
    const paths = new Set(['/nothing/here', ...places.flatMap((path) => variantsOf(path))]);
    const schemes = tls === null ? ['http'] : ['http', 'https'];
    const urls = hosts.flatMap((host) => schemes.map((scheme) => `${scheme}://${host}`));
    return urls.flatMap((url): readonly CaseRequest[] => [
      ...[...paths].map((path) => ({ request: `GET ${url}${path}` })),
      ...CLIENTS.map((headers) => ({ request: `GET ${url}/`, headers })),
      { request: `POST ${url}/?a=b`, headers: { 'Content-Length': '2000000' } },
      { request: `OPTIONS ${url}/`, headers: PREFLIGHT },
    ]);
  });
}

const CLIENTS: readonly Record<string, string>[] = [
  { 'X-Canary': 'always', Cookie: 'canary=never' },
  { 'X-Canary': 'never' },
  { 'X-Canary': 'other', Cookie: 'a=b; canary=always' },
  { Authorization: 'Basic dXNlcjpwYXNzd29yZA==', Origin: 'https://example.com' },
];
const PREFLIGHT = { Origin: 'https://example.com', 'Access-Control-Request-Method': 'PUT' };

/** A path that an expression takes, as a rule: what makes it one is left out. */
function pathLike(value: string): string {
  const path = value
    .replace(/^\(\?i\)/, '')
    .replace('(/|$)(.*)', '/some')
    .replaceAll(/\\(.)/g, '$1')
    .replaceAll(/[()^$*+?|[\]{}]/g, '');
  return path.startsWith('/') && /^[\x21-\x7e]+$/.test(path) ? path : '/';
}

function variantsOf(path: string): readonly string[] {
  return [path, `${path.replace(/\/$/, '')}/below?x=1`, `${path}x`, path.toUpperCase()];
}

export interface Comparison {
  readonly differences: readonly Difference[];
  /** Those of which the notes do not name all. */
  readonly silent: readonly (Difference & { readonly unnamed: readonly string[] })[];
  /** Those where somebody gets in now who did not before. */
  readonly opened: readonly Difference[];
}

export async function compareDecisions(
  { before, after, conversion }: Converted,
  golden: Case,
  requests: readonly CaseRequest[],
): Promise<Comparison> {
  const differences: Difference[] = [];
  const silent: (Difference & { readonly unnamed: readonly string[] })[] = [];
  const opened: Difference[] = [];
  const gatewayNotes = conversion.documents
    .filter(({ object }) => object.kind === 'Gateway')
    .flatMap(({ notes }) => notes);
  for (const request of requests) {
    // What comes to other ports comes to no listener.
    if (/^\w+ http:\/\/[^/]*:(?!80\b)\d+|^\w+ https:\/\/[^/]*:(?!443\b)\d+/.test(request.request)) continue;
    // Redirects of routes do not read what a trusted proxy says; docs/convert.md tells that.
    if (request.from !== undefined && request.headers?.['x-forwarded-proto'] !== undefined) continue;
    const difference = await differenceOf(before, after, golden, request);
    if (difference === null) continue;
    differences.push(difference);
    const notes = [
      ...gatewayNotes,
      ...notesFor(conversion, difference.ingress),
      ...notesOnRoute(conversion, difference.route),
    ];
    const unnamed = unnamedAspects(difference, notes);
    if (unnamed.length > 0) silent.push({ ...difference, unnamed });
    // What a wildcard takes beyond the one label of an Ingress was open to everybody below it already.
    const isWidened = notes.some(({ text }) => text.includes('any number of labels'));
    const isOpened = difference.wasTurnedAway && difference.after.backend !== null;
    if (isOpened && !isWidened) opened.push(difference);
  }
  return { differences, silent, opened };
}

function notesFor({ documents, unplaced }: Conversion, ingress: string | null): readonly ConversionNote[] {
  // What is said of hosts without routes is said of their Ingresses.
  if (ingress === null) return [...unplaced.values()].flat();
  const placed = documents
    .filter(({ ingresses }) => ingresses.includes(ingress))
    .flatMap(({ notes }) => notes);
  return [...placed, ...(unplaced.get(ingress) ?? [])];
}

/** Where no route takes the request: what is said of wildcards, whose hosts it may be among now. */
function notesOnRoute({ documents }: Conversion, route: string | null): readonly ConversionNote[] {
  if (route === null)
    return documents.flatMap(({ notes }) =>
      notes.filter(({ text }) => text.includes('any number of labels before')),
    );
  return documents
    .filter(
      ({ object: { kind, metadata } }) =>
        (kind === 'HTTPRoute' || kind === 'GRPCRoute') && `${metadata.namespace}/${metadata.name}` === route,
    )
    .flatMap(({ notes }) => notes);
}

/** What there are notes of, the worst first. */
export function levelsOf({ documents, unplaced }: Conversion): readonly NoteLevel[] {
  const notes = [...documents.map((each) => each.notes), ...unplaced.values()].flat();
  return NOTE_LEVELS.filter((level) => notes.some((each) => each.level === level));
}
