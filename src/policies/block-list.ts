import { addressRanges } from '../http/address-ranges.ts';
import { compilePattern, patternFault } from '../http/pattern.ts';
import { plural } from '../model/plural.ts';
import { quote } from '../model/untyped.ts';
import type { AnnotationReader } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { type Cidrs, cidrsOf } from './cidrs.ts';
import { CONTINUE, type Verdict, definePolicy } from './policy.ts';

export interface BlockListConfig {
  readonly cidrs: Cidrs;
  readonly userAgents: TextList;
  readonly referers: TextList;
}

/** Texts without regard to case, and regular expressions. */
interface TextList {
  readonly texts: readonly string[];
  readonly patterns: readonly string[];
}

const CIDRS: AnnotationSpec = {
  name: null,
  global: 'block-cidrs',
  values: 'a list of `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.1`',
  default: 'nobody',
  scope: 'path',
  about: 'Clients that get 403 on every host, whatever an Ingress allows.',
};

const USER_AGENTS: AnnotationSpec = {
  name: null,
  global: 'block-user-agents',
  values: 'a list of texts, of `~` and `~*` with a regular expression (RE2)',
  default: 'none',
  scope: 'path',
  about: 'Values of User-Agent that get 403 on every host.',
  difference: 'regular expressions are RE2, not PCRE.',
};

const REFERERS: AnnotationSpec = {
  ...USER_AGENTS,
  global: 'block-referers',
  about: 'Values of Referer that get 403 on every host.',
};

const MAX_ENTRIES = 100;
const BLOCKED: Verdict = { kind: 'refuse', reason: 'blocked' };

export const blockList = definePolicy({
  name: 'block-list',
  phase: 'access',
  summary: 'Requests that the ConfigMap of ingress-nginx turns away from all hosts.',
  annotations: [CIDRS, USER_AGENTS, REFERERS],
  whenInvalid: 'close',

  parse(read): BlockListConfig | null {
    const cidrs = cidrsOf(read.cidrs(CIDRS) ?? []);
    const userAgents = readTexts(read, USER_AGENTS);
    const referers = readTexts(read, REFERERS);
    return cidrs.count + sizeOf(userAgents) + sizeOf(referers) === 0 ? null : { cidrs, userAgents, referers };
  },

  bind({ cidrs, userAgents, referers }) {
    const blocked = addressRanges(cidrs.ranges);
    const isBlockedAgent = matcher(userAgents);
    const isBlockedReferer = matcher(referers);
    return {
      onRequest(request) {
        const isBlocked =
          blocked.includes(request.clientAddress) ||
          isBlockedAgent?.(request.value('user-agent') ?? '') ||
          isBlockedReferer?.(request.value('referer') ?? '');
        return isBlocked ? BLOCKED : CONTINUE;
      },
    };
  },

  describe({ cidrs, userAgents, referers }) {
    const parts = [
      ...(cidrs.count > 0 ? [plural(cidrs.count, 'range')] : []),
      ...(sizeOf(userAgents) > 0 ? [plural(sizeOf(userAgents), 'user agent')] : []),
      ...(sizeOf(referers) > 0 ? [plural(sizeOf(referers), 'referer')] : []),
    ];
    return parts.join(', ');
  },
});

function readTexts(read: AnnotationReader, spec: AnnotationSpec): TextList {
  const texts: string[] = [];
  const patterns: string[] = [];
  const entries = (read.text(spec) ?? '').split(',').flatMap((entry) => entry.trim() || []);
  if (entries.length > MAX_ENTRIES)
    read.invalid(spec, `has ${entries.length} entries`, `write at most ${MAX_ENTRIES}`);
  for (const entry of entries.slice(0, MAX_ENTRIES)) {
    const [, tilde, expression = ''] = /^(~\*?)(.*)$/.exec(entry) ?? [];
    if (tilde === undefined) {
      texts.push(entry.toLowerCase());
      continue;
    }
    const pattern = tilde === '~*' ? `(?i)${expression}` : expression;
    const fault = patternFault(pattern);
    if (fault === null) patterns.push(pattern);
    else read.invalid(spec, `has the expression ${quote(expression)}, which ${fault}`, 'write one of RE2');
  }
  return { texts, patterns };
}

function sizeOf({ texts, patterns }: TextList): number {
  return texts.length + patterns.length;
}

/** Null where nothing is blocked. */
function matcher({ texts, patterns }: TextList): ((value: string) => boolean) | null {
  if (texts.length + patterns.length === 0) return null;
  const known = new Set(texts);
  const compiled = patterns.map(compilePattern);
  return (value) => known.has(value.toLowerCase()) || compiled.some((matches) => matches(value));
}
