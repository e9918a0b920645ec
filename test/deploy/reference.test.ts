import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { FLAGS_PAGE, flagsPage } from '../../scripts/flags.ts';
import { METRICS_PAGE, metricsPage } from '../../scripts/metrics.ts';
import { CLEANUP_FLAGS, RUN_FLAGS } from '../../src/config/flags.ts';
import { readAnnotations } from '../../src/routing/ingress/annotations.ts';
import type { Secret } from '../../src/model/objects.ts';
import { ROOT } from './manifests.ts';

test('docs/reference/flags.md is what src/config/flags.ts says; `node scripts/flags.ts` writes it', async () => {
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
    'portico.dev/client-ca-secret',
    'portico.dev/client-certificate',
    'portico.dev/client-certificate-to-pods',
  ]);
  const [, ca = ''] =
    /ca\.crt: (\S+)/.exec(readFileSync(join(ROOT, 'test/cases/client-certificate.in.yaml'), 'utf8')) ?? [];
  const authority = { type: 'kubernetes.io/tls', data: { 'ca.crt': ca } } as unknown as Secret;
  const read = (annotations: Record<string, string>) =>
    readAnnotations(
      { metadata: { annotations } },
      { kind: 'Ingress', namespace: 'shop', name: 'web' },
      (key) => (key === 'shop/clients' ? authority : undefined),
    );
  for (const [, name = '', values = ''] of rows) {
    for (const [, value = ''] of values.matchAll(/`([^`]+)`/g)) {
      const more = name.startsWith('portico.dev/client-')
        ? { 'portico.dev/client-ca-secret': 'clients' }
        : {};
      expect(read({ ...more, [name]: value }).problems, `${name}: ${value}`).toEqual([]);
    }
  }
  const { policy } = read({});
  expect(read({ 'portico.dev/client-ca-secret': 'clients' }).clients).toMatchObject({
    required: true,
    passCertificate: false,
  });
  expect(rows.map(([, , , fallback]) => fallback)).toEqual([
    `\`${policy.balance}\``,
    `\`${policy.hashBy}\``,
    'none',
    'appProtocol',
    'none',
    'none',
    'none',
    '`required`',
    '`false`',
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

test('every flag that the guides name exists', () => {
  const ours = new Set([...RUN_FLAGS, ...CLEANUP_FLAGS].map(({ name }) => name));
  // Of kubectl, Helm and ingress-nginx.
  const others = new Set(
    'server-side for timeout set namespace create-namespace default-ssl-certificate publish-status-address resolve'.split(
      ' ',
    ),
  );
  const guides = ['install', 'upgrade', 'migrate-from-ingress-nginx', 'troubleshoot', 'security'];
  const unknown = guides
    .map((guide) => `${guide}.md`)
    .flatMap((page) => {
      const text = readFileSync(join(ROOT, 'docs', page), 'utf8');
      return [...text.matchAll(/(?<![-\w])--([a-z][a-z0-9-]+)/g)].map(([, name = '']) => ({ page, name }));
    })
    .filter(({ name }) => !ours.has(name) && !others.has(name));
  expect(unknown).toEqual([]);
});

describe('docs/troubleshoot.md', () => {
  const page = readFileSync(join(ROOT, 'docs/troubleshoot.md'), 'utf8');

  test('has every reason of a problem that the golden cases show, and no other', () => {
    const cases = join(ROOT, 'test/cases');
    // Reported by the watch, which compiles nothing.
    const reasons = new Set(['ListForbidden']);
    for (const file of readdirSync(cases).filter((name) => name.endsWith('.out.yaml'))) {
      const { problems = [] } = parse(readFileSync(join(cases, file), 'utf8')) as { problems?: string[] };
      for (const line of problems) reasons.add(line.split(' ')[1] ?? '');
    }
    const [, table = ''] = page.split('## Every problem, by its reason');
    const listed = table
      .split('\n')
      .flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`([A-Za-z]+)`/g)])
      .map(([, reason]) => reason);
    expect(listed.toSorted()).toEqual([...reasons].toSorted());
  });

  test('quotes what Portico says', () => {
    const folder = join(ROOT, 'src');
    const source = readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .join('\n');
    const quoted = page
      .split('\n')
      .flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)])
      .map(([, text = '']) => text.replace(/ …$/, ''))
      .filter((text) => text.split(' ').length > 3 && !text.startsWith('kubectl'));
    expect(quoted.length).toBeGreaterThan(4);
    expect(quoted.filter((text) => !source.includes(text))).toEqual([]);
  });
});
