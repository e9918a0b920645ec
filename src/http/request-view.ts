import type { AuthOutcome } from './auth-outcome.ts';
import type { ConnectionInfo } from './connection-info.ts';
import type { Cancellation } from './subrequest.ts';
import type { RequestContent } from './request-content.ts';
import { type FieldsView, HeadEdit, type HeaderField } from './head-edit.ts';

/** The rule of an Ingress that takes a request. */
export interface MatchedRule {
  /** As the Ingress has it. */
  readonly path: string;
  /** Whether it is a regular expression. */
  readonly isPattern: boolean;
  /** The path of the request in the form in which rules are matched (see `normalizePath`). */
  readonly requestPath: string;
  /**
   * What the groups of the regular expression took of `requestPath`, the whole match first; undefined for a group that took
   * no part, null where the path is no regular expression.
   */
  groups(): readonly (string | undefined)[] | 'too-costly' | null;
}

/** A request as policies see it. `value` gives the fields that the client sent. */
export interface RequestView extends FieldsView {
  readonly method: string;
  /** The request-target as received: path and query. */
  readonly target: string;
  /** The one Host field's value. */
  readonly host: string;
  readonly scheme: 'http' | 'https';
  /** `1.0`, `1.1` or `2`. */
  readonly httpVersion: string;
  /** The client, behind whatever trusted proxies there are. */
  readonly clientAddress: string;
  readonly requestId: string;
  /** What it goes on with as CDN-Loop, and what is asked because of it. */
  readonly loop: string;
  readonly connectionInfo: ConnectionInfo;
  readonly body: RequestContent;
  /** For a subrequest that ends with the exchange, as when the client leaves; one at a time. */
  readonly cancellation: Cancellation;
  /** A policy that decides who gets in has found out; for metrics. */
  noteAuth(outcome: AuthOutcome): void;
  /** All fields that the client sent, one by one. */
  allFields(): readonly HeaderField[];
  /** Null where no path of a rule takes it, as for a default backend. */
  readonly rule: MatchedRule | null;
}

/** What policies change in a request before it is sent to an endpoint. */
export class RequestEdit extends HeadEdit {
  /** The request target in origin form; null leaves it as the client wrote it. */
  target: string | null = null;
  /** The value of Host; null leaves the client's. */
  host: string | null = null;
  /** What policies keep for the response, which may be long in coming: it counts for the client. */
  keptBytes = 0;

  override get isEmpty(): boolean {
    return this.target === null && this.host === null && super.isEmpty;
  }

  /** Also of a name that an underscore makes look like one of these: CGI and WSGI take it for the same. */
  override drops(lowerName: string): boolean {
    return super.drops(lowerName) || (lowerName.includes('_') && super.drops(lowerName.replaceAll('_', '-')));
  }
}
