import { createHash } from 'node:crypto';
import { type ObjectKey, namespaceOf } from '../../model/objects.ts';
import type { UntypedObject } from '../../model/untyped.ts';
import type { ClientAuth } from '../../policies/client-certificate.ts';
import { compareText } from '../precedence.ts';
import {
  type ConversionNote,
  type ConvertSettings,
  type ConvertedDocument,
  addNotes,
  note,
} from './conversion.ts';
import { HTTP_LISTENER, chunks, namespaceAndName } from './convert-routes.ts';
import type { HostView } from './host-views.ts';
import { shortened } from './object-names.ts';

/** A listener of HTTPS or TLS. */
interface TlsListener {
  readonly name: string;
  /** Empty for all hosts. */
  readonly hostname: string;
  /** Null where TLS is passed through. */
  readonly secret: ObjectKey | null;
  /** What clients must show; null for nothing. */
  readonly clients: ClientAuth | null;
  readonly ingresses: ObjectKey[];
  readonly notes: ConversionNote[];
}

/** An object that has listeners, with those of HTTPS and TLS. */
interface ListenerParent {
  readonly kind: 'Gateway' | 'ListenerSet';
  readonly name: string;
  readonly listeners: readonly TlsListener[];
  readonly clients: ClientAuth | null;
}

/** The Gateways, what belongs to them, and where each listener is. */
export interface ConvertedListeners {
  readonly documents: readonly ConvertedDocument[];
  /** The `parentRef` of a route of a namespace for a listener. */
  readonly parentRef: (listener: string, namespace: string) => UntypedObject;
}

/** Of Gateway API. */
const MAX_LISTENERS = 64;
const MAX_GRANTED = 16;
const GROUP = 'gateway.networking.k8s.io';
const VERSION = `${GROUP}/v1`;

/** The name of the listener that a host is served by over TLS; empty for the default certificate. */
export function tlsListenerName(hostname: string, mode: 'https' | 'tls'): string {
  if (hostname === '') return mode;
  const name = hostname.startsWith('*.') ? `${mode}-wildcard${hostname.slice(1)}` : `${mode}.${hostname}`;
  return shortened(name, hostname);
}

/**
 * The listeners that hosts need. What does not fit into the Gateway is in ListenerSets beside it; hosts whose clients must show
 * certificates have Gateways of their own, since one asks all clients of a port for the same.
 */
export function convertListeners(
  views: readonly HostView[],
  settings: ConvertSettings,
  gatewayNotes: readonly ConversionNote[],
): ConvertedListeners {
  const { gateway, gatewayClass, gatewayController, httpPort } = settings;
  const { namespace, name } = namespaceAndName(gateway);
  const listeners = tlsListeners(views, settings.httpsPort);
  const parents = parentsOf(name, listeners);
  const place = new Map<string, Pick<ListenerParent, 'kind' | 'name'>>();
  for (const parent of parents) for (const each of parent.listeners) place.set(each.name, parent);
  const hasSets = parents.some(({ kind }) => kind === 'ListenerSet');

  const documents: ConvertedDocument[] = [];
  if (gatewayController !== null) {
    const spec = { controllerName: gatewayController };
    const object = { apiVersion: VERSION, kind: 'GatewayClass', metadata: { name: gatewayClass }, spec };
    documents.push({ object, ingresses: [], notes: [] });
  }
  const http = {
    name: HTTP_LISTENER,
    port: httpPort,
    protocol: 'HTTP',
    allowedRoutes: { namespaces: { from: 'All' } },
  };
  for (const [index, parent] of parents.entries()) {
    const isFirst = index === 0;
    const { kind, clients } = parent;
    const written = parent.listeners.map((each) => listenerOf(each, namespace, settings.httpsPort ?? 443));
    const certificates = clients && clientCertificates(clients, namespace);
    const spec =
      kind === 'ListenerSet'
        ? { parentRef: { name }, listeners: written }
        : {
            gatewayClassName: gatewayClass,
            ...(isFirst && hasSets && { allowedListeners: { namespaces: { from: 'Same' } } }),
            listeners: [...(isFirst ? [http] : []), ...written],
            ...(certificates && { tls: { frontend: { default: { validation: certificates.validation } } } }),
          };
    if (certificates) documents.push({ object: certificates.configMap, ingresses: [], notes: [] });
    const notes = parent.listeners.flatMap((each) => each.notes);
    if (clients)
      notes.push(
        note(
          'differs',
          'This Gateway shares the addresses of the other one in Portico; elsewhere it may have its own.',
        ),
      );
    documents.push({
      object: { apiVersion: VERSION, kind, metadata: { name: parent.name, namespace }, spec },
      ingresses: ingressesOf(parent.listeners),
      notes: isFirst ? [...gatewayNotes, ...notes] : notes,
    });
  }
  documents.push(...grants(listeners, { namespace, name }, hasSets));
  return {
    documents,
    parentRef: (listener, from) => {
      const { kind, name: parent } = place.get(listener) ?? { kind: 'Gateway', name };
      return {
        ...(kind !== 'Gateway' && { group: GROUP, kind }),
        name: parent,
        ...(from !== namespace && { namespace }),
        sectionName: listener,
      };
    },
  };
}

/** The Gateway, its ListenerSets, and the Gateways for clients with certificates. */
function parentsOf(name: string, listeners: readonly TlsListener[]): readonly ListenerParent[] {
  const open = listeners.filter(({ clients }) => clients === null);
  const first = open.slice(0, MAX_LISTENERS - 1);
  const sets = chunks(open.slice(first.length), MAX_LISTENERS).map((some, index): ListenerParent => {
    const setName = shortened(`${name}-${index + 2}`, 'ListenerSet');
    return { kind: 'ListenerSet', name: setName, listeners: some, clients: null };
  });
  const asking = Map.groupBy(listeners, ({ clients }) => clients?.policyId ?? '');
  asking.delete('');
  const others = [...asking.values()].flatMap((same) =>
    chunks(same, MAX_LISTENERS).map((some, index): ListenerParent => {
      const clients = some[0]?.clients ?? null;
      const base = `${name}-clients-${digestOf(clients?.caCertificates ?? '')}`;
      const own = shortened(index === 0 ? base : `${base}-${index + 1}`, 'Gateway');
      return { kind: 'Gateway', name: own, listeners: some, clients };
    }),
  );
  return [{ kind: 'Gateway', name, listeners: first, clients: null }, ...sets, ...others];
}

/** The CA certificates, which are public, in a ConfigMap beside the Gateway. */
function clientCertificates({ caCertificates }: ClientAuth, namespace: string) {
  const name = `client-ca-${digestOf(caCertificates)}`;
  return {
    validation: { caCertificateRefs: [{ group: '', kind: 'ConfigMap', name }] },
    configMap: {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, namespace },
      data: { 'ca.crt': caCertificates },
    },
  };
}

function tlsListeners(views: readonly HostView[], httpsPort: number | null): readonly TlsListener[] {
  const listeners = new Map<string, TlsListener>();
  if (httpsPort === null) return [];
  for (const { hostname, tls, https } of views) {
    if (tls === null || tls.kind === 'none') continue;
    const isTerminated = tls.kind === 'certificate';
    const host = isTerminated ? tls.listener : hostname;
    const name = tlsListenerName(host, isTerminated ? 'https' : 'tls');
    const listener = listeners.get(name) ?? {
      name,
      hostname: host,
      secret: isTerminated ? tls.secret : null,
      clients: isTerminated ? tls.clients : null,
      ingresses: [],
      notes: [],
    };
    listeners.set(name, listener);
    const ingresses = isTerminated
      ? https.map((entry) => (entry.kind === 'serve' ? entry.route.ingress : entry.ingress))
      : [tls.route.ingress];
    for (const ingress of ingresses)
      if (!listener.ingresses.includes(ingress)) listener.ingresses.push(ingress);
    if (isTerminated && tls.fault !== null && tls.fault !== 'missing') {
      const text = `Listener ${name} is not served until its Secret ${tls.secret} is: ${tls.fault}`;
      addNotes(listener.notes, [note('lost', text)]);
    }
  }
  return [...listeners.values()].sort((a, b) => compareText(a.name, b.name));
}

function listenerOf({ name, hostname, secret }: TlsListener, namespace: string, port: number): UntypedObject {
  const home = secret === null ? '' : namespaceOf(secret);
  const reference =
    secret === null
      ? null
      : { name: secret.slice(home.length + 1), ...(home !== namespace && { namespace: home }) };
  return {
    name,
    ...(hostname !== '' && { hostname }),
    port,
    protocol: reference === null ? 'TLS' : 'HTTPS',
    tls: reference === null ? { mode: 'Passthrough' } : { certificateRefs: [reference] },
    allowedRoutes: { namespaces: { from: 'All' } },
  };
}

function ingressesOf(listeners: readonly TlsListener[]): readonly ObjectKey[] {
  return [...new Set(listeners.flatMap(({ ingresses }) => ingresses))].filter((key) => key !== '').toSorted();
}

/** What lets the listeners have the Secrets of other namespaces, each by its name. */
function grants(
  listeners: readonly TlsListener[],
  gateway: { readonly namespace: string; readonly name: string },
  hasSets: boolean,
): readonly ConvertedDocument[] {
  const secrets = [...new Set(listeners.flatMap(({ secret }) => secret ?? []))].toSorted();
  const byNamespace = Map.groupBy(secrets, namespaceOf);
  byNamespace.delete(gateway.namespace);
  const from = ['Gateway', ...(hasSets ? ['ListenerSet'] : [])].map((kind) => ({
    group: GROUP,
    kind,
    namespace: gateway.namespace,
  }));
  // Gateways of other namespaces may have grants with this name, too.
  const base = `${gateway.name}-certificates-${digestOf(gateway.namespace)}`;
  return [...byNamespace].flatMap(([namespace, all]) =>
    chunks(all, MAX_GRANTED).map((some, index) => ({
      object: {
        // Every release has this version of it.
        apiVersion: `${GROUP}/v1beta1`,
        kind: 'ReferenceGrant',
        metadata: { name: shortened(index === 0 ? base : `${base}-${index + 1}`, 'grant'), namespace },
        spec: {
          from,
          to: some.map((secret) => ({ group: '', kind: 'Secret', name: namespaceAndName(secret).name })),
        },
      },
      ingresses: [],
      notes: [],
    })),
  );
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}
