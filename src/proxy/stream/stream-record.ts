/** Why a stream ended, as it is counted and logged. */
export const STREAM_ENDS = [
  /** Both sides ended in order; datagrams of a client that stopped to send. */
  'closed',
  'client-reset',
  'upstream-reset',
  /** No byte came for too long. */
  'idle',
  'no-endpoint',
  /** No endpoint took the connection. */
  'connect-failed',
  'out-of-descriptors',
  /** It has been through this Portico too often. */
  'loop-detected',
  /** Its namespace has its part of the streams, and none of these gives way. */
  'too-many',
  /** It had been silent longest when there was no room for another one. */
  'evicted',
  /** The service sends to another backend, or its endpoint is gone. */
  'service-changed',
  'draining',
  'fault',
] as const;
export type StreamOutcome = (typeof STREAM_ENDS)[number];

/** Where a stream came in. */
export interface StreamSource {
  /** `tls`: TLS without requests of ours, on a port that is not of a TCP service. */
  readonly protocol: 'tcp' | 'udp' | 'tls';
  /** 0 for `tls`. */
  readonly port: number;
  readonly clientAddress: string;
}

/** One TCP connection, or the datagrams of one client, that was relayed as it is; filled while it goes on. */
export interface StreamRecord extends StreamSource {
  readonly startedAt: number;
  durationMs: number;
  readonly backend: string;
  /** The one that was tried last; empty for none. */
  endpoint: string;
  attempts: number;
  /** From the client. */
  receivedBytes: number;
  /** To the client. */
  sentBytes: number;
  receivedDatagrams: number;
  sentDatagrams: number;
  end: StreamOutcome;
}

export function streamRecord(source: StreamSource, backend: string, now: number): StreamRecord {
  const { protocol, port, clientAddress } = source;
  return {
    ...{ protocol, port, clientAddress, backend, startedAt: now, durationMs: 0, endpoint: '', attempts: 0 },
    ...{ receivedBytes: 0, sentBytes: 0, receivedDatagrams: 0, sentDatagrams: 0, end: 'closed' },
  };
}
