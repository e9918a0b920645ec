import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, test } from 'vitest';
import { FLAGS_PAGE, flagsPage } from '../../scripts/flags.ts';
import { METRICS_PAGE, metricsPage } from '../../scripts/metrics.ts';
import { readAnnotations } from '../../src/routing/annotations.ts';
import { ROOT } from './manifests.ts';

test('docs/reference/flags.md is what src/flags.ts says; `node scripts/flags.ts` writes it', async () => {
  expect(readFileSync(FLAGS_PAGE, 'utf8')).toBe(await flagsPage());
});

test('docs/reference/metrics.md is what a scrape says; `node scripts/metrics.ts` writes it', async () => {
  expect(readFileSync(METRICS_PAGE, 'utf8')).toBe(await metricsPage());
});

test('every annotation and value in docs/reference/annotations.md exists, with that default', () => {
  const page = readFileSync(join(ROOT, 'docs/reference/annotations.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `(portico\.dev\/[a-z-]+)` *\| (.*?) *\| (.*?) *\|$/gm)];
  expect(rows.map(([, name]) => name)).toEqual([
    'portico.dev/balance',
    'portico.dev/hash-by',
    'portico.dev/host-globs',
    'portico.dev/backend-protocol',
    'portico.dev/backend-server-name',
    'portico.dev/backend-ca-secret',
  ]);
  const read = (annotations: Record<string, string>) =>
    readAnnotations(
      { metadata: { annotations } },
      { kind: 'Ingress', namespace: 'shop', name: 'web' },
      () => undefined,
    );
  for (const [, name = '', values = ''] of rows) {
    for (const [, value = ''] of values.matchAll(/`([^`]+)`/g)) {
      expect(read({ [name]: value }).problems, `${name}: ${value}`).toEqual([]);
    }
  }
  const { policy } = read({});
  expect(rows.map(([, , , fallback]) => fallback)).toEqual([
    `\`${policy.balance}\``,
    `\`${policy.hashBy}\``,
    'none',
    'appProtocol',
    'none',
    'none',
  ]);
  for (const [, glob = ''] of page.matchAll(/`([^`\s]*[*{][^`\s]*\.example\.com)`/g)) {
    expect(read({ 'portico.dev/host-globs': glob }).globs.map((each) => each.glob)).toEqual([glob]);
  }
});

test('links between the documents lead to files that are there', () => {
  const pages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'];
  const docs = readdirSync(join(ROOT, 'docs'), { recursive: true, withFileTypes: true });
  for (const entry of docs) {
    if (entry.name.endsWith('.md')) pages.push(relative(ROOT, join(entry.parentPath, entry.name)));
  }
  const broken = pages.flatMap((page) => {
    const text = readFileSync(join(ROOT, page), 'utf8');
    return [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)]
      .map(([, target = '']) => target)
      .filter((target) => !existsSync(join(ROOT, dirname(page), target)))
      .map((target) => `${page} → ${target}`);
  });
  expect(broken).toEqual([]);
});
