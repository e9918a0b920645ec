import { closestMatch } from '../../model/closest-match.ts';
import type { ObjectReader } from '../../model/object-reader.ts';
import {
  MAX_PROBLEMS,
  type ObjectReference,
  type Problem,
  type Severity,
  problem,
} from '../../model/problem.ts';
import { AnnotationReader, CLOSED, type ReportAnnotation } from '../../policies/annotation-reader.ts';
import { type AnnotationSpec, PORTICO, namesOf } from '../../policies/annotation-spec.ts';
import type { ClientAuth } from '../../policies/client-certificate.ts';
import { type GlobalDefaults, NO_DEFAULTS } from '../../policies/global-defaults.ts';
import type { PolicyModule } from '../../policies/policy.ts';
import { type PolicySet, policySet } from '../../policies/policy-set.ts';
import { asWritten, writtenAnnotations } from '../../policies/written-annotations.ts';
import { POLICIES, type PolicyConfigs, type PolicyName } from '../../policies/registry.ts';
import type { HostGlob } from '../glob.ts';
import { HOST_GLOBS, readHostGlobs } from './host-globs.ts';
import { otherControllersProblem } from './other-controllers.ts';
import { judgeNginxAnnotations } from './nginx-annotations.ts';

/** What the annotations of an Ingress ask for. */
export interface Annotations {
  /** Null when they ask for nothing. */
  readonly policies: PolicySet | null;
  readonly globs: readonly HostGlob[];
  readonly problems: readonly Problem[];
}

/** Every annotation that Portico reads, for the reference page and for suggestions. */
export const ANNOTATIONS = [...POLICIES.flatMap((policy) => policy.annotations), HOST_GLOBS];

const KNOWN: ReadonlySet<string> = new Set(ANNOTATIONS.flatMap(namesOf));
const OURS = [...KNOWN].filter((name) => name.startsWith(PORTICO));
const REFERENCE = 'docs/reference/annotations.md lists those it has.';
/** The policies that read an annotation, by its full name. */
const BY_ANNOTATION = readersBy(namesOf);
/** The same for global options. */
const BY_OPTION = readersBy(({ global }) => (global === undefined ? [] : [global]));
const RESERVED = POLICIES.flatMap(({ name, reservedPrefixes = [] }: PolicyModule) =>
  reservedPrefixes.map((prefix) => ({ policy: name as PolicyName, prefix })),
);

/**
 * Reads the annotations of an Ingress, policy by policy; `objects` records the Secrets that are read for them, and
 * `defaults` hold where nothing is written. What is wrong with these is reported elsewhere, unless it closes the Ingress.
 * `refusedOptions` are global options that close every Ingress.
 */
export function readAnnotations(
  ingress: unknown,
  object: ObjectReference,
  objects: ObjectReader,
  defaults: GlobalDefaults = NO_DEFAULTS,
  refusedOptions: readonly string[] = [],
): Annotations {
  const { annotationsPrefix } = objects;
  const annotations = writtenAnnotations(ingress, annotationsPrefix);
  const problems: Problem[] = [];
  const report = (severity: Severity, code: string, name: string, message: string): void => {
    if (!name.includes('/')) {
      if (severity === 'error') problems.push(closedByOption(object, name));
    } else problems.push(problem(severity, code, object, `metadata.annotations[${name}]`, message));
  };
  // Looked into hundreds of times, by names that most Ingresses do not have.
  const written = new Map(Object.entries(annotations));
  const reader = (whenInvalid: 'default' | 'close'): AnnotationReader =>
    new AnnotationReader(written, object, objects, whenInvalid, report, defaults);

  const configs: Record<string, object> = {};
  const closed: PolicySet['closed'][number][] = [];
  const isCanary = (): boolean => configs['canary'] !== undefined;
  const asked = new Set<PolicyModule>();
  addReaders(asked, BY_ANNOTATION, annotations);
  addReaders(asked, BY_OPTION, defaults);
  for (const policy of POLICIES as readonly PolicyModule[]) {
    if (!asked.has(policy)) continue;
    if (isCanary() && !policy.ofCanaries) continue;
    const read = reader(policy.whenInvalid);
    const config = policy.parse(read);
    if (read.isInvalid && policy.whenInvalid === 'close') closed.push(policy.name as PolicyName);
    else if (config !== null) configs[policy.name] = config;
  }
  const globs = readHostGlobs(reader('default'));

  let unknown = 0;
  for (const name of Object.keys(annotations)) {
    if (KNOWN.has(name)) continue;
    if (name.startsWith(PORTICO)) {
      const reserved = isCanary() ? undefined : RESERVED.find(({ prefix }) => name.startsWith(prefix));
      if (reserved) closed.push(reserved.policy);
      // To find what was meant takes time, which 8,000 of them must not take from others.
      if (++unknown > MAX_PROBLEMS + 1) continue;
      const consequence = reserved ? `, so ${CLOSED}` : ' and ignores it';
      const match = closestMatch(name, OURS);
      const advice = match === null ? REFERENCE : `did you mean ${match}?`;
      const message = `Portico has no such annotation${consequence}; ${advice}`;
      report(reserved ? 'error' : 'warning', 'AnnotationUnknown', name, message);
    }
  }
  const ofOthers = otherControllersProblem(annotations, object);
  if (ofOthers) problems.push(ofOthers);
  if (refusedOptions.length > 0) {
    problems.push(closedByRefusedOptions(object, refusedOptions));
    closed.push('unsupported-access');
  }
  if (!isCanary() && judgeNginxAnnotations(annotations, object, problems) === 'close')
    closed.push('unsupported-access');
  return {
    policies: policySet(configs as PolicyConfigs, [...new Set(closed)]),
    globs,
    problems: annotationsPrefix === undefined ? problems : problems.map(withWrittenNames(annotationsPrefix)),
  };
}

function withWrittenNames(prefix: string): (problem: Problem) => Problem {
  return (each) => ({
    ...each,
    field: asWritten(each.field, prefix),
    message: asWritten(each.message, prefix),
  });
}

const NOTHING_WRITTEN: ReadonlyMap<string, unknown> = new Map();

type Readers = ReadonlyMap<string, ReadonlySet<PolicyModule>>;

function readersBy(keysOf: (spec: AnnotationSpec) => readonly string[]): Readers {
  const readers = new Map<string, Set<PolicyModule>>();
  for (const policy of POLICIES as readonly PolicyModule[]) {
    for (const key of policy.annotations.flatMap(keysOf)) {
      readers.set(key, (readers.get(key) ?? new Set()).add(policy));
    }
  }
  return readers;
}

/** Adds the policies that read something of what is written. */
function addReaders(to: Set<PolicyModule>, readers: Readers, written: object): void {
  for (const key of Object.keys(written)) for (const policy of readers.get(key) ?? []) to.add(policy);
}

/** The policies that read an annotation, by its full name. */
export function policiesReading(name: string): readonly PolicyModule[] {
  return [...(BY_ANNOTATION.get(name) ?? [])];
}

function closedByRefusedOptions(object: ObjectReference, options: readonly string[]): Problem {
  const message = `Portico cannot enforce ${options.join(', ')} of the ConfigMap of ingress-nginx, so ${CLOSED}.`;
  return problem('error', 'GlobalOptionRefused', object, 'metadata.annotations', message);
}

function closedByOption(object: ObjectReference, option: string): Problem {
  const message = `The global option ${option} is not valid, so ${CLOSED}, or the Ingress has an annotation of its own.`;
  return problem('error', 'GlobalOptionInvalid', object, 'metadata.annotations', message);
}

/** What is wrong with the global options, as problems of the ConfigMap that has them. */
export function globalOptionProblems(
  object: ObjectReference,
  objects: ObjectReader,
  defaults: GlobalDefaults,
): readonly Problem[] {
  const problems: Problem[] = [];
  const asked = new Set<PolicyModule>();
  addReaders(asked, BY_OPTION, defaults);
  for (const policy of POLICIES as readonly PolicyModule[]) {
    if (!asked.has(policy)) continue;
    const report: ReportAnnotation = (severity, code, option, message) => {
      const ofOption = code === 'AnnotationInvalid' ? 'GlobalOptionInvalid' : code;
      problems.push(problem(severity, ofOption, object, `data[${option}]`, message));
    };
    policy.parse(
      new AnnotationReader(NOTHING_WRITTEN, object, objects, policy.whenInvalid, report, defaults),
    );
  }
  return problems;
}

/** What an Ingress asks of the clients of its hosts; `unverifiable` asks for what cannot be done. */
export function clientAuthOf(policies: PolicySet | null): ClientAuth | 'unverifiable' | null {
  if (policies?.closed.includes('client-certificate')) return 'unverifiable';
  return policies?.configs['client-certificate'] ?? null;
}
