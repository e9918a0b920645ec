import { compilePattern } from '../http/pattern.ts';
import type { RequestFacts } from '../http/request-facts.ts';
import type { RequestMatch, Route, ValueMatch } from './table.ts';

/** The first of a route and those after it (see `Route.next`) that takes a request; null where none does. */
export function firstTaking(
  route: Route | null,
  linked: readonly Route[] | undefined,
  request: RequestFacts,
): Route | null {
  let each = route ?? undefined;
  while (each !== undefined) {
    if (each.matches === undefined || takes(each.matches, request)) return each;
    each = each.next === undefined ? undefined : linked?.[each.next];
  }
  return null;
}

function takes({ method, headers, query, isGrpc }: RequestMatch, request: RequestFacts): boolean {
  if (method !== undefined && method !== request.method) return false;
  if (isGrpc && !isGrpcType(request.value?.('content-type'))) return false;
  if (headers !== undefined) {
    for (const header of headers) if (!takesValue(header, request.value?.(header.name))) return false;
  }
  if (query === undefined) return true;
  const parameters = parametersOf(request.target);
  return query.every((parameter) => takesValue(parameter, parameters.get(parameter.name) ?? undefined));
}

function takesValue(match: ValueMatch, value: string | undefined): boolean {
  if (value === undefined) return false;
  return match.isPattern ? patternOf(match)(value) : match.value === value;
}

function isGrpcType(contentType: string | undefined): boolean {
  return contentType?.toLowerCase().startsWith('application/grpc') ?? false;
}

function parametersOf(target: string): URLSearchParams {
  const at = target.indexOf('?');
  return new URLSearchParams(at < 0 ? '' : target.slice(at + 1));
}

const patterns = new WeakMap<ValueMatch, (text: string) => boolean>();

/** Compiled once for each route and thread. */
function patternOf(match: ValueMatch): (text: string) => boolean {
  let found = patterns.get(match);
  if (!found) patterns.set(match, (found = compilePattern(`^(?:${match.value})$`)));
  return found;
}
