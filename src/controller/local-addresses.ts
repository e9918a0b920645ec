import { networkInterfaces } from 'node:os';

/** The addresses of this node, and the range of its loopback: those that a Gateway may ask for. */
export function localAddresses(): readonly string[] {
  const found = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return found.flatMap(({ address, cidr, internal, family, scopeid }) => {
    // A link-local address means nothing without its interface.
    if (scopeid) return [];
    return internal && family === 'IPv4' && cidr ? [cidr] : [address];
  });
}
