import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../deploy/manifests.ts';
import { portico } from '../support/portico.ts';
import { type Machine, startMachine } from './machine.ts';
import { NOT_RUN } from './not-run.ts';
import { isKnown, run } from './programs.ts';
import { type Pipeline, pipelinesIn } from './shell.ts';

interface Block {
  readonly path: string;
  readonly language: string;
  readonly text: string;
}

const documents = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md'].concat(
  readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
);
const blocks = documents.flatMap((path): readonly Block[] =>
  [...readFileSync(join(ROOT, path), 'utf8').matchAll(/^ *```(.*)\n([^]*?)^ *```$/gm)].map(
    ([, language = '', text = '']) => ({ path, language, text }),
  ),
);
const { stdout: help } = await portico(['--help']);
const [, examples = ''] = /^Examples:\n([^]*?)\n\n/m.exec(help) ?? [];
const commands = [
  ...blocks.filter(({ language }) => language === 'sh'),
  { path: 'portico --help', text: examples },
].flatMap(({ path, text }) => pipelinesIn(text).map((pipeline) => ({ path, pipeline })));

const lineOf = ({ commands: [first] }: Pipeline): string => first?.words.join(' ') ?? '';
const reasonFor = (pipeline: Pipeline) => NOT_RUN.find(({ command }) => command.test(lineOf(pipeline)));
/** Variables are set for commands that follow. */
const setsOnly = ({ commands }: Pipeline): boolean => commands.every(({ words }) => words.length === 0);

describe('commands in blocks of the documents, and in the help', () => {
  let machine: Machine;
  beforeAll(async () => {
    machine = await startMachine();
  });
  afterAll(() => machine[Symbol.asyncDispose]());

  it('are in blocks of sh: every block says what it is', () => {
    const unknown = blocks.filter(({ language }) => !/^(?:sh|text|yaml|promql)$/.test(language));
    expect(unknown).toEqual([]);
    expect(commands.length).toBeGreaterThan(100);
  });

  it('are read as a shell reads them', () => {
    const block = "A=1 b 'c d' \\\n  \"e\" # f | g\nh | i > 'j k' && l <(m n) o#p\n";
    expect(pipelinesIn(block)).toEqual([
      { text: expect.any(String), commands: [{ env: { A: '1' }, words: ['b', 'c d', 'e'] }], into: null },
      {
        text: "h | i > 'j k'",
        commands: [
          { env: {}, words: ['h'] },
          { env: {}, words: ['i'] },
        ],
        into: 'j k',
      },
      { text: expect.any(String), commands: [{ env: {}, words: ['l', '<(m n)', 'o#p'] }], into: null },
    ]);
    expect(() => pipelinesIn('a &')).toThrow('not understood: &');
  });

  it('are each known: run here, or not run for a reason that still holds for one', () => {
    const unknown = commands.filter(
      ({ pipeline }) => !setsOnly(pipeline) && !reasonFor(pipeline) && !pipeline.commands.every(isKnown),
    );
    expect(unknown.map(({ path, pipeline }) => `${path}: ${pipeline.text}`)).toEqual([]);
    const unused = NOT_RUN.filter(
      (reason) => !commands.some(({ pipeline }) => reasonFor(pipeline) === reason),
    );
    expect(unused).toEqual([]);
    expect(NOT_RUN.filter(({ test }) => test !== undefined && !existsSync(join(ROOT, test)))).toEqual([]);
  });

  it('do what they say', async () => {
    const wanted = commands.filter(({ pipeline }) => !setsOnly(pipeline) && !reasonFor(pipeline));
    const failures: string[] = [];
    for (const { path, pipeline } of wanted) {
      const { code, stdout, stderr } = await run(pipeline, machine);
      if (code !== 0) failures.push(`${path}: ${pipeline.text}\n  ended with ${code}: ${stderr}${stdout}`);
    }
    expect(failures).toEqual([]);
    expect(wanted.length).toBeGreaterThan(50);
  });

  it('that are wrong are found', async () => {
    const wrong = [
      'portico check --manifests nothing',
      'portico run --http-prot 80',
      "portico run --access-log '$nothing'",
      'portico routes --from nothing.sock',
      'kubectl apply -f deploy/kubectl',
      'kubectl -n portico-system get daemonset/other',
      'kubectl -n portico-system patch daemonset/portico --patch \'{"spec":{"templat":{}}}\'',
      'kubectl annotate ingress shop portico.dev/nothing=x',
      'helm install x deploy/helm/portico --namespace x --set nothing=x',
      'helm upgrade x deploy/helm/portico',
      'source <(portico completion tcsh)',
    ];
    const found: string[] = [];
    for (const text of wrong) {
      const [pipeline] = pipelinesIn(text);
      const { code } = await run(pipeline as Pipeline, machine).catch(() => ({ code: 1 }));
      if (code !== 0) found.push(text);
    }
    expect(found).toEqual(wrong);
  });
});
