import { closestMatch } from '../../model/closest-match.ts';
import type { ObjectReader } from '../../model/object-reader.ts';
import {
  MAX_PROBLEMS,
  type ObjectReference,
  type Problem,
  type Severity,
  problem,
} from '../../model/problem.ts';
import { asObject } from '../../model/untyped.ts';
import { AnnotationReader, CLOSED } from '../../policies/annotation-reader.ts';
import { INGRESS_NGINX, PORTICO, namesOf } from '../../policies/annotation-spec.ts';
import type { ClientAuth } from '../../policies/client-certificate.ts';
import type { PolicyModule } from '../../policies/policy.ts';
import { type PolicySet, policySet } from '../../policies/policy-set.ts';
import { POLICIES, type PolicyConfigs, type PolicyName } from '../../policies/registry.ts';
import { nginxAccess } from '../../policies/unsupported-access.ts';
import type { HostGlob } from '../glob.ts';
import { HOST_GLOBS, readHostGlobs } from './host-globs.ts';

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
/** The names of what each policy reads. */
const NAMES = POLICIES.map(({ annotations }: PolicyModule) => annotations.flatMap(namesOf));
const RESERVED = POLICIES.flatMap(({ name, reservedPrefixes = [] }: PolicyModule) =>
  reservedPrefixes.map((prefix) => ({ policy: name as PolicyName, prefix })),
);
/** Names that one message lists. */
const MAX_NAMES = 10;

/** Reads the annotations of an Ingress, policy by policy; `objects` records the Secrets that are read for them. */
export function readAnnotations(
  ingress: unknown,
  object: ObjectReference,
  objects: ObjectReader,
): Annotations {
  const annotations = asObject(asObject(asObject(ingress)['metadata'])['annotations']);
  const problems: Problem[] = [];
  const report = (severity: Severity, code: string, name: string, message: string): void => {
    problems.push(problem(severity, code, object, `metadata.annotations[${name}]`, message));
  };
  const reader = (whenInvalid: 'default' | 'close'): AnnotationReader =>
    new AnnotationReader(annotations, object.namespace ?? '', objects, whenInvalid, report);

  const configs: Record<string, object> = {};
  const closed: PolicySet['closed'][number][] = [];
  for (const [index, policy] of POLICIES.entries()) {
    if (!NAMES[index]?.some((name) => name in annotations)) continue;
    const read = reader(policy.whenInvalid);
    const config = policy.parse(read);
    if (read.isInvalid && policy.whenInvalid === 'close') closed.push(policy.name);
    else if (config !== null) configs[policy.name] = config;
  }
  const globs = readHostGlobs(reader('default'));

  const unsupported: string[] = [];
  const restricting: string[] = [];
  let unknown = 0;
  for (const [name, value] of Object.entries(annotations)) {
    if (KNOWN.has(name)) continue;
    if (name.startsWith(PORTICO)) {
      const reserved = RESERVED.find(({ prefix }) => name.startsWith(prefix));
      if (reserved) closed.push(reserved.policy);
      // To find what was meant takes time, which 8,000 of them must not take from others.
      if (++unknown > MAX_PROBLEMS + 1) continue;
      const suggestion = `did you mean ${closestMatch(name, OURS)}?`;
      if (reserved) {
        report(
          'error',
          'AnnotationUnknown',
          name,
          `Portico has no such annotation, so ${CLOSED}; ${suggestion}`,
        );
      } else {
        report(
          'warning',
          'AnnotationUnknown',
          name,
          `Portico has no such annotation and ignores it; ${suggestion}`,
        );
      }
    } else if (name.startsWith(INGRESS_NGINX)) {
      // Also those that are not text: what cannot be read must not be taken for absent.
      const says = nginxAccess(name.slice(INGRESS_NGINX.length), value);
      if (says === 'restricted') restricting.push(name);
      else if (says === 'unrelated') unsupported.push(name);
    }
  }
  if (unsupported.length > 0) {
    const message = `Portico does not act on ${enumerate(unsupported)}: requests are served as if they were absent.`;
    problems.push(problem('warning', 'AnnotationUnsupported', object, 'metadata.annotations', message));
  }
  if (restricting.length > 0) {
    closed.push('unsupported-access');
    const message = `Portico cannot enforce ${enumerate(restricting)}, so every path of this Ingress answers 503; remove what may be open to all.`;
    problems.push(problem('error', 'AccessPolicyUnsupported', object, 'metadata.annotations', message));
  }
  return { policies: policySet(configs as PolicyConfigs, [...new Set(closed)]), globs, problems };
}

/** What an Ingress asks of the clients of its hosts; `unverifiable` asks for what cannot be done. */
export function clientAuthOf(policies: PolicySet | null): ClientAuth | 'unverifiable' | null {
  if (policies?.closed.includes('client-certificate')) return 'unverifiable';
  return policies?.configs['client-certificate'] ?? null;
}

function enumerate(names: readonly string[]): string {
  const shown = names.toSorted().slice(0, MAX_NAMES).join(', ');
  return names.length > MAX_NAMES ? `${shown} and ${names.length - MAX_NAMES} more` : shown;
}
