import type { ObjectKey } from '../../model/objects.ts';
import type { Problem } from '../../model/problem.ts';
import { entries, get } from '../../model/sharded-map.ts';
import { asObject } from '../../model/untyped.ts';
import { INGRESS_NGINX, PORTICO } from '../../policies/annotation-spec.ts';
import { describePolicies } from '../../policies/describe-policies.ts';
import { policySet } from '../../policies/policy-set.ts';
import type { Compilation } from '../compile/compile.ts';
import { isRestricting } from '../host-passthrough.ts';
import { compareText } from '../precedence.ts';
import { scopeHost, scopeKind } from '../scope.ts';
import {
  type Conversion,
  type ConversionNote,
  type ConvertSettings,
  type ConvertedDocument,
  addNotes,
  note,
} from './conversion.ts';
import type { HostView } from './host-views.ts';
import type { AnnotationKeeper } from './kept-annotations.ts';
import { replacesAnother } from './replaced-object.ts';

/** Where there is something else of the name already. */
export function replacingNotes(
  { object }: ConvertedDocument,
  { snapshot }: Compilation,
): readonly ConversionNote[] {
  if (!replacesAnother(object, snapshot)) return [];
  const { kind, metadata } = object;
  return [note('lost', `There is another ${kind} ${metadata.name}: to apply this one replaces it.`)];
}

/** What is different for all of a host; `unnamed` are the hosts that no route can name and that may come to it. */
export function notesOnHost(
  { hostname, routes, tls }: HostView,
  unnamed: readonly string[],
  { portable }: ConvertSettings,
): readonly ConversionNote[] {
  const notes: ConversionNote[] = [];
  if (unnamed.length > 0) {
    const text = `${hostname || 'This route'} may take hosts like ${firstOf(unnamed)}, which no route can name.`;
    notes.push(note('differs', text));
  }
  if ((routes?.patterns?.lists.length ?? 0) > 1) {
    const text = `Of the namespaces with regular expressions for ${hostname} the first by name is asked first, not the older Ingress.`;
    notes.push(note('differs', text));
  }
  if (hostname.startsWith('*.')) {
    const text = `${hostname} takes hosts with any number of labels before ${hostname.slice(1)}; an Ingress takes one.`;
    notes.push(note('differs', text));
  }
  if (tls?.kind === 'certificate' && tls.clients !== null) {
    const text = `Clients of ${hostname} without a good certificate are turned away in the TLS handshake, not with 400.`;
    notes.push(note('differs', text));
    if (portable) notes.push(note('lost', 'Pods are told nothing of the certificate of a client.'));
    else if (tls.clients.passCertificate)
      notes.push(note('lost', 'Pods are told the names in the certificate of a client, and do not get it.'));
  }
  if (tls?.kind === 'none') {
    const text = `Clients of ${hostname} are redirected to HTTPS or served by it with the default certificate of Portico; no certificate is named, so no listener has it: name a Secret in spec.tls, or use --default-tls-secret.`;
    notes.push(note('lost', text));
  }
  return notes;
}

/** Problems of an Ingress that come of what is beside it, or is not: of the Gateways that it is converted to, too. */
const OF_THE_CLUSTER: ReadonlySet<string> = new Set([
  'BackendCaMissing',
  'ClientCaMissing',
  'HostAlsoOfRoute',
  'NoEndpoints',
  'SecretNotFound',
  'ServiceNotFound',
]);
/** Annotations that are about the Ingress as an object, or are in what is written. */
const NOT_CONVERTED = /^(?:kubectl\.kubernetes\.io\/|kubernetes\.io\/ingress\.class$|meta\.helm\.sh\/)/;

/** What the Ingress is told by itself, but for what is `said` already, and what of it is for other controllers. */
export function notesOnIngress(
  ingress: ObjectKey,
  { problems, snapshot }: Compilation,
  said: readonly string[] = [],
): ConversionNote[] {
  const told = (get(problems, `Ingress ${ingress}`) ?? []).filter(
    ({ code, severity, message }) =>
      severity !== 'info' && !OF_THE_CLUSTER.has(code) && !said.some((text) => text.includes(message)),
  );
  const notes = told.map((problem) => note('lost', problemText(problem)));
  const metadata = asObject(asObject(get(snapshot.ingresses, ingress))['metadata']);
  const others = Object.keys(asObject(metadata['annotations'])).filter(
    (name) => !name.startsWith(PORTICO) && !name.startsWith(INGRESS_NGINX) && !NOT_CONVERTED.test(name),
  );
  if (others.length > 0) {
    const text = `Annotations for other controllers: ${others.toSorted().join(', ')}.`;
    notes.push(note('lost', text));
  }
  return notes;
}

function problemText({ field, message }: Problem): string {
  return field === '' ? message : `${field}: ${message}`;
}

/** What is different for all hosts. */
export function notesOnGateway(
  views: readonly HostView[],
  { portable, httpPort, httpsPort }: ConvertSettings,
  { settings: { hostOwnership }, table: { globals } }: Compilation,
  keeper: AnnotationKeeper,
): readonly ConversionNote[] {
  const notes: ConversionNote[] = [];
  if (hostOwnership === 'namespace') {
    const text =
      'Routes of any namespace may take paths of any host here, whatever --host-ownership says: narrow allowedRoutes down.';
    notes.push(note('lost', text));
  }
  if (
    globals?.trustedProxies?.length &&
    views.some(({ http }) => http.some(({ kind }) => kind === 'redirect'))
  ) {
    const text = `Redirects to HTTPS do not read X-Forwarded-Proto: where a proxy ends TLS and sends requests to port ${httpPort}, clients would be redirected again and again; let it send them to port ${httpsPort}.`;
    notes.push(note('differs', text));
  }
  const bare = views.filter(({ tls }) => tls === null).map(({ hostname }) => hostname || 'all other hosts');
  if (httpsPort !== null && bare.length > 0) {
    const text = `HTTPS with the default certificate, for ${firstOf(bare)}: no listener has it; use --default-tls-secret to convert it.`;
    notes.push(note('differs', text));
  }
  const missing = new Set(
    views.flatMap(({ tls }) => (tls?.kind === 'certificate' && tls.fault === 'missing' ? tls.secret : [])),
  );
  if (httpsPort !== null && missing.size > 0) {
    const text = `Secrets that are not there, or were not read: ${firstOf([...missing].toSorted())}. Their listeners are not served without them.`;
    notes.push(note('lost', text));
  }
  const defaults = describePolicies(policySet(keeper.byDefault('default'), []));
  if (defaults.length > 0) {
    const text = `What flags or the ConfigMap of ingress-nginx ask for on all routes: ${defaults.join('; ')}.`;
    notes.push(note(portable ? 'lost' : 'needs Portico', text));
  }
  return notes;
}

const MAX_NAMED = 5;

function firstOf(names: readonly string[]): string {
  const more = names.length > MAX_NAMED ? ` and ${names.length - MAX_NAMED} more` : '';
  return `${names.slice(0, MAX_NAMED).join(', ')}${more}`;
}

/** What of the Ingresses is in no object: hosts that Gateway API cannot name, and Ingresses of which nothing is served. */
export function unplacedNotes(
  compilation: Compilation,
  documents: readonly ConvertedDocument[],
): Conversion['unplaced'] {
  const unplaced = new Map<ObjectKey, ConversionNote[]>();
  const add = (ingress: ObjectKey, notes: readonly ConversionNote[]): void => {
    const list = unplaced.get(ingress) ?? [];
    addNotes(list, notes);
    if (list.length > 0) unplaced.set(ingress, list);
  };
  for (const [ingress, { scopes }] of entries(compilation.claims)) {
    for (const [scope, paths] of scopes) {
      const kind = scopeKind(scope);
      if (kind !== 'glob' && kind !== 'regex') continue;
      const isClosed = paths.some(({ route }) => isRestricting(route.policies));
      const text = `Hosts like ${scopeHost(scope)}: Gateway API knows precise hosts and wildcards alone, so none of them is converted.`;
      add(ingress, [note(isClosed ? 'closed' : 'lost', text)]);
    }
  }
  const placed = new Set(documents.flatMap(({ ingresses }) => ingresses));
  for (const [ingress, { canary }] of entries(compilation.claims)) {
    if (placed.has(ingress)) continue;
    const notes = notesOnIngress(ingress, compilation);
    if (canary === null && notes.length === 0) notes.push(note('lost', 'Nothing of this Ingress is served.'));
    add(ingress, notes);
  }
  return new Map([...unplaced].toSorted(([a], [b]) => compareText(a, b)));
}
