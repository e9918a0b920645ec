import { isIPv6 } from 'node:net';

const MAX_HOST_LENGTH = 253;
const MAX_LABEL_LENGTH = 63;

/** What a character does in a host: 0 refuses it, 1 is kept, 2 is an upper-case letter. */
const CHARACTERS = new Uint8Array(128);
for (const kept of 'abcdefghijklmnopqrstuvwxyz0123456789-_') CHARACTERS[kept.charCodeAt(0)] = 1;
for (const upper of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ') CHARACTERS[upper.charCodeAt(0)] = 2;

const DOT = 0x2e;
const COLON = 0x3a;
const BRACKET = 0x5b;

/**
 * A `Host` header or `:authority` (RFC 9110, 7.2) as the table spells hosts: lower case, without the port and
 * without one trailing dot; an IPv6 literal keeps its brackets. Null when it is malformed. A host that is in
 * this form already is returned as it is.
 */
export function normalizeHost(hostHeader: string): string | null {
  if (hostHeader.charCodeAt(0) === BRACKET) return normalizeIpv6(hostHeader);
  let label = 0;
  let upper = false;
  let end = 0;
  for (; end < hostHeader.length; end++) {
    const code = hostHeader.charCodeAt(end);
    if (code === COLON) break;
    if (code === DOT) {
      if (label === 0) return null;
      label = 0;
      continue;
    }
    const character = CHARACTERS[code];
    if (!character || ++label > MAX_LABEL_LENGTH) return null;
    if (character === 2) upper = true;
  }
  if (end < hostHeader.length && !isPort(hostHeader, end + 1)) return null;
  if (label === 0 && end > 0) end--;
  if (end === 0 || end > MAX_HOST_LENGTH) return null;
  const host = end === hostHeader.length ? hostHeader : hostHeader.slice(0, end);
  return upper ? host.toLowerCase() : host;
}

function normalizeIpv6(hostHeader: string): string | null {
  const end = hostHeader.indexOf(']');
  if (end < 0 || hostHeader.includes('%')) return null;
  if (!isIPv6(hostHeader.slice(1, end))) return null;
  const rest = end + 1;
  if (rest < hostHeader.length) {
    if (hostHeader.charCodeAt(rest) !== COLON || !isPort(hostHeader, rest + 1)) return null;
  }
  return hostHeader.slice(0, rest).toLowerCase();
}

/** RFC 3986 lets the port be empty. */
function isPort(text: string, start: number): boolean {
  if (text.length - start > 5) return false;
  let port = 0;
  for (let i = start; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return false;
    port = port * 10 + digit;
  }
  return port <= 65535;
}
