import { type AnnotationSpec, PORTICO, nginxNamesOf } from '../annotation-spec.ts';
import { POLICIES } from '../registry.ts';
import { IGNORED_KEYS } from './ignored-keys.ts';
import type { Risk } from './key.ts';
import { NGINX_KEYS } from './keys.ts';
import { judgeSnippet } from './snippet-verdict.ts';

/** What becomes of an annotation of ingress-nginx, worst first. */
export const VERDICTS = ['refused', 'reported difference', 'no effect', 'same'] as const;
/**
 * - `refused`: it restricts and cannot be honoured, so every path of its Ingress answers 503;
 * - `reported difference`: it is done in another way, or its Ingress is served without it, as the reason says;
 * - `no effect`: it does nothing here, and an Ingress does not need it;
 * - `same`: as in ingress-nginx.
 */
export type KeyVerdict = (typeof VERDICTS)[number];

export interface Judgement {
  readonly verdict: KeyVerdict;
  /** One sentence. */
  readonly reason: string;
  /** What one could write instead, none, one or more. */
  readonly instead: readonly string[];
  readonly risk: Risk;
}

const KEYS = new Map(NGINX_KEYS.map((key) => [key.name, key]));
const IGNORED = new Map(IGNORED_KEYS.map((key) => [key.name, key]));
/** What the policies implement, by the name of ingress-nginx without its prefix. */
const IMPLEMENTED: ReadonlyMap<string, AnnotationSpec> = new Map(
  POLICIES.flatMap(({ annotations }) => annotations as readonly AnnotationSpec[]).flatMap((spec) =>
    nginxNamesOf(spec).map((name) => [name, spec] as const),
  ),
);
/** Values with which a key that restricts, and that no policy implements, restricts nothing. */
const OPEN: Readonly<Record<string, string>> = {
  'enable-modsecurity': 'false',
  'enable-owasp-core-rules': 'false',
  'proxy-ssl-verify': 'off',
};
/** Judged by what they say. The other snippets are for an authentication and a firewall that are not there. */
const SNIPPETS: ReadonlySet<string> = new Set(['configuration-snippet', 'server-snippet', 'stream-snippet']);
/** An unknown name that begins like this may be a misspelt one that restricts. */
const RESTRICTS = /^(?:auth-|modsecurity|(?:allow|deny|white|black)list-)/;

/** What becomes of an annotation of ingress-nginx, named without its prefix, whatever its value. */
export function judgeKey(name: string): Judgement {
  const known = KEYS.get(name);
  const risk = known?.risk ?? 'low';
  const spec = IMPLEMENTED.get(name);
  if (spec !== undefined) {
    const instead = spec.name === null ? [] : [`${PORTICO}${spec.name}`];
    return spec.difference === undefined
      ? { verdict: 'same', reason: 'As in ingress-nginx.', instead, risk }
      : { verdict: 'reported difference', reason: capitalized(spec.difference), instead, risk };
  }
  if (known !== undefined) {
    const { unsupported, reason, instead } = known;
    return { verdict: unsupported.verdict, reason, instead: instead === null ? [] : [instead], risk };
  }
  const ignored = IGNORED.get(name);
  if (ignored !== undefined) {
    const reason = ignored.existed
      ? 'ingress-nginx 1.15 does not act on it any more.'
      : 'ingress-nginx never had such an annotation.';
    return { verdict: 'no effect', reason, instead: ignored.instead === null ? [] : [ignored.instead], risk };
  }
  return RESTRICTS.test(name)
    ? {
        verdict: 'refused',
        reason: 'No such annotation is known, and by its name it may restrict access.',
        instead: [],
        risk: 'high',
      }
    : { verdict: 'no effect', reason: 'ingress-nginx has no such annotation.', instead: [], risk };
}

/** The same with the value that it has; one that no policy implements may restrict nothing, or be a harmless snippet. */
export function judgeAnnotation(name: string, value: unknown): Judgement {
  const judgement = judgeKey(name);
  if (judgement.verdict !== 'refused') return judgement;
  if (Object.hasOwn(OPEN, name) && OPEN[name] === value)
    return { ...judgement, verdict: 'same', reason: 'With this value it restricts nothing.' };
  if (!SNIPPETS.has(name) || typeof value !== 'string') return judgement;
  const { closesBecause, instead, untranslated } = judgeSnippet(value, (key) => IMPLEMENTED.has(key));
  if (closesBecause !== null)
    return { ...judgement, reason: `Snippets are never executed, and ${closesBecause}.`, instead };
  const missing =
    untranslated.length === 0 ? '' : `; nothing here does the same as ${untranslated.join(', ')}`;
  const reason = `Snippets are never executed, and the Ingress is served without this one${missing}.`;
  return { ...judgement, verdict: 'reported difference', reason, instead };
}

/** Whether an annotation of ingress-nginx is a snippet, which has a problem of its own. */
export function isSnippet(name: string): boolean {
  return SNIPPETS.has(name);
}

/** Whether a policy of ours acts on an annotation of ingress-nginx, which then says itself what is wrong with a value. */
export function isImplemented(name: string): boolean {
  return IMPLEMENTED.has(name);
}

function capitalized(sentence: string): string {
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}
