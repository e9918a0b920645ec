import type { ObjectReader } from '../../model/object-reader.ts';
import type { ObjectKey, Service } from '../../model/objects.ts';
import { asArray, asObject, asString, isPortNumber, quote } from '../../model/untyped.ts';
import { type BackendKey, INVALID_REFERENCE } from '../table.ts';
import type { Fault } from './kinds.ts';
import { namedObject } from './listeners.ts';

/** A Service port that a route names. */
export type BackendRef =
  | {
      readonly kind: 'backend';
      readonly key: BackendKey;
      readonly service: ObjectKey;
      /** The name of the Service port; empty where it has none. */
      readonly portName: string;
      /** What the port says is spoken to it, in lower case; empty for nothing. */
      readonly appProtocol: string;
    }
  /** Its share of the requests gets 500. */
  | { readonly kind: 'invalid'; readonly fault: Fault };

/** Whose reference it is, and what it may speak to. */
export interface RefOwner {
  /** `HTTPRoute` */
  readonly kind: string;
  readonly namespace: string;
  readonly protocol: 'TCP' | 'UDP';
}

/** Whether Portico speaks what a Service port says, in lower case, that it is spoken to by. */
export function isSpoken(appProtocol: string): boolean {
  return SPOKEN.has(appProtocol);
}

const SPOKEN: ReadonlySet<string> = new Set([
  '',
  'http',
  'https',
  'grpc',
  'tcp',
  'tls',
  'udp',
  'kubernetes.io/h2c',
  'kubernetes.io/ws',
  'kubernetes.io/wss',
]);

/** Reads a backendRef: whether it may be named, and whether there is such a Service and port. */
export function readBackendRef(written: unknown, owner: RefOwner, objects: ObjectReader): BackendRef {
  const reference = asObject(written);
  const named = namedObject(reference, owner, 'Service', objects);
  if (named.kind === 'other') {
    const message = `Requests can be sent to a Service, not to ${named.what}: this share of them gets an error.`;
    return invalid('InvalidKind', message);
  }
  if (named.kind === 'not-permitted') return { kind: 'invalid', fault: named.fault };
  const { key } = named;
  const { port: number } = reference;
  if (!isPortNumber(number)) {
    return invalid(
      'BackendNotFound',
      `The backendRef to Service ${key} names no port: give it the number of a Service port.`,
    );
  }
  const service = objects.serviceSpec(key);
  if (!service)
    return invalid('BackendNotFound', `There is no Service ${key}: create it, or name another one.`);
  const isExternal = asObject(asObject(service)['spec'])['type'] === 'ExternalName';
  const port = portOf(service, number, owner.protocol);
  if (!port && !isExternal) {
    return invalid(
      'BackendNotFound',
      `Service ${key} has no ${owner.protocol} port ${number}: name one that it has.`,
    );
  }
  const appProtocol = (asString(port?.['appProtocol']) ?? '').toLowerCase();
  if (!isSpoken(appProtocol)) {
    const message = `Port ${number} of Service ${key} speaks ${quote(appProtocol)}, which Portico does not: correct its appProtocol.`;
    return invalid('UnsupportedProtocol', message);
  }
  const suffix = owner.protocol === 'UDP' ? '/udp' : '';
  return {
    kind: 'backend',
    key: `${key}:${number}${suffix}`,
    service: key,
    portName: asString(port?.['name']) ?? '',
    appProtocol,
  };
}

function portOf(service: Service, number: number, protocol: 'TCP' | 'UDP') {
  const ports = asArray(asObject(asObject(service)['spec'])['ports']).map(asObject);
  return ports.find((port) => port['port'] === number && (asString(port['protocol']) ?? 'TCP') === protocol);
}

function invalid(reason: string, message: string): BackendRef {
  return { kind: 'invalid', fault: { reason, message } };
}

/** The key by which requests are sent there. */
export function keyOf(backend: BackendRef): BackendKey {
  return backend.kind === 'backend' ? backend.key : INVALID_REFERENCE;
}

const MAX_WEIGHT = 1_000_000;

/** 1 where nothing is written. */
export function weightOf(written: unknown): number {
  const { weight } = asObject(written);
  return Number.isInteger(weight) && Number(weight) >= 0 && Number(weight) <= MAX_WEIGHT ? Number(weight) : 1;
}
