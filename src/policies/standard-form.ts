import type { UntypedObject } from '../model/untyped.ts';

/** What a policy of an Ingress is in the standard of Gateway API. */
export interface StandardForm {
  /** Filters of a rule. */
  readonly filters: readonly UntypedObject[];
  /** What it does in another way than the policy, as sentences. */
  readonly differs?: readonly string[];
  /** What of the policy it does not do. */
  readonly lost?: readonly string[];
  /** A prefix that the rule is for in place of its regular expression. */
  readonly prefix?: string;
  /** Every request is answered: no Pod gets one, and of other policies only those that look at responses are asked. */
  readonly isFinal?: true;
}

/** Where the form of a policy is to stand. */
export interface FormContext {
  readonly path: {
    /** `default` takes what no other rule takes: a policy that looks at the path of its rule does nothing there. */
    readonly type: 'Exact' | 'PathPrefix' | 'RegularExpression' | 'default';
    /** Normalized; of a regular expression its text, which may begin with `(?i)`. */
    readonly value: string;
    /** As the Ingress wrote it. */
    readonly written: string;
  };
  /** What is not quite the same will do, because nothing else can be had. */
  readonly approximates: boolean;
  /** Not every client may send requests, so that what takes them must not change. */
  readonly isRestricted: boolean;
}

/** Of Gateway API: the longest path of a filter. */
export const MAX_FILTER_PATH = 1_024;
const MAX_FIELDS = 16;
const MAX_VALUE = 4_096;

/** The fields of a filter; null for more than it may have, for a name that comes twice, and for a value that it cannot have. */
export function filterFields(
  set: readonly (readonly [string, string])[],
): readonly { readonly name: string; readonly value: string }[] | null {
  const names = new Set(set.map(([name]) => name.toLowerCase()));
  const fits = set.every(([, value]) => value !== '' && value.length <= MAX_VALUE && value === value.trim());
  if (set.length > MAX_FIELDS || names.size < set.length || !fits) return null;
  return set.map(([name, value]) => ({ name, value }));
}

/** A ResponseHeaderModifier that sets fields; null where one cannot. */
export function responseFieldsForm(set: readonly (readonly [string, string])[]): StandardForm | null {
  const fields = filterFields(set);
  return fields && { filters: [{ type: 'ResponseHeaderModifier', responseHeaderModifier: { set: fields } }] };
}

/** A RequestRedirect to a URL; null where it has a query, or a host that is none. */
export function redirectForm(location: string, statusCode: number): StandardForm | null {
  if (!URL.canParse(location)) return null;
  const { protocol, hostname, port, pathname, search, hash, username } = new URL(location);
  const isPlain = search === '' && hash === '' && username === '' && pathname.length <= MAX_FILTER_PATH;
  if (!isPlain || !HOSTNAME.test(hostname)) return null;
  const requestRedirect = {
    scheme: protocol.slice(0, -1),
    hostname,
    ...(port !== '' && { port: Number(port) }),
    path: { type: 'ReplaceFullPath', replaceFullPath: pathname },
    statusCode,
  };
  return { filters: [{ type: 'RequestRedirect', requestRedirect }], isFinal: true };
}

const HOSTNAME = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
