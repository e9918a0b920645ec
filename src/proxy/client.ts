import type { ConnectionInfo } from '../http/connection-info.ts';
import type { ConnectionMemory } from './connection-memory.ts';

/** A connection of a client, as far as room for it and draining are concerned. */
export interface Client {
  readonly connectionInfo: ConnectionInfo;
  readonly memory: ConnectionMemory;
  /** Written for it, and not taken by the kernel yet. */
  readonly queuedBytes: number;
  /** Closing it now loses nothing that was asked. */
  readonly isIdle: boolean;
  /** On the monotonic clock. */
  readonly quietSince: number;
  /** No more requests are wanted on it, if there is a way to say so. */
  announceDrain(): void;
  close(): void;
  /** Aborts its exchanges. A client that can still be told why (a tunnel) stays connected until `destroy`. */
  abortForDrain(): void;
  destroy(): void;
  /** It is idle and gives way to another: it is gone when the call returns. */
  evict(): void;
  /** It holds too much memory: it is closed, and its exchanges are aborted. */
  shed(): void;
}
