import { HOPS_BYTES } from './stream-hops.ts';

/** What the threads of a process know together of TCP and UDP streams. Plain data. */
export interface StreamsMemory {
  /** The hops of connections to endpoints, as `StreamHops` keeps them. */
  readonly tcpHops: SharedArrayBuffer;
  readonly udpHops: SharedArrayBuffer;
  /** How many streams of each kind a thread may have, by the file descriptors that there are. */
  readonly places: number;
}

/** A thread has died: its ports may soon belong to others, and only it would have taken its notes away. */
export function forgetHops({ tcpHops, udpHops }: StreamsMemory): void {
  for (const hops of [tcpHops, udpHops]) new Int32Array(hops).fill(0);
}

/**
 * A TCP stream takes two descriptors and the datagrams of a client one: the streams of all threads together leave a quarter
 * of `descriptors` to requests.
 */
export function streamsMemory(descriptors: number, threads: number): StreamsMemory {
  return {
    tcpHops: new SharedArrayBuffer(HOPS_BYTES),
    udpHops: new SharedArrayBuffer(HOPS_BYTES),
    places: Math.max(1, Math.floor(descriptors / 4 / threads)),
  };
}
