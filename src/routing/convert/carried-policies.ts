import { isDeepStrictEqual } from 'node:util';
import { type ObjectKey, namespaceOf } from '../../model/objects.ts';
import { get } from '../../model/sharded-map.ts';
import type { UntypedObject } from '../../model/untyped.ts';
import type { PolicySet } from '../../policies/policy-set.ts';
import { POLICIES, type PolicyConfigs, type PolicyName } from '../../policies/registry.ts';
import type { FormContext, StandardForm } from '../../policies/standard-form.ts';
import type { Compilation } from '../compile/compile.ts';
import { isRestricting } from '../host-passthrough.ts';
import type { Route } from '../table.ts';
import { type BackendTls, backendTlsOf } from './backend-tls-form.ts';
import { type ConversionNote, addNotes, note } from './conversion.ts';
import type { RulePlace } from './host-views.ts';
import type { AnnotationKeeper } from './kept-annotations.ts';
import { mergeFilters } from './merge-filters.ts';
import { MODULES } from './policy-modules.ts';

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
/** What the policies of a route are in Gateway API. */
export interface CarriedPolicies {
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
export function carryPolicies(
  place: RulePlace,
  route: Route,
  settings: RuleSettings,
  isGrpc: boolean,
): CarriedPolicies {
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
    if (standard === null || !fitsInto(forms, standard, settings)) left.push(name);
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
    if (standard !== null && fitsInto(forms, standard, settings)) {
      forms.push(standard);
      continue;
    }
    const text = describe(name, configs);
    if (mustHold(name, configs)) return { ...nothing, notes: [], closed: `${text} cannot be kept.` };
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
  return {
    prefix: forms.find((each) => each.prefix !== undefined)?.prefix ?? null,
    filters: filtersOf(forms, settings) ?? [],
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

/** Whether nobody may be served without it: it decides who gets in, where requests go, or what is verified. */
function mustHold(name: PolicyName, configs: PolicyConfigs): boolean {
  const { phase, whenInvalid } = MODULES.get(name) ?? {};
  if (phase === 'access' || phase === 'limit' || DECIDING.has(name)) return true;
  const { 'backend-transport': transport, 'upstream-tls': tls } = configs;
  switch (name) {
    // What is spoken grants nothing.
    case 'backend-transport':
      return transport?.caCertificates !== null;
    case 'upstream-tls':
      return tls?.caCertificates !== null || tls.clientSecret !== null;
    default:
      return whenInvalid === 'close';
  }
}

/** Those of all forms together; null where they are more than a rule may have. */
function filtersOf(
  forms: readonly StandardForm[],
  { removed }: RuleSettings,
): readonly UntypedObject[] | null {
  const requestHeaderModifier = { remove: removed };
  const removing = removed.length > 0 ? [{ type: 'RequestHeaderModifier', requestHeaderModifier }] : [];
  return mergeFilters([...forms.flatMap(({ filters }) => filters), ...removing]);
}

function fitsInto(forms: readonly StandardForm[], form: StandardForm, settings: RuleSettings): boolean {
  return filtersOf([...forms, form], settings) !== null;
}

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
