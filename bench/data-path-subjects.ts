import { execFileSync } from 'node:child_process';
import {
  caddyfile,
  envoyJson,
  haproxyConf,
  manifests,
  nginxConf,
  traefikFlags,
  traefikYaml,
} from './configurations.ts';
import { installed } from './installed-proxies.ts';
import { IDLE_TIMEOUT_S, type Site } from './site.ts';
import { CADDY, file, missingProgram, porticoCommand } from './subjects.ts';

/** A proxy that can serve the site of the benchmarks. */
export interface DataPathSubject {
  readonly name: string;
  /** Null when it is installed; otherwise how to get it. */
  missing(): string | null;
  command(site: Site): readonly string[];
  /** Asks for its version; null for this checkout. */
  readonly version: readonly string[] | null;
  /** Its compiler optimizes what was called often, so that it needs more than a window before it is measured. */
  readonly warmsUp?: boolean;
  /** Measured only when it is named. */
  readonly onlyIfNamed?: boolean;
}

const TRAEFIK = process.env['BENCH_TRAEFIK'] ?? installed('traefik') ?? 'traefik';
const ENVOY = process.env['BENCH_ENVOY'] ?? installed('envoy') ?? 'envoy';

/** What other programs are compared with is first. */
export const DATA_PATH_SUBJECTS: readonly DataPathSubject[] = [
  {
    name: 'nginx',
    missing: () => missingProgram('nginx', 'nginx-light'),
    command: (site) => ['nginx', '-e', 'stderr', '-c', file(`nginx-${site.http}.conf`, nginxConf(site))],
    version: ['nginx', '-v'],
  },
  {
    name: 'haproxy',
    missing: () => missingProgram('haproxy', 'haproxy'),
    command: (site) => ['haproxy', '-db', '-f', file(`haproxy-${site.http}.cfg`, haproxyConf(site))],
    version: ['haproxy', '-v'],
  },
  {
    name: 'caddy',
    missing: () => missingProgram(CADDY, 'caddy'),
    command: (site) => [
      ...['env', `GOMAXPROCS=${site.workers}`, CADDY, 'run', '--adapter', 'caddyfile'],
      ...['--config', file(`Caddyfile-${site.http}`, caddyfile(site))],
    ],
    version: [CADDY, 'version'],
  },
  {
    name: 'traefik',
    missing: () => notInstalled(TRAEFIK),
    command: (site) => [
      ...['env', `GOMAXPROCS=${site.workers}`, TRAEFIK],
      ...traefikFlags(site, file(`traefik-${site.http}.yaml`, traefikYaml(site))),
    ],
    version: [TRAEFIK, 'version'],
  },
  {
    name: 'envoy',
    missing: () => notInstalled(ENVOY),
    command: (site) => [
      ...[ENVOY, '--disable-hot-restart', '--concurrency', `${site.workers}`, '--log-level', 'error'],
      ...['-c', file(`envoy-${site.http}.json`, envoyJson(site))],
    ],
    version: [ENVOY, '--version'],
  },
  { ...portico('http-proxy'), name: 'http-proxy', onlyIfNamed: true },
  portico('relay'),
];

function portico(engine: string): DataPathSubject {
  return {
    name: 'portico',
    missing: () => null,
    command: (site) => [
      ...porticoCommand(),
      'run',
      `--manifests=${file(`portico-${site.http}.yaml`, manifests(site))}`,
      `--http-port=${site.http}`,
      `--https-port=${site.https}`,
      '--ssl-redirect=false',
      '--status-port=0',
      '--bind-address=127.0.0.1',
      `--workers=${site.workers}`,
      `--engine=${engine}`,
      '--access-log=off',
      '--log-level=error',
      '--drain-timeout=1s',
      `--limit=keep-alive-idle-timeout=${IDLE_TIMEOUT_S}s`,
      // As the others have: a client would have to connect again in the middle of a window.
      '--limit=requests-per-connection=10000000',
    ],
    version: null,
    warmsUp: true,
  };
}

function notInstalled(program: string): string | null {
  return missingProgram(program, '') && `${program} is not installed (npm run bench:install)`;
}

/** Such as `nginx 1.22.1`. */
export function versionOf({ name, version }: DataPathSubject): string | null {
  if (version === null) return null;
  const [program = '', ...args] = version;
  const output = execFileSync('sh', ['-c', '"$0" "$@" 2>&1', program, ...args], { encoding: 'utf8' });
  const found = /\d+\.\d+\.\d+/.exec(program) ?? /\d+\.\d+\.\d+/.exec(output);
  return `${name} ${found?.[0] ?? 'of an unknown version'}`;
}
