/** What the store says in which replicas count their clients together. */
export type ClusterVerdict =
  | { readonly kind: 'passes' }
  /** A request may pass in so many milliseconds. */
  | { readonly kind: 'wait'; readonly ms: number }
  /** It cannot be asked, or did not answer in time. */
  | { readonly kind: 'unavailable' };

/** The rates of all replicas together. */
export interface ClusterLimits {
  /**
   * Lets a request pass by all rates of a client or by none. `keys` tell the rates of all clients apart; `rates` has the
   * interval and the tolerance of each, in microseconds. Resolves in some 50 ms at most, and never rejects.
   */
  take(keys: readonly string[], rates: readonly number[]): Promise<ClusterVerdict>;
}
