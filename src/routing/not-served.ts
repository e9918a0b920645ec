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

/** The Ingresses with a rule for `host` that claim nothing for it, and why. Looks at every Ingress. */
export function notServed(compilation: Compilation, host: string): readonly NotServed[] {
  const found: NotServed[] = [];
  const dot = host.indexOf('.');
  const hosts = new Set([host, ...(dot > 0 ? [`*${host.slice(dot)}`] : [])]);
  for (const [ingress, object] of entries(compilation.snapshot.ingresses)) {
    if (found.length === MAX_NAMED) break;
    const rules = asArray(asObject(asObject(object)['spec'])['rules']);
    const written = rules
      .map((rule) => asString(asObject(rule)['host'])?.toLowerCase())
      .find((each) => each !== undefined && hosts.has(each));
    const claims = get(compilation.claims, ingress);
    // A canary claims nothing of its own, and takes a share of the route that is explained.
    if (written === undefined || claims?.scopes.has(written) || claims?.canary) continue;
    found.push({ ingress, because: whyNotServed(compilation, ingress) });
  }
  return found;
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
