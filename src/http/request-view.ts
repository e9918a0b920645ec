import type { ConnectionInfo } from './connection-info.ts';
import { type FieldsView, HeadEdit } from './head-edit.ts';

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
  readonly connectionInfo: ConnectionInfo;
}

/** What policies change in a request before it is sent to an endpoint. */
export class RequestEdit extends HeadEdit {
  /** The request target in origin form; null leaves it as the client wrote it. */
  target: string | null = null;
  /** The value of Host; null leaves the client's. */
  host: string | null = null;
}
