/** One request as the scripted API server saw it. */
export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly verb: 'list' | 'watch' | 'get' | 'create' | 'update' | 'patch' | 'delete' | 'other';
  /** `ingresses`, `leases`, …; undefined for /version and the like. */
  readonly resource: string | undefined;
  readonly namespace: string | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly httpVersion: string;
  /** Numbers the connections in the order in which they were accepted. */
  readonly connection: number;
  readonly body: string;
}

/** What can go wrong with one request. */
export type Fault =
  /** The request is never answered. */
  | { readonly kind: 'hang' }
  /** The connection (over HTTP/2, the stream) is reset before an answer. */
  | { readonly kind: 'reset' }
  | { readonly kind: 'delay'; readonly delayMs: number }
  /** A Status with this code instead of the answer. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly reason?: string;
      readonly message?: string;
      readonly retryAfterSeconds?: number;
    }
  /** Any body at all, for a proxy in front that speaks HTML. */
  | { readonly kind: 'body'; readonly status: number; readonly contentType: string; readonly body: string }
  /** A watch that is accepted and then says nothing, not even bookmarks. */
  | { readonly kind: 'silent' }
  /** A watch whose next event is cut in the middle of its line, or a list that is cut in the middle of its body. */
  | { readonly kind: 'cut' }
  /** A watch that begins with this text, and goes on as it should. */
  | { readonly kind: 'text'; readonly text: string }
  /** A watch that answers 200 and then one ERROR event with a 410. */
  | { readonly kind: 'expired' };

export interface FaultRule {
  readonly resource?: string;
  readonly namespace?: string;
  readonly verb?: ApiRequest['verb'];
  readonly when?: (request: ApiRequest) => boolean;
  /** How many requests get it; 1 when unset. */
  readonly times?: number;
}

/** Faults waiting for the requests they are meant for, oldest first. */
export class Faults {
  #rules: { readonly rule: FaultRule; readonly fault: Fault; left: number }[] = [];

  /** The next matching requests get the fault, until the returned function is called or `times` is used up. */
  add(rule: FaultRule, fault: Fault): () => void {
    const entry = { rule, fault, left: rule.times ?? 1 };
    this.#rules.push(entry);
    return () => {
      this.#rules = this.#rules.filter((other) => other !== entry);
    };
  }

  take(request: ApiRequest): Fault | undefined {
    const entry = this.#rules.find(
      ({ rule, left }) =>
        left > 0 &&
        (rule.resource ?? request.resource) === request.resource &&
        (rule.namespace ?? request.namespace) === request.namespace &&
        (rule.verb ?? request.verb) === request.verb &&
        (rule.when?.(request) ?? true),
    );
    if (entry) entry.left--;
    return entry?.fault;
  }
}
