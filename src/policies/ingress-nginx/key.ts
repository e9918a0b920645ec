/** How much harm ingress-nginx thinks a value can do: its `annotations-risk-level`. */
export type Risk = 'low' | 'medium' | 'high' | 'critical';

/** One annotation of ingress-nginx, and what becomes of it while no policy of ours implements it. */
export interface NginxKey {
  /** After `nginx.ingress.kubernetes.io/`. */
  readonly name: string;
  readonly risk: Risk;
  /** What it counts for in ingress-nginx: the paths of its Ingress, or the whole host. */
  readonly scope: 'path' | 'host';
  readonly unsupported: Unsupported;
  /** What happens without it and why, in one sentence. */
  readonly reason: string;
  /** What to write instead, where there is something. */
  readonly instead: string | null;
}

/**
 * A key that restricts decides who gets in or what is verified, or is raw configuration that may: serving without it
 * would open what was closed. There is no other verdict for such a key, so that no row of a table can open anything.
 */
export type Unsupported =
  | { readonly restricts: true; readonly verdict: 'refused' }
  | { readonly restricts: false; readonly verdict: 'reported difference' | 'no effect' };

type Row = [scope: NginxKey['scope'], risk: Risk, name: string, reason: string, instead?: string];

/** A key that restricts. */
export const refused = rowsWith({ restricts: true, verdict: 'refused' });
/** A key that asks for what is done here in another way, for every Ingress. */
export const differs = rowsWith({ restricts: false, verdict: 'reported difference' });
/** A key that an Ingress does not need here. */
export const noEffect = rowsWith({ restricts: false, verdict: 'no effect' });
/** A key that a policy implements, which says what becomes of it. */
export function served(scope: NginxKey['scope'], risk: Risk, name: string): NginxKey {
  return differs(scope, risk, name, 'A policy does it.');
}

function rowsWith(unsupported: Unsupported): (...row: Row) => NginxKey {
  return (scope, risk, name, reason, instead) => ({
    name,
    risk,
    scope,
    unsupported,
    reason,
    instead: instead ?? null,
  });
}
