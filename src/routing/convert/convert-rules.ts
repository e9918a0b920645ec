import { type ObjectKey, namespaceOf } from '../../model/objects.ts';
import type { UntypedObject } from '../../model/untyped.ts';
import type { PolicySet } from '../../policies/policy-set.ts';
import type { PolicyModule } from '../../policies/policy.ts';
import type { FormContext, StandardForm } from '../../policies/standard-form.ts';
import { POLICIES, type PolicyConfigs, type PolicyName } from '../../policies/registry.ts';
import { isDeepStrictEqual } from 'node:util';
import { get } from '../../model/sharded-map.ts';
import type { Compilation } from '../compile/compile.ts';
import { isRestricting } from '../host-passthrough.ts';
import type { CanaryBackend, Route, WeightedBackend } from '../table.ts';
import { type BackendReading, backendRef, readBackend, smallestWeights } from './convert-backends.ts';
import { type ConversionNote, addNotes, note } from './conversion.ts';
import type { RulePlace, ViewEntry } from './host-views.ts';
import type { AnnotationKeeper } from './kept-annotations.ts';
import { type BackendTls, backendTlsOf } from './backend-tls-form.ts';
import { mergeFilters } from './merge-filters.ts';

/** A rule of an HTTPRoute or a GRPCRoute. */
export interface ConvertedRule {
  readonly matches: readonly UntypedObject[];
  readonly filters?: readonly UntypedObject[];
  /** Absent where nobody gets in, and where the filters answer. */
  readonly backendRefs?: readonly UntypedObject[];
}

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

export interface RuleSettings {
  readonly compilation: Compilation;
  readonly keeper: AnnotationKeeper;
  readonly portable: boolean;
  readonly redirect: { readonly status: number; readonly port: number };
  /** Header fields that Pods take for the words of the listener, and must not get from clients. */
  readonly removed: readonly string[];
}

/** What they ask for is in the hosts, paths, rules and listeners that are written. */
const STRUCTURE: ReadonlySet<PolicyName> = new Set([
  'canary',
  'host-aliases',
  'path-regex',
  'www-redirect',
  'ssl-redirect',
  'client-certificate',
  'tls-passthrough',
  'service-upstream',
]);
/** What to do about one that is lost. */
const ADVICE: ReadonlyMap<PolicyName, string> = new Map([
  [
    'backend-transport',
    ' Requests are sent by HTTP/1.1: give the Service port the appProtocol https or kubernetes.io/h2c, or write a BackendTLSPolicy.',
  ],
]);
/** Policies without which requests would not go where they should: then nobody is served. */
const DECIDING: ReadonlySet<PolicyName> = new Set(['redirect', 'rewrite']);
const MODULES: ReadonlyMap<string, PolicyModule> = new Map(
  (POLICIES as readonly PolicyModule[]).map((policy) => [policy.name, policy]),
);

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
  const requestHeaderModifier = { remove: settings.removed };
  const removing =
    settings.removed.length > 0 ? [{ type: 'RequestHeaderModifier', requestHeaderModifier }] : [];
  const merged = mergeFilters([...carried.filters, ...removing]);
  const filters = merged.length > 0 ? { filters: merged } : {};
  const common = { kind, ingress, annotations: carried.annotations, countsClients: carried.countsClients };
  if (carried.isFinal)
    return { ...common, rules: [{ matches: matches(at), ...filters }], notes, backendTls: [] };
  const { rules, notes: more, readings } = splitRules(route, matches(at), filters, settings);
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
    const value = /\.\*\)?$|\$$/.test(place.value) ? place.value : `${place.value}.*`;
    const text = `Regular expressions, and which of them comes first, depend on the implementation: test ${value}.`;
    return { place: { ...place, value }, notes: [note('differs', text)] };
  }
  if (!place.value.includes('%2F')) return { place, notes: [] };
  const escaped = place.value.replaceAll(/[^\w/%-]/g, '\\$&');
  const value = place.type === 'Exact' ? `${escaped}$` : `${escaped}(?:/.*)?$`;
  const text = `The path ${place.value} is written as an expression, because it has an encoded slash.`;
  return { place: { ...place, type: 'RegularExpression', value }, notes: [note('differs', text)] };
}

function placeText({ type, value, isDefault }: RulePlace): string {
  if (isDefault) return 'What no other rule takes';
  return type === 'RegularExpression' ? `The path like ${value}` : `The path ${value}`;
}

function matchOf({ type, value }: RulePlace): UntypedObject {
  return { path: { type, value } };
}

interface Carried {
  /** What the rule is for in place of its expression. */
  readonly prefix: string | null;
  readonly filters: readonly UntypedObject[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly notes: readonly ConversionNote[];
  readonly countsClients: boolean;
  readonly isFinal: boolean;
  readonly closed: string | null;
  readonly backendTls: Omit<BackendTls, 'to'> | null;
}

/** What becomes of the policies of a route. */
function carryPolicies(place: RulePlace, route: Route, settings: RuleSettings, isGrpc: boolean): Carried {
  const { policies, ingress } = route;
  const { keeper, portable } = settings;
  const nothing = {
    prefix: null,
    filters: [],
    annotations: {},
    countsClients: false,
    isFinal: false,
    closed: null,
    backendTls: null,
  };
  if (policies === null) return { ...nothing, notes: [] };
  if (policies.closed.length > 0)
    return { ...nothing, notes: [], closed: whyClosed(ingress, policies, settings) };
  const { configs } = policies;
  const byDefault = keeper.byDefault(namespaceOf(ingress));
  const notes: ConversionNote[] = [];
  const forms: StandardForm[] = [];
  const left: PolicyName[] = [];
  const tls = backendTlsOf(configs);
  const isElsewhere = (name: PolicyName): boolean =>
    STRUCTURE.has(name) ||
    (tls !== null && (name === 'backend-transport' || name === 'upstream-tls')) ||
    (isGrpc && name === 'backend-transport');
  for (const { name, phase } of POLICIES) {
    const config = configs[name];
    if (config === undefined || isElsewhere(name)) continue;
    if (forms.some(({ isFinal }) => isFinal) && phase !== 'response') continue;
    const isByDefault = isDeepStrictEqual(config, byDefault[name]);
    const standard = isByDefault ? null : formOf(name, config, contextOf(place, route, false));
    if (standard === null) left.push(name);
    else forms.push(standard);
  }
  const countsClients = left.some((name) => MODULES.get(name)?.phase === 'limit');
  const kept = portable ? { annotations: {}, notes: [], lost: left } : keeper.keep(ingress, policies, left);
  addNotes(notes, kept.notes);
  const needed = Object.keys(kept.annotations);
  if (needed.length > 0) notes.push(note('needs Portico', `${needed.join(', ')}.`));
  for (const name of kept.lost) {
    const config = configs[name];
    const standard = config ? formOf(name, config, contextOf(place, route, true)) : null;
    if (standard !== null) {
      forms.push(standard);
      continue;
    }
    const phase = MODULES.get(name)?.phase;
    const text = describe(name, configs);
    if (phase === 'access' || phase === 'limit' || DECIDING.has(name))
      return { ...nothing, notes: [], closed: `${text} cannot be kept.` };
    if (!isDeepStrictEqual(config, byDefault[name]))
      notes.push(note('lost', `${text}.${ADVICE.get(name) ?? ''}`));
  }
  for (const { differs = [], lost = [] } of forms) {
    addNotes(notes, [
      ...lost.map((each) => note('lost', each)),
      ...differs.map((each) => note('differs', each)),
    ]);
  }
  if (tls !== null) addNotes(notes, tls.notes);
  const merged = mergeFilters(forms.flatMap(({ filters }) => filters));
  return {
    prefix: forms.find((each) => each.prefix !== undefined)?.prefix ?? null,
    filters: merged,
    annotations: kept.annotations,
    countsClients,
    notes,
    isFinal: forms.some(({ isFinal }) => isFinal),
    closed: null,
    backendTls: tls,
  };
}

/** In the words of the problems of the Ingress. */
function whyClosed(ingress: ObjectKey, { closed }: PolicySet, { compilation }: RuleSettings): string {
  const problems = get(compilation.problems, `Ingress ${ingress}`) ?? [];
  const errors = problems.filter(
    ({ severity, field }) => severity === 'error' && field.startsWith('metadata.annotations'),
  );
  const why = [...new Set(errors.map(({ message }) => message))].slice(0, MAX_REASONS).join(' ');
  return `the Ingress is closed by ${closed.join(', ')}. ${why}`.trimEnd();
}

const MAX_REASONS = 3;

function contextOf({ type, value, isDefault }: RulePlace, route: Route, approximates: boolean): FormContext {
  const path = { type: isDefault ? ('default' as const) : type, value, written: route.path };
  return { path, approximates, isRestricted: isRestricting(route.policies) };
}

function formOf(name: PolicyName, config: object, context: FormContext): StandardForm | null {
  return MODULES.get(name)?.standardForm?.(config, context) ?? null;
}

function describe(name: PolicyName, configs: PolicyConfigs): string {
  const policy = MODULES.get(name);
  const config = configs[name];
  const describeConfig = policy?.outline ?? policy?.describe;
  return config && describeConfig ? `${name} (${describeConfig.call(policy, config)})` : name;
}

interface SplitRules {
  readonly rules: readonly ConvertedRule[];
  readonly notes: readonly ConversionNote[];
  readonly readings: readonly BackendReading[];
}

/** The rules of a route: one, or with a canary one for each thing that decides, and one for the rest. */
function splitRules(
  route: Route,
  matches: readonly UntypedObject[],
  filters: Pick<ConvertedRule, 'filters'>,
  { compilation }: RuleSettings,
): SplitRules {
  const { snapshot } = compilation;
  const notes: ConversionNote[] = [];
  const all: readonly WeightedBackend[] = route.backends ?? [{ key: route.backend, weight: 1, canary: null }];
  const namespace = namespaceOf(route.ingress);
  const readings = all.map(({ key }) => readBackend(key, snapshot));
  const refs = (chosen: readonly number[], weights: readonly number[] | null): ConvertedRule['backendRefs'] =>
    chosen.flatMap((index) => {
      const reading = readings[index];
      return reading?.kind === 'port' ? [backendRef(reading, namespace, weights?.[index] ?? null)] : [];
    });
  for (const reading of readings) {
    if (reading.kind === 'port') addNotes(notes, reading.notes);
    else notes.push(note('lost', `${reading.why}; requests get 500.`));
  }
  const rule = (extra: UntypedObject, backendRefs: ConvertedRule['backendRefs']): ConvertedRule => ({
    matches: matches.map((match) => ({ ...match, ...extra })),
    ...filters,
    ...(backendRefs && backendRefs.length > 0 && { backendRefs }),
  });
  if (all.length === 1) return { rules: [rule({}, refs([0], null))], notes, readings };
  const everyone = all.map((_, index) => index);
  const rules: ConvertedRule[] = [];
  for (const [index, { canary }] of all.entries()) {
    if (canary === null) continue;
    for (const { match, takes } of conditionsOf(canary, notes)) {
      const chosen = takes ? [index] : everyone.filter((each) => each !== index);
      rules.push(rule({ headers: [match] }, refs(chosen, null)));
    }
    if (!isDeepStrictEqual(withoutCanary(canary.route.policies), withoutCanary(route.policies)))
      notes.push(
        note(
          'lost',
          `What Ingress ${canary.ingress} says of its own Pods: requests to them are handled as those to the others.`,
        ),
      );
  }
  rules.push(rule({}, refs(everyone, smallestWeights(all))));
  const [first] = all.flatMap(({ canary }) => canary ?? []);
  if (first)
    notes.push(
      note(
        'differs',
        `While the Service of the canary ${first.ingress} has no endpoint, its share gets 503.`,
      ),
    );
  return { rules, notes, readings };
}

function withoutCanary(policies: PolicySet | null): PolicyConfigs {
  const { canary: _, 'path-regex': __, ...configs } = policies?.configs ?? {};
  return configs;
}

interface Condition {
  readonly match: UntypedObject;
  /** Whether requests that match go to the canary; the others do otherwise. */
  readonly takes: boolean;
}

/** In the order in which they decide. */
function conditionsOf(
  { conditions: { header, cookie } }: CanaryBackend,
  notes: ConversionNote[],
): readonly Condition[] {
  const conditions: Condition[] = [];
  if (header !== null) {
    const { name, takes } = header;
    switch (takes.kind) {
      case 'always':
        conditions.push({ match: { name, value: 'always' }, takes: true });
        conditions.push({ match: { name, value: 'never' }, takes: false });
        break;
      case 'value':
        conditions.push({ match: { name, value: takes.value }, takes: true });
        break;
      case 'pattern': {
        const value = `.*(?:${takes.pattern}).*`;
        conditions.push({ match: { type: 'RegularExpression', name, value }, takes: true });
        break;
      }
      default:
        takes satisfies never;
    }
  }
  if (cookie !== null) {
    const escaped = cookie.replaceAll(/[^\w-]/g, '\\$&');
    for (const [value, isTaken] of [
      ['always', true],
      ['never', false],
    ] as const) {
      const pattern = `(?:.*;\\s*)?${escaped}=${value}(?:\\s*;.*)?`;
      conditions.push({
        match: { type: 'RegularExpression', name: 'Cookie', value: pattern },
        takes: isTaken,
      });
    }
    notes.push(note('differs', `The cookie ${cookie} is looked for by an expression in the Cookie field.`));
  }
  return conditions;
}
