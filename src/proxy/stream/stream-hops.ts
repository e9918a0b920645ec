import { plainAddress } from '../../http/address.ts';
import { MAX_HOPS } from '../../http/loop.ts';

/** A slot for each port of this node. */
export const HOPS_BYTES = 4 * 65_536;

/**
 * How often bytes have been through this Portico: a stream has no header to count in, but one that comes back comes from a
 * socket of our own. Each port has the hops of the newest connection from it to an endpoint, for all threads of the process.
 */
export class StreamHops {
  readonly #slots: Int32Array;

  /** `memory` has `HOPS_BYTES`; threads that have the same one see each other's connections. */
  constructor(memory: SharedArrayBuffer) {
    this.#slots = new Int32Array(memory);
  }

  /** The hops behind what comes from this peer; 0 unless the peer is a socket of ours. */
  behind(address: string, port: number): number {
    const slot = Atomics.load(this.#slots, port);
    const hops = slot & 0xff;
    return hops > 0 && slot === slotOf(address, hops) ? hops : 0;
  }

  /** A socket of ours to an endpoint: what comes from it has so many hops behind it until the returned function is called. */
  note(address: string, port: number, hops: number): () => void {
    const slot = slotOf(address, Math.min(hops, 0xff));
    Atomics.store(this.#slots, port, slot);
    return () => void Atomics.compareExchange(this.#slots, port, slot, 0);
  }
}

/** Whether a stream with so many hops behind it goes no further. */
export function isLoop(hops: number): boolean {
  return hops >= MAX_HOPS;
}

/** 24 bits of a hash of the address (FNV-1a), and the hops. */
function slotOf(address: string, hops: number): number {
  const text = plainAddress(address);
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return (value & ~0xff) | hops;
}
