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

/** The addresses of this node that Portico listens on, by `--bind-address`. */
export function ownAddresses(bindAddress: string | null): readonly string[] {
  const isEvery = bindAddress === null || bindAddress === '0.0.0.0' || bindAddress === '::';
  return isEvery ? localAddresses() : [bindAddress];
}
