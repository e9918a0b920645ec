import type { ConnectionMemory } from '../../connection-memory.ts';
import type { Decoded } from '../hpack/decoder.ts';
import type { Http2Stream } from './stream.ts';

/** What a peer may do as often as it likes, and what it costs us each time (RFC 9113 10.5). */
export type CheapFrame = 'resets' | 'settings' | 'pings' | 'refused' | 'idleFrames';

/** Whose connection it is. */
export interface ConnectionUser {
  /** A request begins (to servers only). */
  onRequest(stream: Http2Stream, head: Decoded, ended: boolean): void;
  /** The peer's SETTINGS are there, or have changed. */
  onSettings(): void;
  /** The peer takes no more streams. */
  onGoaway(): void;
  /** A PING of ours is answered: what the peer had sent before it saw that has come. */
  onPong(): void;
  onCheapFrame(by: CheapFrame): void;
  /** All streams are closed after `close`, or the connection is of no use any more: the socket is to be closed. */
  onOver(): void;
}

export interface ConnectionSettings {
  readonly role: 'server' | 'client';
  /** How much all streams together may send before it is taken. */
  readonly window: number;
  /** The same for each stream: at first, and the most that it grows to. */
  readonly streamWindow: number;
  readonly mostStreamWindow: number;
  /** That the peer may have open; of no meaning to clients. */
  readonly streams: number;
  /** What is held is counted here; of a stream of ours where its user says. Null counts nothing. */
  readonly memory: ConnectionMemory | null;
  readonly headBytes: number;
  readonly fieldCount: number;
}
