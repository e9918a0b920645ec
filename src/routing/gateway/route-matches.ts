import { pathFault } from '../../model/names.ts';
import { patternFault } from '../../http/pattern.ts';
import { normalizeRulePath } from '../../http/path.ts';
import { type UntypedObject, asArray, asObject, asString, isAbsent, quote } from '../../model/untyped.ts';
import { readPattern } from '../ingress/path-patterns.ts';
import type { PathPattern, PathType, RequestMatch, ValueMatch } from '../table.ts';
import { TENANT_LIMITS } from '../tenant-limits.ts';
import type { Fault } from './kinds.ts';

/** What a request must be like for a rule to take it. */
export interface RouteMatch {
  readonly path: string;
  readonly pathType: PathType;
  /** Present where the path is a regular expression. */
  readonly pattern?: PathPattern;
  /** The place in the tree of paths. */
  readonly at: string;
  /** Beside the path; absent where that is all. */
  readonly matches?: RequestMatch;
}

export type MatchReading =
  | { readonly kind: 'match'; readonly match: RouteMatch }
  | { readonly kind: 'fault'; readonly fault: Fault };

const METHODS: ReadonlySet<unknown> = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
]);

/** One of `spec.rules[].matches` of an HTTPRoute. */
export function readHttpMatch(written: unknown): MatchReading {
  const { path, method, headers, queryParams } = asObject(written);
  const place = readPath(asObject(path));
  if (place.kind === 'fault') return place;
  if (!isAbsent(method) && !METHODS.has(method))
    return unsupported(`No request has the method ${quote(method)}`);
  const headerMatches = readValues(headers, (name) => name.toLowerCase());
  const query = readValues(queryParams, (name) => name);
  const fault = faultOf(headerMatches) ?? faultOf(query);
  if (fault !== null) return { kind: 'fault', fault };
  return withMatches(place.match, {
    ...(typeof method === 'string' && { method }),
    ...(headerMatches.length > 0 && { headers: headerMatches as readonly ValueMatch[] }),
    ...(query.length > 0 && { query: query as readonly ValueMatch[] }),
  });
}

/** One of `spec.rules[].matches` of a GRPCRoute: a call is a POST to `/service/method`. */
export function readGrpcMatch(written: unknown): MatchReading {
  const { method: named, headers } = asObject(written);
  const { type = 'Exact', service, method } = asObject(named);
  const [serviceName, methodName] = [asString(service) ?? '', asString(method) ?? ''];
  const place =
    type === 'Exact' ? grpcPath(serviceName, methodName) : grpcPattern(type, serviceName, methodName);
  if (place.kind === 'fault') return place;
  const headerMatches = readValues(headers, (name) => name.toLowerCase());
  const fault = faultOf(headerMatches);
  if (fault !== null) return { kind: 'fault', fault };
  return withMatches(place.match, {
    isGrpc: true,
    ...(headerMatches.length > 0 && { headers: headerMatches as readonly ValueMatch[] }),
  });
}

function grpcPath(service: string, method: string): MatchReading {
  if (service !== '' && method !== '') return plainPath(`/${service}/${method}`, 'Exact');
  if (service !== '') return plainPath(`/${service}`, 'Prefix');
  return method === '' ? plainPath('/', 'Prefix') : patternPath(`/[^/]+/${escaped(method)}$`);
}

function grpcPattern(type: unknown, service: string, method: string): MatchReading {
  if (type !== 'RegularExpression')
    return unsupported(`The type ${quote(type)} of a method match is none that Portico knows`);
  const any = '[^/]+';
  return patternPath(`/(?:${service === '' ? any : service})/(?:${method === '' ? any : method})$`);
}

function escaped(text: string): string {
  return text.replaceAll(/[^\w/]/g, '\\$&');
}

function withMatches(match: RouteMatch, matches: RequestMatch): MatchReading {
  return { kind: 'match', match: Object.keys(matches).length > 0 ? { ...match, matches } : match };
}

function readPath({ type, value }: UntypedObject): MatchReading {
  const kind = isAbsent(type) ? 'PathPrefix' : type;
  const path = isAbsent(value) ? '/' : (asString(value) ?? '');
  switch (kind) {
    case 'Exact':
      return plainPath(path, 'Exact');
    case 'PathPrefix':
      return plainPath(path, 'Prefix');
    case 'RegularExpression':
      return patternPath(path);
    default:
      return unsupported(`The type ${quote(kind)} of a path match is none that Portico knows`);
  }
}

function plainPath(path: string, pathType: PathType): MatchReading {
  const fault = pathFault(path, pathType);
  if (fault !== null) return unsupported(`The path ${quote(path)} ${fault}`);
  const normal = normalizeRulePath(path);
  if (normal === null)
    return unsupported(
      `No request can have the path ${quote(path)}: it has a bad percent-encoding or climbs above the root`,
    );
  if (normal.length > TENANT_LIMITS.pathLength || normal.split('/').length - 1 > TENANT_LIMITS.pathSegments) {
    return unsupported(
      `A path may have ${TENANT_LIMITS.pathLength} characters and ${TENANT_LIMITS.pathSegments} segments, and ${quote(path)} has more`,
    );
  }
  const at = pathType !== 'Exact' && normal.endsWith('/') ? normal.slice(0, -1) : normal;
  return { kind: 'match', match: { path, pathType, at } };
}

function patternPath(path: string): MatchReading {
  const reading = readPattern(path, 'ImplementationSpecific', 'ingress');
  switch (reading.kind) {
    case 'plain':
      return plainPath(path, 'Exact');
    case 'fault':
      return unsupported(reading.message.replace(/[.:;]? *$/, ''));
    case 'pattern':
      return {
        kind: 'match',
        match: {
          path,
          pathType: 'ImplementationSpecific',
          pattern: reading.pattern,
          at: `~${reading.pattern.text}`,
        },
      };
    default:
      return reading satisfies never;
  }
}

/** Of several with the same name the first counts. */
function readValues(written: unknown, nameOf: (name: string) => string): readonly (ValueMatch | Fault)[] {
  const read = new Map<string, ValueMatch | Fault>();
  for (const each of asArray(written).map(asObject)) {
    const name = nameOf(asString(each['name']) ?? '');
    const value = asString(each['value']) ?? '';
    const { type } = each;
    if (read.has(name)) continue;
    if (isAbsent(type) || type === 'Exact') read.set(name, { name, value });
    else if (type !== 'RegularExpression') {
      read.set(
        name,
        faultAbout(`The type ${quote(type)} of the match for ${quote(name)} is none that Portico knows`),
      );
    } else {
      const fault = patternFault(`^(?:${value})$`);
      read.set(
        name,
        fault === null
          ? { name, value, isPattern: true }
          : faultAbout(`The expression ${quote(value)} ${fault}`),
      );
    }
  }
  return [...read.values()];
}

function faultOf(values: readonly (ValueMatch | Fault)[]): Fault | null {
  return values.find((each): each is Fault => 'reason' in each) ?? null;
}

function faultAbout(what: string): Fault {
  return { reason: 'UnsupportedValue', message: `${what}: correct it.` };
}

function unsupported(what: string): MatchReading {
  return { kind: 'fault', fault: faultAbout(what) };
}
