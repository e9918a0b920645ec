import { hash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deserialize, serialize } from 'node:v8';
import { parse, parseAllDocuments } from 'yaml';
import type { CompileSettings } from '../../src/routing/compile/compile.ts';
import { type Kind, type ObjectMeta, objectKey } from '../../src/model/objects.ts';
import type { ObjectChange } from '../../src/model/snapshot.ts';
import { BUNDLE } from './bundle.ts';

/**
 * The folder of the golden cases. Their endpoints are 10.0.0.N, so that a run with real sockets can put upstreams
 * on 127.0.0.N instead.
 */
export const CASES = fileURLToPath(new URL('../cases/', import.meta.url));

const CERTIFICATES = fileURLToPath(new URL('certificates/', import.meta.url));

/** The IngressClass that an installation brings; cases have it unless they bring classes of their own. */
export const INGRESS_CLASS = `apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: { name: portico }
spec: { controller: portico.dev/ingress-controller }
`;

export const CASE_SETTINGS: CompileSettings = {
  ingressClass: 'portico',
  controllerName: 'portico.dev/ingress-controller',
  watchIngressWithoutClass: false,
  defaultBackend: null,
  allowLoopback: false,
  gatewayController: 'portico.dev/gateway-controller',
  ownPorts: [80, 443],
  ingressPorts: { http: 80, https: 443 },
  now: Date.parse('2026-06-01T00:00:00Z'),
};

/** What a request is expected to get: a route with its backend, or a status that Portico answers itself. */
export interface ExpectedDecision {
  readonly status?: number;
  /** Why it is refused: `Backend.unavailable` where the backend is why, otherwise the reason of the local response. */
  readonly reason?: string;
  /** `Prefix /cart`, or `DefaultBackend`. */
  readonly route?: string;
  /** `namespace/name` */
  readonly ingress?: string;
  readonly backend?: string;
  /** `10.0.0.1:8080`, `[fd00::1]:8080`, or the ExternalName and its port. */
  readonly endpoints?: readonly string[];
}

/** Values of header fields by their names; null for a field that is not there. */
export type ExpectedFields = Readonly<Record<string, string | null>>;

export interface CaseRequest extends ExpectedDecision {
  /** `GET http://shop.example.com/cart`, the target exactly as it is sent; `https://` goes to the TLS port. */
  readonly request: string;
  /** HTTP/1.1 unless it is stated. A request in HTTP/1.0 without a host has no Host field either. */
  readonly httpVersion?: '1.0' | '1.1';
  readonly headers?: Readonly<Record<string, string>>;
  /** The address of the client, as a trusted proxy in front of Portico tells it in X-Forwarded-For. */
  readonly from?: string;
  /** The server name of the TLS handshake, where it is not the host. */
  readonly sni?: string;
  /** The client certificate that is shown: `verified` is signed by the CA of test/support/certificates, `refused` is not. */
  readonly certificate?: 'verified' | 'refused';
  /** Header fields that the Pod responds with. */
  readonly pod?: Readonly<Record<string, string>>;
  /** Header fields that the client gets. */
  readonly response?: ExpectedFields;
  /** What the Pod receives. */
  readonly upstream?: ExpectedUpstream;
}

export interface ExpectedUpstream {
  /** `METHOD target` */
  readonly request?: string;
  readonly headers?: ExpectedFields;
}

/** What a case sets besides what it compiles with. */
interface ServingSettings {
  /** There is a TLS port, and hosts with TLS are redirected to it. */
  readonly https: boolean;
  /** The value of `--hsts`. */
  readonly hsts: string | null;
}

export interface Case {
  readonly name: string;
  /** YAML, several documents, the IngressClass included: what one would apply. */
  readonly manifests: string;
  readonly objects: readonly ObjectChange[];
  /** What was applied before, of `NAME.before.yaml`; null for most. */
  readonly before: string | null;
  readonly settings: CompileSettings;
  readonly serving: ServingSettings;
  readonly requests: readonly CaseRequest[];
}

/** All golden cases: `NAME.in.yaml` with `NAME.requests.yaml`. */
export function loadCases(): readonly Case[] {
  const files = readdirSync(CASES).sort();
  const shared = sharedFile(files);
  if (shared !== null && existsSync(shared)) {
    const cases = deserialize(readFileSync(shared)) as readonly Case[];
    for (const each of cases) if (!loaded.has(each.name)) loaded.set(each.name, each);
  }
  const inputs = files.filter((file) => file.endsWith('.in.yaml'));
  const cases = inputs.map((file) => loadCase(file.slice(0, -'.in.yaml'.length)));
  if (shared !== null && !existsSync(shared)) {
    writeFileSync(`${shared}.${process.pid}`, serialize(cases));
    renameSync(`${shared}.${process.pid}`, shared);
  }
  return cases;
}

/** Where the processes of a run share what one of them has read, which takes half a second; null outside of vitest. */
function sharedFile(files: readonly string[]): string | null {
  if (BUNDLE === null) return null;
  const texts = files.map((file) => `${file}\n${readFileSync(`${CASES}${file}`, 'utf8')}`);
  return join(BUNDLE, `../cases-${hash('sha256', texts.join('\n'))}`);
}

/** Test files of one process share them: to read them all as YAML takes half a second. */
const loaded = new Map<string, Case>();

/** The golden case `NAME.in.yaml`; throws when there is none. */
export function loadCase(name: string): Case {
  const golden = loaded.get(name) ?? readCase(name);
  loaded.set(name, golden);
  return golden;
}

function readCase(name: string): Case {
  const input = readFileSync(`${CASES}${name}.in.yaml`, 'utf8');
  const manifests = /^kind: IngressClass$/m.test(input) ? input : `${INGRESS_CLASS}---\n${input}`;
  const before = `${CASES}${name}.before.yaml`;
  // Settings that differ from the usual ones stand in a comment: `# settings: { watchIngressWithoutClass: true }`
  const written = parse(/^# settings: (.*)$/m.exec(input)?.[1] ?? '{}') as Partial<
    CompileSettings & ServingSettings
  >;
  const { https = false, hsts = null, ...settings } = written;
  let objects: readonly ObjectChange[] | null = null;
  return {
    name,
    manifests,
    before: existsSync(before) ? readFileSync(before, 'utf8') : null,
    // Who serves the manifests does not need them, and to read them as YAML takes most of the time.
    get objects() {
      return (objects ??= parseManifests(manifests));
    },
    settings: { ...CASE_SETTINGS, ...settings },
    serving: { https, hsts },
    requests: parse(readFileSync(`${CASES}${name}.requests.yaml`, 'utf8')) as readonly CaseRequest[],
  };
}

/** The objects of a stream of YAML documents, unchecked: a case may hold what the API server would refuse. */
export function parseManifests(manifests: string): readonly ObjectChange[] {
  return parseAllDocuments(manifests).flatMap((document) => {
    const object = document.toJS() as { kind: Kind; metadata?: ObjectMeta } | null;
    return object ? [{ kind: object.kind, key: objectKey(object), object } as ObjectChange] : [];
  });
}

/** Objects as they are, without the way through YAML. */
export function changesOf(objects: readonly object[]): readonly ObjectChange[] {
  const copies = JSON.parse(JSON.stringify(objects)) as { kind: Kind; metadata?: ObjectMeta }[];
  return copies.map((object) => ({ kind: object.kind, key: objectKey(object), object }) as ObjectChange);
}

/** The client certificate of a request that shows one, and its key, as PEM. */
export function clientCertificate(name: 'verified' | 'refused'): {
  readonly cert: string;
  readonly key: string;
} {
  const file = `${CERTIFICATES}golden-client-${name}`;
  return { cert: readFileSync(`${file}.crt`, 'utf8'), key: readFileSync(`${file}.key`, 'utf8') };
}

export interface SplitRequest {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  readonly host: string;
  readonly target: string;
}

/** Splits `GET http://host/path` without touching the bytes of the target. */
export function splitRequest(request: string): SplitRequest {
  const [, method, scheme, host, target] = /^([A-Z]+) (https?):\/\/([^/?#]*)(.*)$/.exec(request) ?? [];
  if (method === undefined || host === undefined || target === undefined)
    throw new Error(`no request: ${request}`);
  return { method, scheme: scheme === 'https' ? 'https' : 'http', host, target };
}

/** The head of a request as the client sends it, in Latin-1. */
export function requestHead({ request, httpVersion = '1.1', headers = {}, from }: CaseRequest): string {
  const { method, host, target } = splitRequest(request);
  const fields = [
    ...(httpVersion === '1.0' && host === '' ? [] : [['Host', host]]),
    ...Object.entries(headers),
    ...(from === undefined ? [] : [['X-Forwarded-For', from]]),
  ];
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return `${method} ${target === '' ? '/' : target} HTTP/${httpVersion}\r\n${lines}\r\n`;
}

type Fields = readonly (readonly [name: string, value: string])[];

/** What there is of the fields that are expected; the values of one name are joined with `, `. */
export function observedFields(expected: ExpectedFields, fields: Fields): ExpectedFields {
  return Object.fromEntries(
    Object.keys(expected).map((name) => {
      const values = fields.filter(([each]) => each.toLowerCase() === name.toLowerCase());
      return [name, values.length === 0 ? null : values.map(([, value]) => value).join(', ')];
    }),
  );
}

/** What the Pod received of what is expected; null when no request came to one. */
export function observedUpstream(
  { request, headers }: ExpectedUpstream,
  received: { readonly request: string; readonly fields: Fields } | null,
): ExpectedUpstream | null {
  if (received === null) return null;
  return {
    ...(request !== undefined && { request: received.request }),
    ...(headers !== undefined && { headers: observedFields(headers, received.fields) }),
  };
}
