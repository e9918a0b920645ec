import { type UntypedObject, asArray, asObject, asString, isAbsent, quote } from '../../model/untyped.ts';
import { fieldFault } from '../../policies/field-fault.ts';
import type { FilterReader } from '../../policies/filter-reader.ts';
import type { PolicyConfigs } from '../../policies/registry.ts';
import { type AskingRoute, readAskedBackend } from './asked-backends.ts';

const MAX_NAMES = 64;
const MAX_BODY_BYTES = 65_535;
const MAX_PREFIX = 1_024;
/** As the schema has it. */
const PREFIX = /^\/(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*$/;
/** Segments that may lead elsewhere. */
const DOTS = /\/(?:\.|%2e){1,2}(?:\/|$)|\/\//i;

/** Who is asked about requests. Where the filter names a backend that cannot be had, nobody is let in. */
export function readAuthFilter(
  { protocol, backendRef, http, grpc, forwardBody }: UntypedObject,
  read: FilterReader,
  route: AskingRoute,
): NonNullable<PolicyConfigs['external-auth-filter']> {
  const isGrpc = protocol === 'GRPC';
  if (protocol !== 'HTTP' && !isGrpc)
    read.fail(`asks by ${quote(protocol)}, which Portico does not speak`, 'use the protocol HTTP or GRPC');
  const { path, allowedHeaders, allowedResponseHeaders } = asObject(isGrpc ? grpc : http);
  const { maxSize = 0 } = asObject(forwardBody);
  const prefix = isAbsent(path) ? '' : (asString(path) ?? '?');
  if (prefix !== '' && (prefix.length > MAX_PREFIX || !PREFIX.test(prefix) || DOTS.test(prefix)))
    read.fail(`has the path ${quote(path)}`, 'write one like /check, without dot segments');
  if (!Number.isInteger(maxSize) || Number(maxSize) < 0 || Number(maxSize) > MAX_BODY_BYTES)
    read.fail(`sends ${quote(maxSize)} bytes of bodies`, `write a maxSize from 0 to ${MAX_BODY_BYTES}`);
  const passed = names(allowedResponseHeaders, read);
  const reserved = passed.find((name) => name === 'host' || fieldFault(name, 'x') !== null);
  if (reserved !== undefined)
    read.fail(`lets the server set ${reserved}`, 'remove it from allowedResponseHeaders');
  const { name, namespace = route.owner.namespace, port } = asObject(backendRef);
  return {
    namespace: route.owner.namespace,
    to: readAskedBackend(backendRef, route, isGrpc),
    ...(isGrpc && { grpc: { authority: `${String(name)}.${String(namespace)}.svc:${String(port)}` } }),
    prefix: prefix.replace(/\/$/, ''),
    allowedHeaders: names(allowedHeaders, read),
    responseHeaders: passed.length > 0 ? passed : null,
    maxBodyBytes: Number(maxSize),
  };
}

/** In lower case, each once. */
function names(written: unknown, read: FilterReader): readonly string[] {
  const all = asArray(written);
  const bad = all.find((name) => !/^[!#$%&'*+.^_`|~0-9a-z-]{1,128}$/i.test(asString(name) ?? ''));
  if (bad !== undefined || all.length > MAX_NAMES)
    read.fail(`lists ${quote(bad ?? all.length)}`, `list at most ${MAX_NAMES} names of header fields`);
  return [...new Set(all.map((name) => (asString(name) ?? '').toLowerCase()))];
}
