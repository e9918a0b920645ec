import type { ObjectKey } from '../../model/objects.ts';
import type { UntypedObject } from '../../model/untyped.ts';
import { POLICIES } from '../../policies/registry.ts';
import type { BackendTls } from './backend-tls-form.ts';
import { type RuleSettings, carryPolicies } from './carried-policies.ts';
import { type ConversionNote, addNotes, note } from './conversion.ts';
import type { RulePlace, ViewEntry } from './host-views.ts';
import { MODULES } from './policy-modules.ts';
import { type ConvertedRule, splitRules } from './split-rules.ts';

/** What one entry of a host is in Gateway API. Its rules belong together, in this order. */
export interface ConvertedEntry {
  readonly kind: 'HTTPRoute' | 'GRPCRoute';
  readonly ingress: ObjectKey;
  readonly rules: readonly ConvertedRule[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly notes: readonly ConversionNote[];
  /** Whether an annotation has clients counted, which is done for each route by itself. */
  readonly countsClients: boolean;
  /** TLS to the endpoints of a Service, which a BackendTLSPolicy says. */
  readonly backendTls: readonly BackendTls[];
}

/**
 * The entries of a host at one listener. Where all of them are for gRPC and may use nothing that only Portico has, they are those of a
 * GRPCRoute: a host is for one kind of route.
 */
export function convertEntries(
  list: readonly ViewEntry[],
  closedAt: (entry: ViewEntry) => string | null,
  settings: RuleSettings,
): readonly ConvertedEntry[] {
  if (settings.portable && list.length > 0) {
    const calls = list.map((entry) =>
      entry.kind === 'serve' ? grpcEntry(entry, closedAt(entry), settings) : null,
    );
    if (calls.every((each) => each !== null)) return calls;
  }
  return list.map((entry) => convertEntry(entry, closedAt(entry), settings));
}

const GRPC_FILTERS: ReadonlySet<unknown> = new Set([
  'RequestHeaderModifier',
  'ResponseHeaderModifier',
  'RequestMirror',
]);

/** Null for what a GRPCRoute cannot say. */
function grpcEntry(
  entry: Extract<ViewEntry, { kind: 'serve' }>,
  closed: string | null,
  settings: RuleSettings,
): ConvertedEntry | null {
  const match = grpcMatchOf(entry.place);
  const protocol = entry.route.policies?.configs['backend-transport']?.protocol;
  if (match === null || protocol !== 'grpc' || entry.challengesOnly) return null;
  const converted = serveEntry(entry, closed, settings, match);
  const isSayable = converted.rules.every(({ filters = [] }) =>
    filters.every(({ type }) => GRPC_FILTERS.has(type)),
  );
  if (!isSayable) return null;
  const text = 'Only calls of gRPC are taken; other requests get 404.';
  return { ...converted, kind: 'GRPCRoute', notes: [...converted.notes, note('differs', text)] };
}

/** The calls of a path: all of them, those of a service, or one method. */
function grpcMatchOf({ type, value }: RulePlace): UntypedObject | null {
  if (type === 'PathPrefix' && value === '/') return {};
  const [, service, method] = /^\/([A-Za-z_][\w.]*)(?:\/([A-Za-z_]\w*))?$/.exec(value) ?? [];
  if (service === undefined || type === 'RegularExpression') return null;
  if ((type === 'Exact') !== (method !== undefined)) return null;
  return { method: { service, ...(method !== undefined && { method }) } };
}

/** `closed` says why nobody may get in at the host, whatever the route says; null where that is as it says. */
function convertEntry(entry: ViewEntry, closed: string | null, settings: RuleSettings): ConvertedEntry {
  switch (entry.kind) {
    case 'redirect':
      return redirectEntry(entry, settings);
    case 'serve':
      return serveEntry(entry, closed, settings);
    case 'nothing':
      return nothingEntry(entry);
    default:
      return entry satisfies never;
  }
}

function redirectEntry(
  { place: written, ingress, routes }: Extract<ViewEntry, { kind: 'redirect' }>,
  settings: RuleSettings,
): ConvertedEntry {
  const { status, port } = settings.redirect;
  const { place, notes: ofPlace } = nameable(written, settings);
  const setting = POLICIES.map(({ name }) => name).filter(
    (name) => MODULES.get(name)?.ofAllResponses && routes.some(({ policies }) => policies?.configs[name]),
  );
  const text = `Redirects to HTTPS have none of the header fields that ${setting.join(', ')} sets.`;
  const notes = setting.length > 0 ? [...ofPlace, note('differs', text)] : ofPlace;
  const requestRedirect = { scheme: 'https', ...(port !== 443 && { port }), statusCode: status };
  const rule = { matches: [matchOf(place)], filters: [{ type: 'RequestRedirect', requestRedirect }] };
  return {
    kind: 'HTTPRoute',
    ingress,
    rules: [rule],
    annotations: {},
    notes,
    countsClients: false,
    backendTls: [],
  };
}

function nothingEntry({ place, ingress }: Extract<ViewEntry, { kind: 'nothing' }>): ConvertedEntry {
  const notes = [note('differs', 'A host without paths answers 500, not 404.')];
  const rules = [{ matches: [matchOf(place)] }];
  return { kind: 'HTTPRoute', ingress, rules, annotations: {}, notes, countsClients: false, backendTls: [] };
}

function serveEntry(
  { place: written, route, challengesOnly }: Extract<ViewEntry, { kind: 'serve' }>,
  closed: string | null,
  settings: RuleSettings,
  grpcMatch: UntypedObject | null = null,
): ConvertedEntry {
  const ingress = route.ingress;
  const kind = 'HTTPRoute' as const;
  const { place, notes: ofPlace } = nameable(written, settings);
  const carried = carryPolicies(place, route, settings, grpcMatch !== null);
  const notes = [...ofPlace, ...carried.notes];
  const matches = (at: RulePlace): readonly UntypedObject[] => {
    if (grpcMatch !== null) return [grpcMatch];
    return challengesOnly ? ['GET', 'HEAD'].map((method) => ({ ...matchOf(at), method })) : [matchOf(at)];
  };
  if (challengesOnly && place.type !== 'Exact')
    notes.push(
      note(
        'differs',
        `GET and HEAD for everything below ${place.value} are served by HTTP, not tokens alone.`,
      ),
    );
  const why = closed ?? carried.closed;
  if (why !== null) {
    const text = `${placeText(place)} answers 500 to everybody: ${why}`;
    const rules = [{ matches: matches(place) }];
    return {
      kind,
      ingress,
      rules,
      annotations: {},
      notes: [note('closed', text)],
      countsClients: false,
      backendTls: [],
    };
  }
  const { prefix } = carried;
  const at: RulePlace = prefix === null ? place : { type: 'PathPrefix', value: prefix, isDefault: false };
  const filters = carried.filters.length > 0 ? { filters: carried.filters } : {};
  const common = { kind, ingress, annotations: carried.annotations, countsClients: carried.countsClients };
  if (carried.isFinal)
    return { ...common, rules: [{ matches: matches(at), ...filters }], notes, backendTls: [] };
  const {
    rules,
    notes: more,
    readings,
  } = splitRules(route, matches(at), filters, settings.compilation.snapshot);
  addNotes(notes, more);
  const tls = carried.backendTls;
  const backendTls =
    tls === null
      ? []
      : readings.flatMap((reading) => (reading.kind === 'port' ? [{ ...tls, to: reading }] : []));
  return { ...common, rules, notes, backendTls };
}

/**
 * Paths of Gateway API have no encoded slash; an expression may. Portico takes an expression for the beginning of a path, and
 * most others for all of it.
 */
function nameable(
  place: RulePlace,
  { portable }: RuleSettings,
): { readonly place: RulePlace; readonly notes: readonly ConversionNote[] } {
  if (place.type === 'RegularExpression') {
    if (!portable) return { place, notes: [] };
    const value = forAllOfPath(place.value);
    const text = `Regular expressions, and which of them comes first, depend on the implementation: test ${value}.`;
    return { place: { ...place, value }, notes: [note('differs', text)] };
  }
  if (!place.value.includes('%2F')) return { place, notes: [] };
  const escaped = place.value.replaceAll(/[^\w/%-]/g, '\\$&');
  const value = place.type === 'Exact' ? `${escaped}$` : `${escaped}(?:/.*)?$`;
  const text = `The path ${place.value} is written as an expression, because it has an encoded slash.`;
  return { place: { ...place, type: 'RegularExpression', value }, notes: [note('differs', text)] };
}

/** An expression for the beginning of a path, as one for all of it. */
function forAllOfPath(expression: string): string {
  const [, flags = '', text = ''] = /^(\(\?i\))?(.*)$/s.exec(expression) ?? [];
  // What is added, or there at the end, is of the last alternative alone.
  if (hasAlternatives(text)) return `${flags}(?:${text}).*`;
  return /(?<!\\)(?:\.\*\)?|\$)$/.test(text) ? expression : `${expression}.*`;
}

/** Whether there are some that no group holds together. */
function hasAlternatives(expression: string): boolean {
  const ofGroups = /\([^()]*\)/g;
  let rest = expression.replaceAll(/\\.|\[\^?\]?[^\]]*\]/gs, '');
  while (rest !== rest.replaceAll(ofGroups, '')) rest = rest.replaceAll(ofGroups, '');
  return rest.includes('|');
}

function placeText({ type, value, isDefault }: RulePlace): string {
  if (isDefault) return 'What no other rule takes';
  return type === 'RegularExpression' ? `The path like ${value}` : `The path ${value}`;
}

function matchOf({ type, value }: RulePlace): UntypedObject {
  return { path: { type, value } };
}
