import type { EngineName } from './engines.ts';

/** What an engine is known to do differently from the contract, and why it stays that way. */
export interface Deviation {
  readonly engine: EngineName;
  /** The title of the behaviour in the contract suite. */
  readonly behaviour: string;
  readonly reason: string;
}

/** With `insecureHTTPParser` it would read more than this, and more than is safe. */
const READS_STRICTLY =
  'node:http reads responses as strictly as requests: the client gets 502, or a cut response';

export const deviations: readonly Deviation[] = [
  ...[
    'blanks after chunk sizes',
    'blanks before chunk sizes',
    'blanks before a chunk extension',
    'blanks before a colon, which stay here',
    'lines that end with LF alone, where that is asked for',
  ].map((behaviour): Deviation => ({ engine: 'http-proxy', behaviour, reason: READS_STRICTLY })),
  {
    engine: 'http-proxy',
    behaviour: 'relays a method nobody knows',
    reason: 'node:http knows a fixed list of methods and its parser refuses any other: the client gets 501',
  },
  {
    engine: 'http-proxy',
    behaviour: 'an interim response nobody knows is relayed ahead of the response',
    reason: 'node:http writes 100, 102 and 103 and has no way to write another interim response',
  },
  {
    engine: 'http-proxy',
    behaviour: '414 for a target that is longer than a whole head may be',
    reason:
      'node:http has one limit for the whole head and does not say where it was passed: the client gets 431',
  },
  {
    engine: 'http-proxy',
    behaviour: 'a pipelined request is not sent on before the one ahead of it was answered',
    reason: 'node:http hands out pipelined requests as they are parsed and only puts the responses in order',
  },
  {
    engine: 'http-proxy',
    behaviour: 'HTTP/2 is served to clients that ask for it',
    reason: 'http-proxy answers through node:http, and over TLS only http/1.1 is offered',
  },
  {
    engine: 'http-proxy',
    behaviour: 'a pod that speaks HTTP/2 is spoken to in HTTP/2',
    reason: 'http-proxy sends requests through node:http only: the client gets 501',
  },
];
