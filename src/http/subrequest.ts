import type { HeaderField } from './head-edit.ts';
import type { CopiedContent } from './request-content.ts';

/** A request of Portico's own, that a policy makes because of a request of a client. */
export interface Subrequest {
  /** On whose behalf: the limits of this namespace count, and what its names lead to. */
  readonly namespace: string;
  readonly to: SubrequestTarget | SubrequestBackend;
  readonly method: string;
  /** Path and query, as a request line has them. */
  readonly target: string;
  /** All that are sent, `Host` among them; `Connection` and what frames a body are left to the sender. */
  readonly fields: readonly HeaderField[];
  /** The body; none when absent. It is the sender's from now on. */
  readonly body?: CopiedContent;
  /** From the call to the head of the response, or its end where `maxContentBytes` is there, but for as long as the body is under way. */
  readonly timeoutMs: number;
  /** The body of the response is part of the outcome, which fails where there are more bytes. Without it the body is dropped. */
  readonly maxContentBytes?: number;
  /** Ends it early, as when the client that it is for has left. */
  readonly cancellation?: Cancellation;
  /**
   * Present where nobody waits for it: it has less room, so that it takes none from those that are waited for. Those with
   * the same text share a part of that room.
   */
  readonly background?: string;
}

/** A server that a policy asks. Those with the same values share connections. */
export interface SubrequestTarget {
  readonly scheme: 'http' | 'https';
  /** A DNS name in lower case, or an IP address without brackets. */
  readonly host: string;
  readonly port: number;
  /** Whether its certificate must be good for the host, by the CAs that come with Node. */
  readonly verify: boolean;
}

/** A backend of the table: one of its endpoints is asked, as its Service says how. */
export interface SubrequestBackend {
  /** The key of the backend. */
  readonly backend: string;
  /** What a policy says of how it is spoken to, and its Service does not: the same object each time. */
  readonly transport?: object;
}

/** Ends one subrequest, if it is still under way. */
export class Cancellation {
  /** Set by the sender for as long as there is something to end. */
  onCancel: (() => void) | null = null;

  cancel(): void {
    this.onCancel?.();
  }
}

/** What becomes of a subrequest. It never rejects. */
export type SubrequestOutcome =
  /** Names are in lower case. `content` where the request asks for it. */
  | {
      readonly kind: 'response';
      readonly status: number;
      readonly fields: readonly HeaderField[];
      readonly content?: ResponseContent;
    }
  | { readonly kind: 'failed'; readonly reason: SubrequestFailure };

/** The whole body of a response, and what came after it. */
export interface ResponseContent {
  readonly bytes: Buffer;
  readonly trailers: readonly HeaderField[];
}

export type SubrequestFailure =
  /** No request is sent to such a host: see docs/security.md. */
  | 'host-refused'
  | 'host-unresolved'
  /** The backend is not in the table, or has no endpoint. */
  | 'no-endpoint'
  | 'unreachable'
  | 'timed-out'
  /** The response, or a field of the request, is not valid HTTP, or the response is too large. */
  | 'protocol-error'
  /** The namespace, or all of them, have too many under way. */
  | 'too-many'
  /** The server did not take the body as fast as it came. */
  | 'behind'
  | 'cancelled';
