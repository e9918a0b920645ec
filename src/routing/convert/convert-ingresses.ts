import { createHash } from 'node:crypto';
import type { ObjectKey } from '../../model/objects.ts';
import { values } from '../../model/sharded-map.ts';
import type { Compilation } from '../compile/compile.ts';
import { compareText } from '../precedence.ts';
import type { BackendTls } from './backend-tls-form.ts';
import type { RuleSettings } from './carried-policies.ts';
import {
  type Conversion,
  type ConversionNote,
  type ConvertSettings,
  type ConvertedDocument,
  addNotes,
  note,
  worstFirst,
} from './conversion.ts';
import {
  notesOnGateway,
  notesOnHost,
  notesOnIngress,
  replacingNotes,
  unplacedNotes,
} from './conversion-notes.ts';
import { backendRef, readBackend } from './convert-backends.ts';
import { convertListeners, tlsListenerName } from './convert-listeners.ts';
import {
  HTTP_LISTENER,
  type HostEntries,
  type RouteDraft,
  draftRoutes,
  namespaceAndName,
} from './convert-routes.ts';
import { type ConvertedEntry, convertEntries } from './convert-rules.ts';
import { type HostView, type ViewEntry, hostViews } from './host-views.ts';
import { AnnotationKeeper } from './kept-annotations.ts';
import { ObjectNames } from './object-names.ts';
import { UnnamedHosts } from './unnamed-hosts.ts';

const VERSION = 'gateway.networking.k8s.io/v1';
/** Where a host is served, in the words of a listener. */
type Protocol = 'http' | 'https';

/**
 * The Ingresses of a compilation as objects of Gateway API that lead to the same decisions; what cannot be said there is noted
 * on the objects. The same Ingresses give the same objects.
 */
export function convertIngresses(compilation: Compilation, settings: ConvertSettings): Conversion {
  const { table } = compilation;
  const { httpsPort } = settings;
  const { httpsRedirect } = table.globals ?? {};
  const redirect =
    httpsPort !== null && settings.redirectsToHttps ? { port: httpsPort, ...httpsRedirect } : null;
  const views = hostViews(compilation, redirect);
  const keeper = new AnnotationKeeper(compilation);
  const ruleSettings: RuleSettings = {
    compilation,
    keeper,
    portable: settings.portable,
    redirect: { status: redirect?.status ?? 308, port: httpsPort ?? 443 },
    removed: [],
  };
  const gatewayNotes = notesOnGateway(views, settings, compilation, keeper);
  const listeners = convertListeners(views, settings, gatewayNotes);

  const unnamed = new UnnamedHosts(
    table,
    views.map(({ hostname }) => hostname),
  );
  const hosts = new Map<ObjectKey, HostEntries[]>();
  const policies = new Map<string, BackendTls>();
  for (const view of views) {
    const removed = settings.portable && asksClients(view) ? TOLD_FIELDS : [];
    const found = listenedEntries(view, httpsPort !== null, { ...ruleSettings, removed });
    for (const { backendTls } of found.flatMap(({ entries: list }) => list))
      for (const tls of backendTls) policies.set(`${tls.to.service}:${tls.to.number}`, tls);
    const notes = notesOnHost(view, unnamed.at(view.hostname), settings);
    for (const { ingress, listeners: names, entries: list } of joined(found)) {
      const ofIngress = hosts.get(ingress) ?? [];
      ofIngress.push({ hostname: view.hostname, listeners: names, entries: list, notes });
      hosts.set(ingress, ofIngress);
    }
  }

  const names = new ObjectNames();
  const routes = routeDocuments(hosts, compilation, listeners.parentRef, names);
  const documents = [
    ...listeners.documents,
    ...routes,
    ...tlsRoutes(views, compilation, settings, listeners.parentRef, names),
    ...backendTlsPolicies(policies, names),
  ].map((each) => ({ ...each, notes: worstFirst([...replacingNotes(each, compilation), ...each.notes]) }));
  return {
    documents,
    unplaced: unplacedNotes(compilation, documents),
    ingresses: [...values(compilation.claims)].length,
  };
}

function httpsListener({ tls }: HostView): string | null {
  return tls?.kind === 'certificate' ? tlsListenerName(tls.listener, 'https') : null;
}

/** What an Ingress has at a host, at some listeners. */
interface ListenedEntries {
  readonly ingress: ObjectKey;
  readonly listeners: readonly string[];
  readonly entries: readonly ConvertedEntry[];
}

function listenedEntries(
  view: HostView,
  hasHttps: boolean,
  settings: RuleSettings,
): readonly ListenedEntries[] {
  const at = (
    protocol: Protocol,
    list: readonly ViewEntry[],
    listener: string,
  ): readonly ListenedEntries[] => {
    const converted = convertEntries(list, (entry) => closedAt(view, protocol, entry), settings);
    return [...Map.groupBy(converted, ({ ingress }) => ingress)].map(([ingress, some]) => {
      return { ingress, listeners: [listener], entries: some };
    });
  };
  const https = hasHttps ? httpsListener(view) : null;
  return [...at('http', view.http, HTTP_LISTENER), ...(https === null ? [] : at('https', view.https, https))];
}

/** Where the same is served by both protocols one route is for both. */
function joined(found: readonly ListenedEntries[]): readonly ListenedEntries[] {
  const groups = Map.groupBy(found, ({ ingress, entries: list }) =>
    JSON.stringify([ingress, list.map(({ kind, rules, annotations }) => [kind, rules, annotations])]),
  );
  return [...groups.values()].flatMap((same) => {
    const [first] = same;
    return first ? [{ ...first, listeners: same.flatMap(({ listeners }) => listeners) }] : [];
  });
}

function asksClients({ tls }: HostView): boolean {
  return tls?.kind === 'certificate' && tls.clients !== null;
}

/** What Pods are told of the certificate of a client; Portico lets no client write them. */
const TOLD_FIELDS = ['ssl-client-verify', 'ssl-client-subject-dn', 'ssl-client-issuer-dn', 'ssl-client-cert'];

/** Why nobody may get in, because of certificates that clients must show; null where they are let in as the route says. */
function closedAt({ routes, tls }: HostView, protocol: Protocol, entry: ViewEntry): string | null {
  const clients = routes?.clients;
  const wanted =
    entry.kind === 'serve' ? entry.route.policies?.configs['client-certificate']?.policyId : undefined;
  if (wanted !== undefined && wanted !== clients?.policyId)
    return 'its Ingress asks for other certificates of clients than its host does.';
  if (!clients) return null;
  const { ingress } = clients;
  if (protocol === 'http')
    return `clients must show certificates (Ingress ${ingress}), which they cannot by HTTP.`;
  if (tls?.kind === 'certificate' && tls.clients !== null) return null;
  return `Ingress ${ingress} says what certificates clients must show, or may, and no Gateway can ask for that.`;
}

function routeDocuments(
  hosts: ReadonlyMap<ObjectKey, readonly HostEntries[]>,
  compilation: Compilation,
  parentRef: (listener: string, namespace: string) => object,
  names: ObjectNames,
): readonly ConvertedDocument[] {
  const keys = [...hosts.keys()].toSorted();
  const homes = new Map(keys.map((key) => [key, homeOf(key, compilation)]));
  for (const key of keys) {
    const { namespace, name } = homes.get(key) ?? namespaceAndName(key);
    names.reserve('HTTPRoute', namespace, name, key);
  }
  return keys.flatMap((ingress) => {
    const { namespace, name } = homes.get(ingress) ?? namespaceAndName(ingress);
    const drafts = draftRoutes(ingress, hosts.get(ingress) ?? []);
    const said = drafts.flatMap((draft) => draft.notes.map(({ text }) => text));
    const notes = notesOnIngress(ingress, compilation, said);
    const limited = drafts.filter(({ countsClients }) => countsClients).length;
    if (limited > 1)
      notes.push(
        note('differs', `The limits for clients are counted for each of ${limited} routes by itself.`),
      );
    const used = new Map<string, number>();
    return drafts.map((draft, index): ConvertedDocument => {
      const base = draft.suffix === '' ? name : `${name}-${draft.suffix}`;
      const count = (used.get(base) ?? 0) + 1;
      used.set(base, count);
      const routeName = names.take(draft.kind, namespace, count === 1 ? base : `${base}-${count}`, ingress);
      const all: ConversionNote[] = index === 0 ? [...notes] : [];
      addNotes(all, draft.notes);
      return {
        object: routeOf(draft, routeName, namespace, parentRef),
        ingresses: ingress === '' ? [] : [ingress],
        notes: all,
      };
    });
  });
}

/** Where the routes of an Ingress are: beside it. The default backend of Portico has no Ingress, and is where its Service is. */
function homeOf(
  ingress: ObjectKey,
  { settings }: Compilation,
): { readonly namespace: string; readonly name: string } {
  if (ingress !== '') return namespaceAndName(ingress);
  return { namespace: settings.defaultBackend?.namespace ?? '', name: 'default-backend' };
}

function routeOf(
  { kind, hostnames, listeners, annotations, rules }: RouteDraft,
  name: string,
  namespace: string,
  parentRef: (listener: string, namespace: string) => object,
): ConvertedDocument['object'] {
  return {
    apiVersion: VERSION,
    kind,
    metadata: { name, namespace, ...(Object.keys(annotations).length > 0 && { annotations }) },
    spec: {
      parentRefs: listeners.map((listener) => parentRef(listener, namespace)),
      ...(hostnames.length > 0 && { hostnames }),
      rules,
    },
  };
}

function tlsRoutes(
  views: readonly HostView[],
  { snapshot }: Compilation,
  { httpsPort }: ConvertSettings,
  parentRef: (listener: string, namespace: string) => object,
  names: ObjectNames,
): readonly ConvertedDocument[] {
  return views.flatMap(({ hostname, tls }): readonly ConvertedDocument[] => {
    if (tls?.kind !== 'passthrough' || httpsPort === null) return [];
    const { ingress } = tls.route;
    const { namespace, name } = namespaceAndName(ingress);
    const reading = readBackend(tls.backend, snapshot);
    if (reading.kind === 'unknown') return [];
    const object = {
      apiVersion: VERSION,
      kind: 'TLSRoute',
      metadata: { name: names.take('TLSRoute', namespace, name, `${ingress} ${hostname}`), namespace },
      spec: {
        parentRefs: [parentRef(tlsListenerName(hostname, 'tls'), namespace)],
        hostnames: [hostname],
        rules: [{ backendRefs: [backendRef(reading, namespace)] }],
      },
    };
    return [{ object, ingresses: [ingress], notes: reading.notes }];
  });
}

/** One for each Service port, with its CA certificates in a ConfigMap: these are public. */
function backendTlsPolicies(
  policies: ReadonlyMap<string, BackendTls>,
  names: ObjectNames,
): readonly ConvertedDocument[] {
  return [...policies.values()]
    .toSorted((a, b) => compareText(a.to.service, b.to.service) || a.to.number - b.to.number)
    .flatMap(({ to, hostname, caCertificates }): readonly ConvertedDocument[] => {
      const { namespace, name } = namespaceAndName(to.service);
      const digest = createHash('sha256').update(caCertificates).digest('hex').slice(0, 8);
      const owner = `${to.service}:${to.number}`;
      const configMap = names.take('ConfigMap', namespace, `${name}-ca-${digest}`, owner);
      const policy = names.take('BackendTLSPolicy', namespace, `${name}-${to.number}`, owner);
      const target = {
        group: '',
        kind: 'Service',
        name,
        ...(to.name !== '' && { sectionName: to.name }),
      };
      return [
        {
          object: {
            apiVersion: 'v1',
            kind: 'ConfigMap',
            metadata: { name: configMap, namespace },
            data: { 'ca.crt': caCertificates },
          },
          ingresses: [],
          notes: [],
        },
        {
          object: {
            apiVersion: VERSION,
            kind: 'BackendTLSPolicy',
            metadata: { name: policy, namespace },
            spec: {
              targetRefs: [target],
              validation: {
                hostname,
                caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: configMap }],
              },
            },
          },
          ingresses: [],
          notes: [],
        },
      ];
    });
}
