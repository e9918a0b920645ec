import { createHash } from 'node:crypto';
import { hostFault } from '../../model/names.ts';
import type { ObjectReader } from '../../model/object-reader.ts';
import type { ObjectKey } from '../../model/objects.ts';
import { isTlsSecret, readCaBundle, readTlsSecret } from '../../model/secrets.ts';
import { type UntypedObject, asArray, asObject, asString, isPortNumber, quote } from '../../model/untyped.ts';
import type { ClientAuth } from '../../policies/client-certificate.ts';
import type { RouteKind } from '../table.ts';
import { type GrantedObject, isGranted } from './grants.ts';
import {
  type Fault,
  GROUP,
  KINDS_OF_PROTOCOL,
  type ParentKey,
  type ParentKind,
  type Protocol,
  isProtocol,
} from './kinds.ts';
import { type NamespaceRule, readNamespaceRule } from './namespace-rule.ts';

/** One listener as its Gateway or ListenerSet has it, with everything that can be said of it alone. */
export interface Listener {
  /** `Gateway namespace/name/listener` */
  readonly id: string;
  readonly parent: ParentKey;
  readonly namespace: string;
  readonly name: string;
  /** Where in the object: `spec.listeners[0]`. */
  readonly field: string;
  readonly port: number;
  /** Null where it is none that is known. */
  readonly protocol: Protocol | null;
  /** Lower case; empty for all hosts. */
  readonly hostname: string;
  readonly tlsMode: 'Terminate' | 'Passthrough' | null;
  /** The kinds of routes that it may have: those that it allows, of those that its protocol can carry. */
  readonly kinds: readonly RouteKind[];
  readonly namespaces: NamespaceRule;
  /** Those that can be served, in the order in which the listener names them. */
  readonly certificates: readonly ListenerCertificate[];
  /** What it asks its clients for; null for nothing. */
  readonly clients: ClientAuth | 'unverifiable' | null;
  /** Why it is not accepted, whatever the others are; null when it is. */
  readonly rejected: Fault | null;
  /** What it names and cannot have; null when it has everything. */
  readonly unresolved: Fault | null;
}

export interface ListenerCertificate {
  readonly secret: ObjectKey;
  /** The DNS names that it is for. */
  readonly names: readonly string[];
}

/** Of a Gateway: the certificates that clients must show (`spec.tls.frontend`). */
export interface FrontendValidation {
  readonly standard: unknown;
  /** By port. */
  readonly ofPort: ReadonlyMap<number, unknown>;
}

export const NO_VALIDATION: FrontendValidation = { standard: undefined, ofPort: new Map() };

const MAX_CERTIFICATES = 64;
const MAX_LISTENERS = 64;
const MAX_CA_REFS = 16;

/** The listeners of a Gateway or ListenerSet, each read by itself. */
export function readListeners(
  kind: ParentKind,
  key: ObjectKey,
  listeners: unknown,
  validation: FrontendValidation,
  objects: ObjectReader,
): readonly Listener[] {
  const names = new Set<string>();
  return asArray(listeners)
    .slice(0, MAX_LISTENERS)
    .flatMap((written, index) => {
      const listener = readListener(
        kind,
        key,
        asObject(written),
        `spec.listeners[${index}]`,
        validation,
        objects,
      );
      if (listener === null || names.has(listener.name)) return [];
      names.add(listener.name);
      return [listener];
    });
}

/** Null for what has no name or port that a route or a client could use: the API server refuses it. */
function readListener(
  kind: ParentKind,
  key: ObjectKey,
  written: UntypedObject,
  field: string,
  validation: FrontendValidation,
  objects: ObjectReader,
): Listener | null {
  const name = asString(written['name']) ?? '';
  const { port } = written;
  const hostname = (asString(written['hostname']) ?? '').toLowerCase();
  if (name === '' || !isPortNumber(port)) return null;
  const parent: ParentKey = `${kind} ${key}`;
  const namespace = key.slice(0, key.indexOf('/'));
  const spoken = asString(written['protocol']) ?? '';
  const protocol = isProtocol(spoken) ? spoken : null;
  const tls = asObject(written['tls']);
  const isTls = protocol === 'HTTPS' || protocol === 'TLS';
  const tlsMode = !isTls ? null : tls['mode'] === 'Passthrough' ? 'Passthrough' : 'Terminate';
  const kinds = readKinds(asObject(written['allowedRoutes'])['kinds'], protocol);
  const terminates = tlsMode === 'Terminate';
  const from = { kind, namespace };
  const certificates = terminates ? readCertificates(tls, from, objects) : NO_CERTIFICATES;
  const clients =
    protocol === 'HTTPS'
      ? readClients(validation.ofPort.get(port) ?? validation.standard, from, objects)
      : NO_CLIENTS;
  return {
    id: `${parent}/${name}`,
    parent,
    namespace,
    name,
    field,
    port,
    protocol,
    hostname,
    tlsMode,
    kinds: kinds.kinds,
    namespaces: readNamespaceRule(asObject(written['allowedRoutes'])['namespaces'], 'Same'),
    certificates: certificates.usable,
    clients: clients.asked,
    rejected: rejection(spoken, protocol, tls, hostname) ?? clients.rejected,
    unresolved: kinds.fault ?? certificates.fault ?? clients.fault,
  };
}

function rejection(
  spoken: string,
  protocol: Protocol | null,
  tls: UntypedObject,
  hostname: string,
): Fault | null {
  if (protocol === null) {
    const message = `Portico does not speak the protocol ${quote(spoken)}: use HTTP, HTTPS, TLS, TCP or UDP.`;
    return { reason: 'UnsupportedProtocol', message };
  }
  if (protocol === 'HTTPS' && tls['mode'] === 'Passthrough') {
    const message = 'An HTTPS listener ends TLS itself: use the protocol TLS to pass it through.';
    return { reason: 'UnsupportedValue', message };
  }
  const fault = hostname === '' ? null : hostFault(hostname);
  return fault === null
    ? null
    : { reason: 'UnsupportedValue', message: `The hostname ${quote(hostname)} ${fault}.` };
}

function readKinds(
  allowed: unknown,
  protocol: Protocol | null,
): { readonly kinds: readonly RouteKind[]; readonly fault: Fault | null } {
  const carried = protocol === null ? [] : KINDS_OF_PROTOCOL[protocol];
  const written = asArray(allowed).map(asObject);
  if (written.length === 0) return { kinds: carried, fault: null };
  const isCarried = (each: UntypedObject, kind: RouteKind): boolean =>
    each['kind'] === kind && (each['group'] ?? GROUP) === GROUP;
  const kinds = carried.filter((kind) => written.some((each) => isCarried(each, kind)));
  const other = written.find((each) => !carried.some((kind) => isCarried(each, kind)));
  if (!other || protocol === null) return { kinds, fault: null };
  const message = `A listener with the protocol ${protocol} carries ${carried.join(' and ')}, not ${quote(other['kind'])}: remove it from allowedRoutes.kinds.`;
  return { kinds, fault: { reason: 'InvalidRouteKinds', message } };
}

type Owner = { readonly kind: string; readonly namespace: string };

const NO_CERTIFICATES = { usable: [], fault: null } as const;

function readCertificates(
  tls: UntypedObject,
  from: Owner,
  objects: ObjectReader,
): { readonly usable: readonly ListenerCertificate[]; readonly fault: Fault | null } {
  const usable: ListenerCertificate[] = [];
  const faults: Fault[] = [];
  const references = asArray(tls['certificateRefs']);
  if (references.length === 0) {
    const message =
      'The listener ends TLS and names no certificate: give tls.certificateRefs a Secret of type kubernetes.io/tls.';
    faults.push({ reason: 'InvalidCertificateRef', message });
  }
  for (const reference of references.slice(0, MAX_CERTIFICATES)) {
    const read = readCertificate(reference, from, objects);
    if ('reason' in read) faults.push(read);
    else usable.push(read);
  }
  return { usable, fault: worst(faults) };
}

/** What is not permitted is said before what is missing: who may not have it is not told whether it is there. */
export function worst(faults: readonly Fault[]): Fault | null {
  return faults.find(({ reason }) => reason === 'RefNotPermitted') ?? faults[0] ?? null;
}

function readCertificate(written: unknown, from: Owner, objects: ObjectReader): ListenerCertificate | Fault {
  const named = namedObject(written, from, 'Secret', objects);
  if (named.kind === 'other') {
    const message = `A certificate is a Secret of the core group, not ${named.what}: correct tls.certificateRefs.`;
    return { reason: 'InvalidCertificateRef', message };
  }
  if (named.kind === 'not-permitted') return named.fault;
  const { key } = named;
  const secret = objects.secret(key);
  if (!secret || !isTlsSecret(secret)) {
    const absence = objects.absence(`Secret ${key}`, 'of type kubernetes.io/tls: create it');
    return { reason: 'InvalidCertificateRef', message: `${absence}; it is not served.` };
  }
  const read = readTlsSecret(secret);
  if (read.kind === 'certificate') return { secret: key, names: read.names };
  return { reason: 'InvalidCertificateRef', message: `Secret ${key} ${read.reason}; it is not served.` };
}

type Named =
  | { readonly kind: 'named'; readonly key: ObjectKey }
  | { readonly kind: 'other'; readonly what: string }
  | { readonly kind: 'not-permitted'; readonly fault: Fault };

/** What a reference with group, kind, name and namespace names. */
export function namedObject(
  written: unknown,
  from: Owner,
  kind: GrantedObject['kind'],
  objects: ObjectReader,
): Named {
  const reference = asObject(written);
  const group = asString(reference['group']) ?? '';
  const spoken = asString(reference['kind']) ?? kind;
  if (group !== '' || spoken !== kind) {
    return {
      kind: 'other',
      what: `${quote(spoken)} of ${group === '' ? 'the core group' : `group ${quote(group)}`}`,
    };
  }
  const namespace = asString(reference['namespace']) ?? from.namespace;
  const key = `${namespace}/${asString(reference['name']) ?? ''}`;
  if (isGranted(objects, from, { kind, key })) return { kind: 'named', key };
  const message = `No ReferenceGrant in namespace "${namespace}" lets ${from.kind}s of namespace "${from.namespace}" name ${kind} ${key}: create one there, or use ${/^[AEIOU]/.test(kind) ? 'an' : 'a'} ${kind} of this namespace.`;
  return { kind: 'not-permitted', fault: { reason: 'RefNotPermitted', message } };
}

const NO_CLIENTS = { asked: null, rejected: null, fault: null } as const;

interface Clients {
  readonly asked: ClientAuth | 'unverifiable' | null;
  readonly rejected: Fault | null;
  readonly fault: Fault | null;
}

/** `spec.tls.frontend`: with no CA that can be used the listener is not accepted; a wrong one of several is only told. */
function readClients(validation: unknown, from: Owner, objects: ObjectReader): Clients {
  const { caCertificateRefs, mode } = asObject(validation);
  const references = asArray(caCertificateRefs);
  if (references.length === 0) return NO_CLIENTS;
  const faults: Fault[] = [];
  let caCertificates = '';
  for (const reference of references.slice(0, MAX_CA_REFS)) {
    const read = readCa(reference, from, objects);
    if (typeof read === 'string') caCertificates += read;
    else faults.push(read);
  }
  const fault = worst(faults);
  if (caCertificates === '') {
    const message =
      'None of the CA certificates that clients are to be verified by can be used, so no client is let in.';
    return { asked: 'unverifiable', rejected: { reason: 'NoValidCACertificate', message }, fault };
  }
  const enforced = mode === 'AllowInsecureFallback' ? 'never' : 'in-handshake';
  const config = {
    required: enforced !== 'never',
    caCertificates,
    passCertificate: false,
    enforced,
  } as const;
  const digest = createHash('sha256').update(JSON.stringify(config)).digest('base64url');
  return { asked: { policyId: digest.slice(0, 32), ...config }, rejected: null, fault };
}

function readCa(written: unknown, from: Owner, objects: ObjectReader): string | Fault {
  const named = namedObject({ kind: 'ConfigMap', ...asObject(written) }, from, 'ConfigMap', objects);
  if (named.kind === 'other') {
    const message = `CA certificates are read from a ConfigMap, not from ${named.what}: correct caCertificateRefs.`;
    return { reason: 'InvalidCACertificateKind', message };
  }
  if (named.kind === 'not-permitted') return named.fault;
  const configMap = objects.configMap(named.key);
  if (!configMap) {
    const absence = objects.absence(`ConfigMap ${named.key}`, 'with a certificate in its ca.crt: create it');
    return { reason: 'InvalidCACertificateRef', message: `${absence}.` };
  }
  const read = readCaBundle(named.key, configMap);
  return read.kind === 'certificates'
    ? read.pem
    : { reason: 'InvalidCACertificateRef', message: `${read.reason}: correct it.` };
}
