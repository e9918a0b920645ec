import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse, parseAllDocuments } from 'yaml';
import type { CompileSettings } from '../../src/routing/compile/compile.ts';
import { type Kind, type ObjectMeta, objectKey } from '../../src/model/objects.ts';
import type { ObjectChange } from '../../src/model/snapshot.ts';

/**
 * The folder of the golden cases. Their endpoints are 10.0.0.N, so that a run with real sockets can put upstreams
 * on 127.0.0.N instead.
 */
export const CASES = fileURLToPath(new URL('../cases/', import.meta.url));

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

export interface CaseRequest extends ExpectedDecision {
  /** `GET http://shop.example.com/cart`, the target exactly as it is sent. */
  readonly request: string;
}

export interface Case {
  readonly name: string;
  /** YAML, several documents, the IngressClass included: what one would apply. */
  readonly manifests: string;
  readonly objects: readonly ObjectChange[];
  /** What was applied before, of `NAME.before.yaml`; null for most. */
  readonly before: string | null;
  readonly settings: CompileSettings;
  readonly requests: readonly CaseRequest[];
}

/** All golden cases: `NAME.in.yaml` with `NAME.requests.yaml`. */
export function loadCases(): readonly Case[] {
  const inputs = readdirSync(CASES).filter((file) => file.endsWith('.in.yaml'));
  return inputs.sort().map((file) => loadCase(file.slice(0, -'.in.yaml'.length)));
}

function loadCase(name: string): Case {
  const input = readFileSync(`${CASES}${name}.in.yaml`, 'utf8');
  const manifests = /^kind: IngressClass$/m.test(input) ? input : `${INGRESS_CLASS}---\n${input}`;
  const before = `${CASES}${name}.before.yaml`;
  // Settings that differ from the usual ones stand in a comment: `# settings: { watchIngressWithoutClass: true }`
  const settings = /^# settings: (.*)$/m.exec(input)?.[1];
  return {
    name,
    manifests,
    before: existsSync(before) ? readFileSync(before, 'utf8') : null,
    objects: parseManifests(manifests),
    settings: {
      ...CASE_SETTINGS,
      ...(settings !== undefined && (parse(settings) as Partial<CompileSettings>)),
    },
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

/** Splits `GET http://host/path` without touching the bytes of the target. */
export function splitRequest(request: string): { method: string; host: string; target: string } {
  const [, method, host, target] = /^([A-Z]+) http:\/\/([^/?#]*)(.*)$/.exec(request) ?? [];
  if (method === undefined || host === undefined || target === undefined)
    throw new Error(`no request: ${request}`);
  return { method, host, target };
}
