import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { main } from '../../src/cli/program.ts';
import { type DocumentedCommand, commandsIn } from './documented-commands.ts';
import { ROOT } from './manifests.ts';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** What deploy/kubectl/kubectl-portico takes itself. */
const OF_PLUGIN = new Set([
  '-n',
  '--namespace',
  '--pod',
  '--node',
  '--context',
  '--kubeconfig',
  '--namespace-of',
]);
const [, commandsOfPlugin = ''] =
  /^ {2}(status [|\w ]*)\) ;;$/m.exec(read('deploy/kubectl/kubectl-portico')) ?? [];
const BEHIND_PLUGIN = new Set(commandsOfPlugin.split(' | '));

/** A flag in the help of a command: its short form, its name and its value. */
const FLAG = /^ {2}(?:(-\w), )?(--[\w-]+)(?: <([^>]*)>)?/gm;
/** Among choices these stand for any port and any template. */
const VALUES = /\b(port|template)\b/;

/** The flags of each command, with their choices where they have some, as its help says. */
const flags = new Map<string, ReadonlyMap<string, readonly string[]>>();

async function helpOf(...command: readonly string[]): Promise<string> {
  let text = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  try {
    await main(['node', 'portico', ...command, '--help'], new URL('file:///nothing'));
  } finally {
    write.mockRestore();
  }
  return text;
}

beforeAll(async () => {
  const commands = [...(await helpOf()).matchAll(/^ {2}([a-z]+) .*$/gm)].map(([, name = '']) => name);
  for (const name of commands.filter((each) => each !== 'help')) {
    const found = new Map<string, readonly string[]>();
    for (const [, short, flag = '', value = ''] of (await helpOf(name)).matchAll(FLAG)) {
      const choices = value.includes('|') && !VALUES.test(value) ? value.split('|') : [];
      for (const each of short === undefined ? [flag] : [short, flag]) found.set(each, choices);
    }
    flags.set(name, found);
  }
});

/** What is wrong with a command; null if nothing. */
function faultOf({ name, args, isPlugin }: DocumentedCommand): string | null {
  if (isPlugin && !BEHIND_PLUGIN.has(name)) return `the plugin has no command ${name}`;
  if (isPlugin && name === 'page') return null;
  const known = flags.get(name);
  if (known === undefined) return `there is no command ${name}`;
  for (const [at, arg] of args.entries()) {
    if (!/^--?[a-z]/.test(arg)) continue;
    const [flag = '', ofFlag] = arg.split('=', 2);
    if (isPlugin && OF_PLUGIN.has(flag)) continue;
    const choices = known.get(flag);
    if (choices === undefined) return `${name} has no flag ${flag}`;
    const value = ofFlag ?? args[at + 1] ?? '';
    // A word in capitals stands for a value.
    if (choices.length > 0 && !/^[A-Z]/.test(value) && !choices.includes(value))
      return `${name} ${flag} is one of ${choices.join(', ')}`;
  }
  return null;
}

const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'SECURITY.md',
  'deploy/helm/portico/alerts.yaml',
].concat(
  readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
);
const all = documents.flatMap((path) => commandsIn(read(path)).map((command) => ({ path, command })));

describe('commands of Portico in the documents', () => {
  test('are found: in blocks, in text, through kubectl and behind pipes', () => {
    const shown = commandsIn(
      [
        'Run `portico check --strict`, or `kubectl portico top`, but not `kubectl -n portico get pods`.',
        '```sh',
        'helm template x | portico check \\',
        '  --manifests - # all of them',
        './portico explain "http://a b/"',
        '```',
      ].join('\n'),
    );
    expect(shown.map(({ name, args, isPlugin }) => [name, args, isPlugin])).toEqual([
      ['check', ['--manifests', '-'], false],
      ['explain', ['http://a b/'], false],
      ['check', ['--strict'], false],
      ['top', [], true],
    ]);
    expect(all.length).toBeGreaterThan(50);
  });

  test('are commands that there are, with flags that they have', () => {
    const of = (text: string): (string | null)[] => commandsIn(`\`${text}\``).map(faultOf);
    expect(of('portico serve')).toEqual(['there is no command serve']);
    expect(of('portico check --manifest x')).toEqual(['check has no flag --manifest']);
    expect(of('portico check --output yaml')[0]).toMatch(/^check --output is one of text, /);
    expect(of('kubectl portico check')).toEqual(['the plugin has no command check']);
    const faults = all.flatMap(({ path, command }) => {
      const fault = faultOf(command);
      return fault === null ? [] : [`${path}: ${command.text}: ${fault}`];
    });
    expect(faults).toEqual([]);
  });
});

test('scripts that the documents name are there', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const missing = documents.flatMap((path) => {
    const text = read(path);
    const named = [...text.matchAll(/npm run (?:-s )?([\w:-]+)/g)].map(([, name = '']) => name);
    const files = [...text.matchAll(/node ((?:scripts|bench|test)\/[\w./-]+\.ts)/g)].map(
      ([, file = '']) => file,
    );
    return [
      ...named.filter((name) => !(name in scripts)).map((name) => `${path}: npm run ${name}`),
      ...files.filter((file) => !read(file)).map((file) => `${path}: node ${file}`),
    ];
  });
  expect(missing).toEqual([]);
});
