import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Script } from 'node:vm';
import { parse, stringify } from 'yaml';
import { CHART, helmCases } from '../../scripts/helm.ts';
import { POLICIES } from '../../src/policies/registry.ts';
import {
  type Manifest,
  ROOT,
  deployManifests,
  manifestsAt,
  variantFiles,
  variantManifests,
} from '../deploy/manifests.ts';
import { deviations, typeOf } from '../deploy/schema.ts';
import { STATUS_PORT } from '../support/daemon.ts';
import type { Machine } from './machine.ts';
import { type Finished, portico } from '../support/portico.ts';
import type { Pipeline, ShellCommand } from './shell.ts';

type Program = (command: ShellCommand, input: string, machine: Machine) => Promise<Finished>;

const SHIM = join(ROOT, 'deploy/kubectl/kubectl-portico');
const IN_POD = ['/usr/local/bin/node', '/portico/portico.js'];
/** What a Pod is named where kubectl asks for some; the last arguments are kept. */
const KUBECTL = `#!/bin/sh
case "$*" in *'get pods'*) echo portico-a; exit ;; esac
for argument in "$@"; do echo "$argument"; done > "$CALL"
`;
/** Commands that ask a running Portico. */
const LIVE = new Set(['status', 'routes', 'problems', 'top', 'debug']);

const done = (stdout = ''): Finished => ({ code: 0, stdout, stderr: '' });
const failed = (stderr: string): Finished => ({ code: 1, stdout: '', stderr });
const verdict = (faults: readonly string[]): Finished =>
  faults.length === 0 ? done() : failed(faults.join('\n'));

/** The programs that documents run, as far as they can be had here. */
const PROGRAMS: Readonly<Record<string, Program>> = {
  portico: onReaders,
  './portico': onReaders,
  kubectl,
  helm,
  curl,
  source: async ({ words }, _, machine) => {
    const inner = /^<\((.*)\)$/.exec(words[1] ?? '')?.[1]?.split(' ') ?? [];
    const script = await onReaders({ env: {}, words: inner }, '', machine);
    return script.code === 0 ? external(['bash', '-n'], script.stdout) : script;
  },
  // Whether it is JavaScript: its port is that of the document.
  node: ({ words: [, flag, code = ''] }) =>
    Promise.resolve(flag === '-e' && new Script(code) ? done() : failed('only -e is known here')),
  grep: ({ words }, input) => external(words, input),
  jq: ({ words }, input) => external(words, input),
  sort: ({ words }, input) => external(words, input),
  uniq: ({ words }, input) => external(words, input),
};

export function isKnown({ words: [name = ''] }: ShellCommand): boolean {
  return Object.hasOwn(PROGRAMS, name);
}

/** Runs commands of which each reads what the one before it wrote; says what went wrong with one of them. */
export async function run({ commands, into }: Pipeline, machine: Machine): Promise<Finished> {
  let last = done();
  for (const command of commands) {
    last = await (PROGRAMS[command.words[0] ?? ''] as Program)(command, last.stdout, machine);
    if (last.code !== 0) return last;
  }
  if (into !== null && last.stdout === '') return failed('nothing was written');
  if (into !== null) await writeFile(join(machine.home, basename(into)), last.stdout);
  return last;
}

/** A command of Portico on the machine of the reader: with the reader's manifests, cluster and Portico. */
async function onReaders({ words, env }: ShellCommand, input: string, machine: Machine): Promise<Finished> {
  const own: Readonly<Record<string, string>> = {
    'deploy/': machine.manifests,
    './manifests': machine.manifests,
    SOCKET: machine.adminSocket,
    // `kubectl exec` is tested with the plugin; in the Pod it asks the socket.
    'pod/portico-system/portico-x7k2p': machine.adminSocket,
    '127.0.0.1:10253': machine.adminAddress,
    '/run/portico/admin.sock': machine.adminSocket,
    '--status-socket=/run/portico/status.sock': `--status-socket=${machine.statusSocket}`,
  };
  const args = words.slice(1).map((word) => own[word] ?? word.replace(/^~(?=\/)/, machine.home));
  if (args[0] === 'run') return readOnly(args, env);
  const from = LIVE.has(args[0] ?? '') && !args.includes('--from') ? ['--from', machine.adminSocket] : [];
  return portico([...args, ...from], { input, env: { HOME: machine.home, ...env } });
}

/** Whether `run` would start: all that is wrong with its flags is one that is added to keep it from that. */
async function readOnly(args: readonly string[], env: ShellCommand['env']): Promise<Finished> {
  const { code, stderr } = await portico([...args, '--drain-timeout', 'never'], { env });
  const others = stderr
    .split('\n')
    .filter((line) => line !== '' && !/--drain-timeout|see 'portico run --help'/.test(line));
  if (code !== 64 || !stderr.includes('--drain-timeout'))
    return failed(`it was not kept from starting: ${stderr}`);
  return verdict(others);
}

async function kubectl({ words }: ShellCommand, _: string, machine: Machine): Promise<Finished> {
  const [, ...all] = words;
  const namespace = all[0] === '-n' ? all[1] : undefined;
  const args = namespace === undefined ? all : all.slice(2);
  const [verb = ''] = args;
  const flag = (name: string): string | undefined =>
    args.includes(name) ? args[args.indexOf(name) + 1] : undefined;
  switch (verb) {
    case 'portico':
      return throughPlugin(args.slice(1), machine);
    case 'exec': {
      const command = args.slice(args.indexOf('--') + 1);
      if (command.slice(0, 2).join(' ') !== IN_POD.join(' ')) return failed('not a command of the image');
      return onReaders({ env: {}, words: command.slice(1) }, '', machine);
    }
    case 'logs':
      return done(machine.daemon.output());
    case 'kustomize':
      return done(await readFile(join(machine.manifests, 'shop.yaml'), 'utf8'));
    case 'apply':
      return verdict(deviationsAt(flag('-f') ?? ''));
    case 'get':
      if (args[1] === 'ingress')
        return done(stringify({ items: machine.objects.filter(({ kind }) => kind === 'Ingress') }));
      return args[1] === 'pods' ? done() : verdict(missing(args[1], namespace));
    case 'annotate': {
      const keys = args.slice(3).map((word) => word.split('=')[0] ?? '');
      const known = new Set(
        POLICIES.flatMap(({ annotations }) => annotations.map(({ name }) => `portico.dev/${name}`)),
      );
      return verdict(keys.filter((key) => !known.has(key)).map((key) => `there is no annotation ${key}`));
    }
    case 'delete':
      return verdict(args.includes('-f') ? deviationsAt(flag('-f') ?? '') : missing(args[1], namespace));
    case 'rollout':
    case 'set':
    case 'wait':
      return verdict(missing(args[2], namespace));
    case 'patch': {
      const file = flag('--patch-file');
      const patch = file === undefined ? flag('--patch') : readFileSync(join(ROOT, file), 'utf8');
      // The DaemonSet of another controller has fields of the same types.
      const absent = namespace === 'ingress-nginx' ? [] : missing(args[1], namespace);
      return verdict([...absent, ...deviations(parse(patch ?? ''), 'V1DaemonSet', 'patch')]);
    }
    default:
      return failed(`kubectl ${verb} is not known here`);
  }
}

/** The plugin itself, with a kubectl that runs the command in "the Pod". */
async function throughPlugin(args: readonly string[], machine: Machine): Promise<Finished> {
  const [program, call] = [join(machine.home, 'kubectl'), join(machine.home, 'call')];
  await writeFile(program, KUBECTL);
  await chmod(program, 0o755);
  execFileSync(SHIM, args, {
    env: { ...process.env, CALL: call, PATH: `${machine.home}:${process.env['PATH']}` },
  });
  const called = (await readFile(call, 'utf8')).trimEnd().split('\n');
  if (called.includes('port-forward')) return done();
  const command = called.slice(called.indexOf('--') + 2);
  return onReaders({ env: {}, words: command }, '', machine);
}

/** Everything that the manifests of this repository make, as `namespace kind/name`. */
function installed(): ReadonlySet<string> {
  return new Set(
    [...deployManifests(), ...variantFiles().flatMap(variantManifests)].map(({ object }) => {
      const { name, namespace } = object['metadata'] as { name: string; namespace?: string };
      return `${namespace} ${object.kind.toLowerCase()}/${name}`;
    }),
  );
}

function missing(object = '', namespace = ''): readonly string[] {
  return installed().has(`${namespace} ${object}`) ? [] : [`no manifest makes ${object} in ${namespace}`];
}

function deviationsAt(path: string): readonly string[] {
  const objects = manifestsAt(join(ROOT, path)).map(({ object }: Manifest) => object);
  return objects.flatMap((object) => deviations(object, typeOf(object), object.kind));
}

/**
 * Helm itself is not here. A value can be set that Helm has rendered a case with; a release is installed in a namespace, and
 * what was set before is kept.
 */
async function helm({ words }: ShellCommand, _: string, machine: Machine): Promise<Finished> {
  const [, verb, , chart = '', ...flags] = words;
  if (verb === 'template') return done(await readFile(join(machine.manifests, 'shop.yaml'), 'utf8'));
  const set = flags.filter((__, at) => flags[at - 1] === '--set').flatMap((value) => value.split(','));
  const paths = set.map((each) => each.split('=')[0] ?? '');
  return verdict([
    ...(join(ROOT, chart) === CHART ? [] : [`${chart} is not the chart`]),
    ...(flags.includes('--namespace') ? [] : ['without --namespace']),
    ...(verb === 'install' || flags.includes('--reuse-values') ? [] : ['without --reuse-values']),
    ...paths
      .filter((path) => !RENDERED_VALUES.has(path))
      .map((path) => `${path}: no case in helm/cases.yaml`),
  ]);
}

const RENDERED_VALUES = new Set(
  Object.entries(helmCases())
    .filter(([name]) => !name.startsWith('refused-'))
    .flatMap(([, values]) => pathsIn(values)),
);

function pathsIn(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null) return [path];
  return Object.entries(value).flatMap(([key, inner]) => {
    const step = Array.isArray(value) ? `[${key}]` : `${path === '' ? '' : '.'}${key}`;
    return pathsIn(inner, `${path}${step}`);
  });
}

/** curl itself, to the Portico that runs here. */
function curl({ words }: ShellCommand, _: string, machine: Machine): Promise<Finished> {
  const { adminSocket, adminAddress, daemon, gatewayPort } = machine;
  const places: Readonly<Record<string, string>> = {
    '/run/portico/admin.sock': adminSocket,
    '127.0.0.1:10253': adminAddress,
    'NODE:10254': `${daemon.address}:${STATUS_PORT}`,
    'localhost:8088': `${daemon.address}:${gatewayPort}`,
  };
  const here = words.map((word) =>
    Object.entries(places).reduce((changed, [place, real]) => changed.replace(place, real), word),
  );
  return external([...here, '--fail', '--silent', '--show-error'], '');
}

/** A program that may not be installed; then what it would say is not known. */
async function external([name = '', ...args]: readonly string[], input: string): Promise<Finished> {
  const child = spawn(name, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stdin.on('error', () => undefined).end(input);
  const ended = once(child, 'close').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [0];
    throw error;
  });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code: Number(code), stdout, stderr };
}
