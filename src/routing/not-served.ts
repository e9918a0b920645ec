import { asArray, asObject, asString } from '../model/untyped.ts';
import { ObjectReader } from '../model/object-reader.ts';
import { type ObjectKey, namespaceOf } from '../model/objects.ts';
import { entries, get } from '../model/sharded-map.ts';
import type { Compilation } from './compile/compilation.ts';
import { isWatchedNamespace } from './ingress/watched-namespaces.ts';
import { ofClass } from './left-out.ts';

/** An Ingress that has a host in its rules, and is not served there. */
export interface NotServed {
  readonly ingress: ObjectKey;
  readonly because: string;
}

/** Ingresses that one explanation names. */
const MAX_NAMED = 5;

/** Ingresses and rules that are looked at without an interruption: less than a millisecond. */
const STEP = 500;

/**
 * The Ingresses with a rule for `host` that claim nothing for it, and why. Looks at every Ingress, and may be interrupted
 * meanwhile: there may be many.
 */
export function* notServed(compilation: Compilation, host: string): Generator<void, readonly NotServed[]> {
  const found: NotServed[] = [];
  const dot = host.indexOf('.');
  const hosts = [host, ...(dot > 0 ? [`*${host.slice(dot)}`] : [])];
  let looked = 0;
  for (const [ingress, object] of entries(compilation.snapshot.ingresses)) {
    if (found.length === MAX_NAMED) break;
    const rules = asArray(asObject(asObject(object)['spec'])['rules']);
    looked += 1 + rules.length;
    if (looked >= STEP) {
      looked = 0;
      yield;
    }
    const written = hosts.find((each) => rules.some((rule) => isHostOf(rule, each)));
    if (written === undefined) continue;
    const claims = get(compilation.claims, ingress);
    // A canary claims nothing of its own, and takes a share of the route that is explained.
    if (claims?.scopes.has(written) || claims?.canary) continue;
    found.push({ ingress, because: whyNotServed(compilation, ingress) });
  }
  return found;
}

/** Whether a rule has this host, in whatever case it is written. Most have another length, and cost no copy. */
function isHostOf(rule: unknown, host: string): boolean {
  const written = asString(asObject(rule)['host']);
  return written?.length === host.length && written.toLowerCase() === host;
}

function whyNotServed({ foreign, problems, settings, snapshot }: Compilation, ingress: ObjectKey): string {
  const labelsOf = new ObjectReader(snapshot).namespaceLabels;
  if (!isWatchedNamespace(namespaceOf(ingress), settings, labelsOf))
    return 'its namespace does not have the labels of --watch-namespace-selector';
  const className = get(foreign, ingress);
  if (className !== undefined) {
    return `it is ${ofClass(className)}, and Portico serves class ${JSON.stringify(settings.ingressClass)}`;
  }
  const [worst] = get(problems, `Ingress ${ingress}`) ?? [];
  return worst === undefined
    ? 'its rules cannot be read'
    : `${worst.message.replace(/\.$/, '')} (${worst.code})`;
}
