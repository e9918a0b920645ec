import { ObjectReader, type ReadableObjects } from '../../model/object-reader.ts';
import { type ObjectKey, namespaceOf } from '../../model/objects.ts';
import { type Problem, type Severity, referenceTo } from '../../model/problem.ts';
import { entries, get } from '../../model/sharded-map.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import { asObject } from '../../model/untyped.ts';
import { INGRESS_NGINX } from '../../policies/annotation-spec.ts';
import type { GlobalDefaults } from '../../policies/global-defaults.ts';
import { judgeControllerFlag } from '../../policies/ingress-nginx/controller-flags.ts';
import type { Risk } from '../../policies/ingress-nginx/key.ts';
import {
  type Judgement,
  type KeyVerdict,
  VERDICTS,
  isImplemented,
  judgeAnnotation,
} from '../../policies/ingress-nginx/verdict.ts';
import { asWritten, writtenAnnotations } from '../../policies/written-annotations.ts';
import { judgeOptionValue } from '../../policies/ingress-nginx/options.ts';
import type { CompileSettings } from '../settings.ts';
import { readAnnotations } from './annotations.ts';
import { isWatchedNamespace } from './watched-namespaces.ts';
import { type ClassSettings, ownership, readClasses } from './classes.ts';

/** One annotation of ingress-nginx on one Ingress. */
export interface AuditedAnnotation extends Judgement {
  readonly ingress: ObjectKey;
  /** After `nginx.ingress.kubernetes.io/`. */
  readonly name: string;
}

/** One option of the ConfigMap of ingress-nginx, or one of its flags. */
export interface AuditedOption extends Judgement {
  readonly name: string;
}

export interface Audit {
  /** How many Ingresses were looked at. */
  readonly ingresses: number;
  /** How many of them have no annotation of ingress-nginx. */
  readonly unannotated: number;
  /** Worst first: by verdict, then by risk, then by name. */
  readonly annotations: readonly AuditedAnnotation[];
  readonly totals: Readonly<Record<KeyVerdict, number>>;
  /** How many Ingresses have such an annotation and none that is worse. */
  readonly ingressesByVerdict: Readonly<Record<KeyVerdict, number>>;
  /** The ConfigMap that was looked at, as `namespace/name`; null when none was named. */
  readonly configMap: ObjectKey | null;
  /** What it sets, worst first. */
  readonly options: readonly AuditedOption[];
  /** The flags of ingress-nginx that were given, worst first. */
  readonly flags: readonly AuditedOption[];
}

const RISKS: readonly Risk[] = ['critical', 'high', 'medium', 'low'];
/** How an Ingress of ingress-nginx is told, whatever the name of its class. */
const INGRESS_NGINX_CLASS = { ingressClass: 'nginx', controllerName: 'k8s.io/ingress-nginx' };

type Settings = ClassSettings &
  ReadableObjects &
  Pick<CompileSettings, 'defaults' | 'ingressNginxConfigMap' | 'globalOptions' | 'namespaceSelector'>;

/**
 * What becomes of the annotations of ingress-nginx on every Ingress that is ours, that ingress-nginx serves, or that names
 * the class of the settings; of its ConfigMap; and of its flags as they are written.
 */
export function auditIngresses(
  snapshot: Snapshot,
  settings: Settings,
  controllerFlags: readonly string[] = [],
): Audit {
  const groups = new Map<string, AuditedAnnotation[]>();
  let ingresses = 0;
  let unannotated = 0;
  const isAudited = auditedIngresses(snapshot, settings);
  const byKey = [...entries(snapshot.ingresses)].sort(([a], [b]) => compareText(a, b));
  for (const [key, ingress] of byKey) {
    if (!isAudited(key, ingress)) continue;
    ingresses++;
    const objects = new ObjectReader(snapshot, settings);
    const found = auditIngress(key, ingress, objects, settings.defaults);
    if (found.length === 0) unannotated++;
    // Those that are equally urgent come together, and stay in the order of the Ingresses.
    for (const each of found) {
      const group = `${each.verdict} ${each.risk} ${each.name}`;
      const members = groups.get(group);
      if (members) members.push(each);
      else groups.set(group, [each]);
    }
  }
  const [...all] = groups.values();
  const annotations = all.sort(([a], [b]) => (a && b ? byVerdict(a, b) : 0)).flat();
  const configMap = settings.ingressNginxConfigMap ?? null;
  return {
    ...{ ingresses, unannotated, annotations },
    totals: countVerdicts(annotations),
    // The first of each Ingress is its worst.
    ingressesByVerdict: countVerdicts(
      new Map(annotations.toReversed().map((each) => [each.ingress, each])).values(),
    ),
    configMap,
    options: auditOptions(configMap, snapshot).sort(byVerdict),
    flags: controllerFlags.map(judgeControllerFlag).sort(byVerdict),
  };
}

function countVerdicts(judgements: Iterable<Judgement>): Record<KeyVerdict, number> {
  const counts = { refused: 0, 'reported difference': 0, 'no effect': 0, same: 0 };
  for (const { verdict } of judgements) counts[verdict]++;
  return counts;
}

function auditOptions(key: ObjectKey | null, { configMaps }: Snapshot): AuditedOption[] {
  const data = asObject(key === null ? undefined : get(configMaps, key)?.data);
  const unknown: Judgement = {
    verdict: 'no effect',
    reason: 'ingress-nginx has no such option.',
    instead: [],
    risk: 'low',
  };
  return Object.entries(data).map(([name, value]) => ({
    name,
    ...(judgeOptionValue(name, typeof value === 'string' ? value.trim() : '') ?? unknown),
  }));
}

function auditedIngresses(
  snapshot: Snapshot,
  settings: ClassSettings & Pick<CompileSettings, 'namespaceSelector'>,
): (key: ObjectKey, ingress: unknown) => boolean {
  const theirs = { ...settings, ...INGRESS_NGINX_CLASS };
  const readers = [settings, theirs].map((each) => ({
    each,
    classes: readClasses(snapshot.ingressClasses, each),
  }));
  const labelsOf = new ObjectReader(snapshot).namespaceLabels;
  return (key, ingress) => {
    if (!isWatchedNamespace(namespaceOf(key), settings, labelsOf)) return false;
    const object = referenceTo('Ingress', key, ingress);
    const className = asObject(asObject(ingress)['spec'])['ingressClassName'];
    return (
      className === settings.ingressClass ||
      className === INGRESS_NGINX_CLASS.ingressClass ||
      readers.some(({ each, classes }) => ownership(ingress, object, classes, each).kind !== 'foreign')
    );
  };
}

function auditIngress(
  key: ObjectKey,
  ingress: unknown,
  objects: ObjectReader,
  defaults: GlobalDefaults | undefined,
): AuditedAnnotation[] {
  const { annotationsPrefix } = objects;
  const written = writtenAnnotations(ingress, annotationsPrefix);
  const found: AuditedAnnotation[] = [];
  const names = Object.keys(written).filter((name) => name.startsWith(INGRESS_NGINX));
  if (names.length === 0) return found;
  const { problems } = readAnnotations(ingress, referenceTo('Ingress', key, ingress), objects, defaults);
  const worst = worstByField(problems);
  for (const fullName of names) {
    const name = fullName.slice(INGRESS_NGINX.length);
    const judgement = judgeAnnotation(name, written[fullName]);
    const field = asWritten(`metadata.annotations[${fullName}]`, annotationsPrefix);
    const problem = isImplemented(name) ? worst.get(field) : undefined;
    found.push({ ingress: key, name, ...(problem ? judgedByProblem(judgement, problem) : judgement) });
  }
  return found;
}

/** What a policy says of this very value tells more than what is true of the annotation. */
function judgedByProblem(judgement: Judgement, { severity, message }: Problem): Judgement {
  if (severity !== 'error') return { ...judgement, verdict: 'reported difference', reason: message };
  // The message says what to do; the same under another name would close as well.
  return { ...judgement, verdict: 'refused', reason: message, instead: [] };
}

const SEVERITIES: readonly Severity[] = ['info', 'warning', 'error'];

function worstByField(problems: readonly Problem[]): ReadonlyMap<string, Problem> {
  const worst = new Map<string, Problem>();
  for (const problem of problems) {
    const before = worst.get(problem.field);
    if (!before || SEVERITIES.indexOf(problem.severity) > SEVERITIES.indexOf(before.severity))
      worst.set(problem.field, problem);
  }
  return worst;
}

function byVerdict(a: AuditedOption, b: AuditedOption): number {
  return (
    VERDICTS.indexOf(a.verdict) - VERDICTS.indexOf(b.verdict) ||
    RISKS.indexOf(a.risk) - RISKS.indexOf(b.risk) ||
    compareText(a.name, b.name)
  );
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
