import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { ROOT } from './manifests.ts';

const FOLDER = join(ROOT, '.github');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const { scripts, engines } = JSON.parse(read('package.json')) as {
  scripts: Record<string, string>;
  engines: { node: string };
};

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}
interface Workflow {
  readonly permissions: Readonly<Record<string, string>>;
  readonly jobs: Readonly<
    Record<
      string,
      { readonly steps: readonly Step[]; readonly 'timeout-minutes'?: number; readonly strategy?: object }
    >
  >;
}

const workflows = readdirSync(join(FOLDER, 'workflows')).map((name) => {
  const text = read(`.github/workflows/${name}`);
  return { name, text, workflow: parse(text) as Workflow };
});

/** Paths of the repository that a command names: of folders that are there. */
function pathsIn(run: string): string[] {
  return [...run.matchAll(/(?<![\w./-])((?:scripts|test|deploy|docs|bench|examples)\/[\w./-]+)/g)].map(
    ([, path = '']) => path,
  );
}

describe.each(workflows)('$name', ({ text, workflow }) => {
  const jobs = Object.values(workflow.jobs);
  const steps = jobs.flatMap((job) => job.steps);
  const commands = steps.flatMap(({ run = '' }) => run);

  test('runs scripts and names files that there are', () => {
    const names = commands.flatMap((run) =>
      [...run.matchAll(/npm (?:run (?:-s )?)?([\w:-]+)/g)].map(([, name = '']) => name),
    );
    const builtIn = new Set(['ci', 'install']);
    expect(names.filter((name) => !builtIn.has(name) && !(name in scripts))).toEqual([]);
    const values = steps
      .flatMap((step) => Object.values(step.with ?? {}))
      .filter((value) => typeof value === 'string');
    const paths = [...commands, ...values].flatMap(pathsIn);
    expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  test('reads the repository unless a job says otherwise, ends in time, and uses actions at a version', () => {
    expect(workflow.permissions).toEqual({ contents: 'read' });
    for (const job of jobs) expect(job['timeout-minutes']).toBeGreaterThan(0);
    for (const { uses } of steps) if (uses !== undefined) expect(uses).toMatch(/^[\w.-]+\/[\w.-]+@v\d+$/);
    const checkouts = steps.filter(({ uses }) => uses?.startsWith('actions/checkout'));
    for (const step of checkouts) expect(step.with).toMatchObject({ 'persist-credentials': false });
  });

  test('puts nothing that others write into a command', () => {
    for (const run of commands) expect(run).not.toMatch(/\$\{\{/);
    expect(text).not.toContain('pull_request_target');
  });

  test('uses the Node that the package asks for', () => {
    const setups = steps.filter(({ uses }) => uses?.startsWith('actions/setup-node'));
    for (const step of setups) expect(`>=${String(step.with?.['node-version'])}`).toBe(engines.node);
  });
});

test('the image is built with the arguments that the Dockerfile has', () => {
  const release = workflows.find(({ name }) => name === 'release.yml');
  const build = Object.values(release?.workflow.jobs ?? {})
    .flatMap(({ steps }) => steps)
    .find(({ uses }) => uses?.startsWith('docker/build-push-action'));
  const given = [...String(build?.with?.['build-args']).matchAll(/^(\w+)=/gm)].map(([, name]) => name);
  const asked = [...read('Dockerfile').matchAll(/^ARG (\w+)/gm)].map(([, name]) => name);
  expect(given).toEqual(asked);
  expect(build?.with?.['platforms']).toBe('linux/amd64,linux/arm64');
});

test('updates are proposed for folders that have what is updated', () => {
  const files: Record<string, string> = {
    npm: 'package.json',
    docker: 'Dockerfile',
    gomod: 'go.mod',
    'github-actions': '.github/workflows',
  };
  const { updates } = parse(read('.github/dependabot.yml')) as {
    updates: { 'package-ecosystem': string; directory: string }[];
  };
  for (const { 'package-ecosystem': of, directory } of updates)
    expect(existsSync(join(ROOT, directory, files[of] ?? 'nothing')), of).toBe(true);
  expect(updates.map((update) => update['package-ecosystem']).toSorted()).toEqual(
    Object.keys(files).toSorted(),
  );
});

test('the forms for issues have fields with names, and send vulnerabilities elsewhere', () => {
  const forms = readdirSync(join(FOLDER, 'ISSUE_TEMPLATE')).filter((name) => name !== 'config.yml');
  for (const form of forms) {
    const { name, description, body } = parse(read(`.github/ISSUE_TEMPLATE/${form}`)) as {
      name: string;
      description: string;
      body: { attributes: { label: string } }[];
    };
    expect([name, description].every((text) => text.length > 0)).toBe(true);
    for (const { attributes } of body) expect(attributes.label).toBeTruthy();
  }
  const report = /\((https:\S+\/advisories\/new)\)/.exec(read('SECURITY.md'))?.[1];
  expect(read('.github/ISSUE_TEMPLATE/config.yml')).toContain(`url: ${report}`);
});
