import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { CHART, RENDERED, helmCases } from '../../scripts/helm.ts';
import { KUBERNETES_VERSIONS } from '../../scripts/kubernetes-versions.ts';
import { type Manifest, ROOT, deployManifests, parseManifests } from './manifests.ts';
import { fieldsIn, typeOf } from './schema.ts';

/** What each version does not have of the newest one. */
const missing = JSON.parse(readFileSync(KUBERNETES_VERSIONS, 'utf8')) as Readonly<
  Record<string, readonly string[]>
>;
const versions = Object.keys(missing);

const rendered = Object.keys(helmCases())
  .filter((name) => !name.startsWith('refused-'))
  .flatMap((name) => parseManifests(name, readFileSync(join(RENDERED, `${name}.yaml`), 'utf8')));

function fieldsOf(manifests: readonly Manifest[]): ReadonlySet<string> {
  return new Set(manifests.flatMap(({ object }) => [...fieldsIn(object, typeOf(object))]));
}

describe.each(versions)('Kubernetes %s', (version) => {
  const absent = new Set(missing[version]);

  test.each([
    ['deploy/', deployManifests()],
    ['the chart', rendered],
  ])('has every field of %s', (_, manifests) => {
    const fields = fieldsOf(manifests);
    expect(fields.size).toBeGreaterThan(100);
    expect([...fields].filter((field) => absent.has(field))).toEqual([]);
  });
});

test('a field that came later is found', () => {
  const pod = { spec: { containers: [{ name: 'a', restartPolicyRules: [] }] } };
  const fields = [...fieldsIn(pod, 'V1Pod')];
  expect(fields).toContain('Container.name');
  expect(fields.filter((field) => missing['1.30']?.includes(field))).toEqual([
    'Container.restartPolicyRules',
  ]);
});

test('the versions are those that the documents, the chart and the workflow name', () => {
  const [oldest = '', newest = ''] = [versions[0], versions.at(-1)];
  const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
  expect(read('docs/release.md')).toContain(`Supported are ${oldest} to ${newest}.`);
  expect(read('docs/install.md')).toContain(`Kubernetes ${oldest} or later`);
  expect(parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8'))).toMatchObject({
    kubeVersion: `>=${oldest}.0-0`,
  });
  const e2e = read('.github/workflows/e2e.yml');
  expect(e2e).toContain(`["${versions.join('", "')}"]`);
  expect(e2e).toContain(`["${oldest}", "${newest}"]`);
});
