import type { RequestEdit, RequestView } from '../http/request-view.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { type BoundPolicy, CONTINUE, type Verdict, definePolicy, signed } from './policy.ts';

export interface SatisfyConfig {
  readonly satisfy: 'any';
}

const SATISFY: AnnotationSpec = {
  name: 'satisfy',
  nginx: 'satisfy',
  values: '`all`, `any`',
  default: 'all',
  scope: 'path',
  about:
    'Whether a client must meet all of `allow-from` and `deny-from`, `auth-url` and `basic-auth-secret`, or only one of them. ' +
    'Those that are not written do not count.',
  difference:
    'with `any`, Pods see the `Authorization` of clients that are let in by something else than a password.',
};

export const satisfy = definePolicy({
  name: 'satisfy',
  phase: 'access',
  summary: 'Whether one of several access rules is enough.',
  annotations: [SATISFY],
  whenInvalid: 'close',
  reservedPrefixes: ['portico.dev/satisf'],

  parse(read): SatisfyConfig | null {
    return read.choice(SATISFY, ['all', 'any']) === 'any' ? { satisfy: 'any' } : null;
  },

  describe: () => 'any',
});

/**
 * Policies of which one that lets a request go on is enough. They are asked in turn, so that what costs least comes first.
 * A client that none lets in is told by one that says how it may be, if there is one, as in nginx.
 */
export function anyOf(policies: readonly BoundPolicy[]): BoundPolicy {
  const ask = (
    request: RequestView,
    edit: RequestEdit,
    from: number,
    refused: Verdict | null,
  ): Verdict | Promise<Verdict> => {
    let best = refused;
    for (let i = from; i < policies.length; i++) {
      const verdict = policies[i]?.onRequest?.(request, edit) ?? CONTINUE;
      if (verdict instanceof Promise)
        return verdict.then((later) => {
          const better = betterOf(best, signed(later, policies[i]));
          return later.kind === 'continue' ? later : ask(request, edit, i + 1, better);
        });
      if (verdict.kind === 'continue') return verdict;
      best = betterOf(best, signed(verdict, policies[i]));
    }
    return best ?? CONTINUE;
  };
  const ownFields = policies.flatMap((policy) => policy.ownFields ?? []);
  return {
    onRequest(request, edit) {
      for (const name of ownFields) edit.remove(name);
      return ask(request, edit, 0, null);
    },
  };
}

function betterOf(before: Verdict | null, verdict: Verdict): Verdict {
  const saysHow = verdict.kind === 'respond' && verdict.detail === 'unauthenticated';
  return before === null || saysHow ? verdict : before;
}
