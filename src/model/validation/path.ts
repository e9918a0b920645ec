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
