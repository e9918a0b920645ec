/** What can be told of a request while it is served, in the order in which it happens. */
export const DEBUG_TOPICS = ['head', 'decide', 'policy', 'upstream', 'response'] as const;
export type DebugTopic = (typeof DEBUG_TOPICS)[number];

/** What a person wants to be told of requests for a while. Plain data for the data-plane threads. */
export interface DebugSession {
  readonly id: number;
  readonly topics: readonly DebugTopic[];
  /** Of the requests, in lower case and without a port; null for every host. */
  readonly host: string | null;
  /** Milliseconds since the epoch. */
  readonly until: number;
  /** How many of them each thread tells of. */
  readonly requests: number;
}

/** One thing that happened to a request. */
export interface DebugLine {
  readonly session: number;
  readonly requestId: string;
  readonly topic: DebugTopic;
  readonly text: string;
}
