import { isIP } from 'node:net';
import type { Dependency, ObjectReader } from '../../model/object-reader.ts';
import type { ObjectKey } from '../../model/objects.ts';
import { type ObjectReference, referenceTo } from '../../model/problem.ts';
import { isTlsSecret, readTlsSecret } from '../../model/secrets.ts';
import { asArray, asObject, asString, isAbsent, isPortNumber, quote } from '../../model/untyped.ts';
import { type GatewayService, readGatewayService } from './gateway-services.ts';
import type { Fault } from './kinds.ts';
import {
  type FrontendValidation,
  type Listener,
  NO_VALIDATION,
  namedObject,
  readListeners,
} from './listeners.ts';
import { type NamespaceRule, readNamespaceRule } from './namespace-rule.ts';

/** A Gateway of a class of ours, read by itself. */
export interface GatewayRead {
  readonly key: ObjectKey;
  readonly object: ObjectReference;
  readonly generation: number;
  readonly age: number;
  readonly className: string;
  readonly addresses: readonly RequestedAddress[];
  /** The address that its status says it has; empty for none. */
  readonly statusAddress: string;
  /** Which ListenerSets may add listeners. */
  readonly allowedListeners: NamespaceRule;
  readonly listeners: readonly Listener[];
  /** The Service by which clients reach it; null where they reach the nodes themselves. */
  readonly service: GatewayService | null;
  /** What Portico shows to endpoints with TLS; null for nothing. */
  readonly backendClientSecret: ObjectKey | null;
  /** Whether some clients are let in that should show a certificate and do not. */
  readonly allowsInsecureFallback: boolean;
  /** Why it is not accepted, whatever its listeners are. */
  readonly rejected: Fault | null;
  /** What it names itself and cannot have. */
  readonly unresolved: Fault | null;
  readonly dependencies: readonly Dependency[];
}

/** As the API allows. */
const MAX_ADDRESSES = 16;

export interface RequestedAddress {
  /** Null where it is none that can be an address of a node. */
  readonly value: string | null;
}

/** A ListenerSet, whichever Gateway it is for. */
export interface ListenerSetRead {
  readonly key: ObjectKey;
  readonly object: ObjectReference;
  readonly generation: number;
  readonly age: number;
  readonly gateway: ObjectKey;
  readonly listeners: readonly Listener[];
  readonly dependencies: readonly Dependency[];
}

/** With a Service of its own where `hasService`. */
export function readGateway(
  key: ObjectKey,
  gateway: unknown,
  objects: ObjectReader,
  hasService: boolean,
): GatewayRead {
  const { spec: written, status } = asObject(gateway);
  const spec = asObject(written);
  const tls = asObject(spec['tls']);
  const namespace = key.slice(0, key.indexOf('/'));
  const validation = readValidation(asObject(tls['frontend']));
  const backend = readBackendCertificate(
    asObject(tls['backend'])['clientCertificateRef'],
    namespace,
    objects,
  );
  const addresses = asArray(spec['addresses']).slice(0, MAX_ADDRESSES).map(asObject);
  const values = addresses.map(({ value }) => addressOf(value));
  const other = addresses.find(({ type = 'IPAddress' }) => type !== 'IPAddress');
  const service = hasService ? readGatewayService(key, gateway, values, objects) : null;
  const parameters =
    service === null ? parametersFault(asObject(spec['infrastructure'])['parametersRef']) : faultOf(service);
  return {
    key,
    object: referenceTo('Gateway', key, gateway),
    generation: generationOf(gateway),
    age: ageOf(gateway),
    className: asString(spec['gatewayClassName']) ?? '',
    addresses: values.map((value) => ({ value })),
    statusAddress: asString(asObject(asArray(asObject(status)['addresses'])[0])['value']) ?? '',
    allowedListeners: readNamespaceRule(asObject(spec['allowedListeners'])['namespaces'], 'None'),
    listeners: readListeners('Gateway', key, spec['listeners'], validation, objects),
    service: service !== null && !('reason' in service) ? service : null,
    backendClientSecret: typeof backend === 'string' && backend !== '' ? backend : null,
    allowsInsecureFallback: [validation.standard, ...validation.ofPort.values()].some(
      (each) => asObject(each)['mode'] === 'AllowInsecureFallback',
    ),
    rejected: parameters ?? addressTypeFault(other?.['type']),
    unresolved: typeof backend === 'string' ? null : backend,
    dependencies: objects.dependencies(),
  };
}

export function readListenerSet(key: ObjectKey, set: unknown, objects: ObjectReader): ListenerSetRead {
  const spec = asObject(asObject(set)['spec']);
  const parent = asObject(spec['parentRef']);
  const namespace = asString(parent['namespace']) ?? key.slice(0, key.indexOf('/'));
  return {
    key,
    object: referenceTo('ListenerSet', key, set),
    generation: generationOf(set),
    age: ageOf(set),
    gateway:
      (parent['kind'] ?? 'Gateway') === 'Gateway' ? `${namespace}/${asString(parent['name']) ?? ''}` : '',
    listeners: readListeners('ListenerSet', key, spec['listeners'], NO_VALIDATION, objects),
    dependencies: objects.dependencies(),
  };
}

/** Milliseconds since the epoch at creation; the highest number when unknown, which is younger than all. */
export function ageOf(object: unknown): number {
  const created = Date.parse(asString(asObject(asObject(object)['metadata'])['creationTimestamp']) ?? '');
  return Number.isNaN(created) ? Number.MAX_SAFE_INTEGER : created;
}

/** `metadata.generation`, which conditions repeat; 0 for an object that no API server has seen. */
export function generationOf(object: unknown): number {
  const { generation } = asObject(asObject(object)['metadata']);
  return typeof generation === 'number' ? generation : 0;
}

/** Null for what is no address; empty for one that is left to Portico. */
function addressOf(value: unknown): string | null {
  if (isAbsent(value) || value === '') return '';
  return typeof value === 'string' && isIP(value) !== 0 ? value : null;
}

function faultOf(service: GatewayService | Fault): Fault | null {
  return 'reason' in service ? service : null;
}

function parametersFault(parameters: unknown): Fault | null {
  if (isAbsent(parameters)) return null;
  const message =
    'Portico takes parameters with --gateway-addresses service alone: remove spec.infrastructure.parametersRef.';
  return { reason: 'InvalidParameters', message };
}

function addressTypeFault(addressType: unknown): Fault | null {
  if (addressType === undefined) return null;
  const message = `Portico gives no addresses of type ${quote(addressType)}: use the type IPAddress.`;
  return { reason: 'UnsupportedAddress', message };
}

function readValidation(frontend: { readonly [name: string]: unknown }): FrontendValidation {
  const ofPort = new Map<number, unknown>();
  for (const each of asArray(frontend['perPort']).map(asObject)) {
    // A port without validation of its own asks for nothing, whatever the default is.
    if (isPortNumber(each['port'])) ofPort.set(each['port'], asObject(asObject(each['tls'])['validation']));
  }
  return { standard: asObject(frontend['default'])['validation'], ofPort };
}

/** The Secret with the certificate; empty for none. */
function readBackendCertificate(
  reference: unknown,
  namespace: string,
  objects: ObjectReader,
): ObjectKey | Fault {
  if (isAbsent(reference)) return '';
  const named = namedObject(reference, { kind: 'Gateway', namespace }, 'Secret', objects);
  const refuse = (why: string): Fault => {
    const message = `${why}, so endpoints are shown no certificate: correct spec.tls.backend.clientCertificateRef.`;
    return { reason: 'InvalidClientCertificateRef', message };
  };
  if (named.kind === 'other') return refuse(`A certificate is a Secret of the core group, not ${named.what}`);
  if (named.kind === 'not-permitted') return named.fault;
  const secret = objects.secret(named.key);
  if (!secret || !isTlsSecret(secret)) {
    return refuse(objects.absence(`Secret ${named.key}`, 'of type kubernetes.io/tls'));
  }
  const read = readTlsSecret(secret);
  return read.kind === 'certificate' ? named.key : refuse(`Secret ${named.key} ${read.reason}`);
}
