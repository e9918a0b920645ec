/** One end of a tunnel (RFC 9110 9.3.6): what takes the bytes of the other end. */
export interface TunnelEnd {
  /** False when it does not keep up: a drain follows. */
  write(bytes: Buffer, from: number, to: number): boolean;
  /** The other end has no more. */
  end(): void;
  /** Stops giving bytes until `resume`. */
  pause(): void;
  resume(): void;
  /** All that it was given has left. */
  readonly isFlushed: boolean;
  /** The last bytes; nothing that comes from now on goes anywhere. */
  farewell(bytes: Buffer): void;
}
