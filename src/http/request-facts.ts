import type { ConnectionInfo } from './connection-info.ts';

/** What a request says and how it came: all that decides where it goes and what it may do. */
export interface RequestFacts {
  readonly method: string;
  /** The request-target: origin-form, absolute-form or `*`. */
  readonly target: string;
  /** The one Host field's value; only in HTTP/1.0 it may be empty or missing. */
  readonly host: string;
  /** HTTP/1.1 unless said. */
  readonly httpVersion?: string;
  /** What the client speaks, to us or to a trusted proxy in front of us: `http` unless it is known better. */
  readonly scheme?: 'http' | 'https';
  /** How many times it has been through a Portico; 0 unless said. */
  readonly hops?: number;
  /** Milliseconds since the epoch; sessions do not end when absent. */
  readonly startedAt?: number;
  /** Drawn for this request, from 0 to below 1: which backend it gets where requests are split. 0 unless said. */
  readonly random?: number;
  /** The values of its fields of a lower-case name, joined with `, `; none unless said. */
  value?(name: string): string | undefined;
  /** The connection that it came on: in clear text unless it is known better. */
  readonly connectionInfo?: Pick<
    ConnectionInfo,
    'tls' | 'certificate' | 'portKey' | 'gatewayOnly' | 'serverName'
  >;
}
