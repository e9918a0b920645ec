import { isIP } from 'node:net';

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** A DNS label as RFC 1123 and Kubernetes spell it. */
export function isLabel(name: string): boolean {
  return name.length <= 63 && LABEL.test(name);
}

/** A DNS subdomain as RFC 1123 and Kubernetes spell it: lower-case labels joined by dots. */
export function isSubdomain(name: string): boolean {
  return name.length <= 253 && SUBDOMAIN.test(name);
}

/** What `isPortName` asks for, to follow "the name of a port". */
export const PORT_NAME_RULE = 'at most 15 lower-case letters, digits and "-", with at least one letter';

/** The name of a port: an IANA service name (RFC 6335). */
export function isPortName(name: string): boolean {
  return name.length <= 15 && LABEL.test(name) && /[a-z]/.test(name) && !name.includes('--');
}

const CONTROLLER_NAME =
  /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[\w/\-.~%!$&'()*+,;=:]+$/;

/** The name of a controller in Gateway API: a domain and a path, `example.com/gateways`. */
export function isControllerName(name: string): boolean {
  return name.length <= 253 && CONTROLLER_NAME.test(name);
}

/** What the API server has against a host of a rule or a TLS entry; null when it takes it. */
export function hostFault(host: string): string | null {
  if (isIP(host) !== 0) return 'must be a DNS name, not an IP address';
  if (host.includes('*')) {
    if (host.startsWith('*.') && isSubdomain(host.slice(2))) return null;
    return 'may use "*" only as its whole first label, as in "*.example.com"';
  }
  if (isSubdomain(host)) return null;
  if (/:\d+$/.test(host)) return 'must not name a port';
  return 'must be a DNS name of lower-case letters, digits, "-" and "."';
}

const REFUSED_SEQUENCES = ['//', '/./', '/../', '%2f', '%2F'];
const REFUSED_ENDS = ['/..', '/.'];

/** What the API server has against a rule's path; null when it takes it. */
export function pathFault(path: string, pathType: string): string | null {
  if (path === '' && pathType === 'ImplementationSpecific') return null;
  if (!path.startsWith('/')) return 'must be an absolute path, starting with "/"';
  if (pathType === 'ImplementationSpecific') return null;
  const sequence = REFUSED_SEQUENCES.find((refused) => path.includes(refused));
  if (sequence !== undefined) return `must not contain "${sequence}"`;
  const end = REFUSED_ENDS.find((refused) => path.endsWith(refused));
  return end === undefined ? null : `must not end with "${end}"`;
}
