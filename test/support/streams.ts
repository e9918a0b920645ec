import { HOPS_BYTES, StreamHops } from '../../src/proxy/stream/stream-hops.ts';
import type { StreamContext } from '../../src/proxy/stream/streams.ts';

/** Of a thread that is alone. */
export function streamHops(): StreamContext['hops'] {
  const hops = (): StreamHops => new StreamHops(new SharedArrayBuffer(HOPS_BYTES));
  return { tcp: hops(), udp: hops() };
}
