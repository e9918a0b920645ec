import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Proxies that `npm run bench:install` puts beside those of the system, at these versions. */
export const VERSIONS = { caddy: '2.11.9', traefik: '3.7.13', envoy: '1.40.0' } as const;

/** Where they are: the folder of the user's caches. */
export const CACHE = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'portico-bench');

/** The path of one that is installed. */
export function installed(proxy: keyof typeof VERSIONS): string | null {
  const path = pathOf(proxy);
  return existsSync(path) ? path : null;
}

export function pathOf(proxy: keyof typeof VERSIONS): string {
  return join(CACHE, `${proxy}-${VERSIONS[proxy]}`);
}
