import { type ObjectKey, namespaceOf } from '../../model/objects.ts';
import { get } from '../../model/sharded-map.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import { type UntypedObject, asArray, asObject, asString, isPortNumber, quote } from '../../model/untyped.ts';
import { serviceOf } from '../backends.ts';
import { CLUSTER_IP } from '../cluster-ip.ts';
import { isSpoken } from '../gateway/backend-refs.ts';
import type { BackendKey, WeightedBackend } from '../table.ts';
import { type ConversionNote, note } from './conversion.ts';

/** A Service port as routes of Gateway API name it. */
export interface NamedPort {
  readonly kind: 'port';
  readonly service: ObjectKey;
  readonly number: number;
  /** Of the Service port; empty where it has none, or is not known. */
  readonly name: string;
  readonly notes: readonly ConversionNote[];
}

export type BackendReading = NamedPort | { readonly kind: 'unknown'; readonly why: string };

/** What a backend of the table is: Ingresses may name ports by name, and routes by number alone. */
export function readBackend(key: BackendKey, snapshot: Snapshot): BackendReading {
  const service = serviceOf(key);
  if (service === null) return { kind: 'unknown', why: 'It names no Service that requests could be sent to' };
  const [written = '', by] = key.slice(service.length + 1).split('@');
  const spec = asObject(asObject(get(snapshot.services, service))['spec']);
  const ports = asArray(spec['ports']).map(asObject);
  const port = ports.find((each) => isWritten(each, written)) ?? (written === '' ? ports[0] : undefined);
  const number = port?.['port'] ?? Number(written);
  if (!isPortNumber(number)) {
    const missing = `its port ${quote(written)} cannot be resolved: add the Service to what is read, or name the port by its number`;
    return {
      kind: 'unknown',
      why: `A route names a port of Service ${service} by its number, and ${missing}`,
    };
  }
  return {
    kind: 'port',
    service,
    number,
    name: asString(port?.['name']) ?? '',
    notes: notesOn(service, spec, port ?? {}, by === CLUSTER_IP),
  };
}

function isWritten(port: UntypedObject, written: string): boolean {
  return String(port['port']) === written || port['name'] === written;
}

function notesOn(
  service: ObjectKey,
  spec: UntypedObject,
  port: UntypedObject,
  byClusterIp: boolean,
): readonly ConversionNote[] {
  const notes: ConversionNote[] = [];
  const appProtocol = asString(port['appProtocol']) ?? '';
  if (!isSpoken(appProtocol.toLowerCase())) {
    const text = `A port of Service ${service} has the appProtocol ${quote(appProtocol)}, which routes may not be sent to: requests get 500 until it is corrected.`;
    notes.push(note('lost', text));
  }
  if (spec['type'] === 'ExternalName') {
    const text = `Service ${service} is an ExternalName, which Portico serves and most implementations of Gateway API refuse.`;
    notes.push(note('needs Portico', text));
  }
  if (byClusterIp) {
    const text = `Requests go to the Pods of Service ${service}, not to its ClusterIP (service-upstream).`;
    notes.push(note('differs', text));
  }
  return notes;
}

/** A `backendRef` for an object of a namespace. */
export function backendRef(
  { service, number }: NamedPort,
  namespace: string,
  weight: number | null = null,
): UntypedObject {
  const home = namespaceOf(service);
  return {
    name: service.slice(home.length + 1),
    ...(home !== namespace && { namespace: home }),
    port: number,
    ...(weight !== null && { weight }),
  };
}

const MAX_WEIGHT = 1_000_000;

/** The same shares with the smallest numbers that Gateway API takes; one that is above 0 stays so. */
export function smallestWeights(backends: readonly WeightedBackend[]): readonly number[] {
  const weights = backends.map(({ weight }) => weight);
  const divisor = weights.reduce(greatestCommonDivisor, 0) || 1;
  const smallest = weights.map((weight) => weight / divisor);
  const most = Math.max(...smallest);
  if (most <= MAX_WEIGHT) return smallest;
  return smallest.map((weight) => (weight === 0 ? 0 : Math.max(1, Math.round((weight / most) * MAX_WEIGHT))));
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
