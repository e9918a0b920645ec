import type { FieldsView } from '../http/head-edit.ts';
import type { RequestEdit, RequestView } from '../http/request-view.ts';
import { ResponseEdit } from '../http/response-edit.ts';
import { type BoundPolicy, CONTINUE, type Verdict, signed } from './policy.ts';

/** Asks each policy in turn, until one responds. A promise only where a policy gives one. */
export function askPolicies(
  policies: readonly BoundPolicy[],
  request: RequestView,
  edit: RequestEdit,
  from = 0,
): Verdict | Promise<Verdict> {
  for (let i = from; i < policies.length; i++) {
    const policy = policies[i];
    const verdict = policy?.onRequest?.(request, edit) ?? CONTINUE;
    if (verdict instanceof Promise) {
      return verdict.then((kept) =>
        kept.kind === 'continue' ? askPolicies(policies, request, edit, i + 1) : signed(kept, policy),
      );
    }
    if (verdict.kind !== 'continue') return signed(verdict, policy);
  }
  return CONTINUE;
}

/** What the policies change in a response; null where none looks at it. `encodable` where its content may be encoded. */
export function editResponse(
  policies: readonly BoundPolicy[],
  fields: FieldsView,
  request: RequestView,
  encodable: ResponseEdit['encodable'] = null,
): ResponseEdit | null {
  if (policies.length === 0) return null;
  const edit = new ResponseEdit(fields, encodable);
  for (const policy of policies) policy.onResponse?.(edit, request);
  return edit;
}
