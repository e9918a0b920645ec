import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { ACCESS_LOG_PAGE, accessLogPage } from '../../scripts/access-log.ts';
import { ALERTS_PAGE, alertsPage } from '../../scripts/alerts.ts';
import { ANNOTATIONS_PAGE, annotationsPage } from '../../scripts/annotations.ts';
import { API_SCHEMA, apiSchema } from '../../scripts/api-schema.ts';
import { DASHBOARD, dashboard } from '../../scripts/dashboards.ts';
import { FLAGS_PAGE, flagsPage } from '../../scripts/flags.ts';
import { INGRESS_NGINX_PAGE, ingressNginxPage } from '../../scripts/ingress-nginx.ts';
import { METRICS_PAGE, metricsPage } from '../../scripts/metrics.ts';
import { CLEANUP_FLAGS, RUN_FLAGS } from '../../src/config/flags.ts';
import { ROOT } from './manifests.ts';

test('docs/reference/flags.md is what src/config/flags.ts says; `node scripts/flags.ts` writes it', async () => {
  expect(readFileSync(FLAGS_PAGE, 'utf8')).toBe(await flagsPage());
});

test('docs/reference/metrics.md is what a scrape says; `node scripts/metrics.ts` writes it', async () => {
  expect(readFileSync(METRICS_PAGE, 'utf8')).toBe(await metricsPage());
});

test('docs/reference/alerts.md is what the alerts say; `node scripts/alerts.ts` writes it', async () => {
  expect(readFileSync(ALERTS_PAGE, 'utf8')).toBe(await alertsPage());
});

test('the dashboard is what scripts/dashboards.ts says, which writes it', async () => {
  expect(readFileSync(DASHBOARD, 'utf8')).toBe(await dashboard());
});

test('docs/reference/access-log.md is what the log says; `node scripts/access-log.ts` writes it', async () => {
  expect(readFileSync(ACCESS_LOG_PAGE, 'utf8')).toBe(await accessLogPage());
});

test('docs/reference/annotations.md is what src/policies says; `node scripts/annotations.ts` writes it', async () => {
  expect(readFileSync(ANNOTATIONS_PAGE, 'utf8')).toBe(await annotationsPage());
});

test('docs/reference/ingress-nginx.md is what src/policies says; `node scripts/ingress-nginx.ts` writes it', async () => {
  expect(readFileSync(INGRESS_NGINX_PAGE, 'utf8')).toBe(await ingressNginxPage());
});

test('src/model/validation/api-schema.ts is the API of the client; `node scripts/api-schema.ts` writes it', async () => {
  expect(readFileSync(API_SCHEMA, 'utf8')).toBe(await apiSchema());
});

/** The anchors of the headings of a page, as GitHub makes them. */
function anchorsOf(markdown: string): ReadonlySet<string> {
  const seen = new Map<string, number>();
  const anchors = [...markdown.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) => {
    const words = heading.toLowerCase().replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, '');
    const anchor = words.replaceAll(' ', '-');
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    return before === 0 ? anchor : `${anchor}-${before}`;
  });
  return new Set(anchors);
}

test('links between the documents lead to files, and to headings, that are there', () => {
  const pages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md'];
  const docs = readdirSync(join(ROOT, 'docs'), { recursive: true, withFileTypes: true });
  for (const entry of docs) {
    if (entry.name.endsWith('.md')) pages.push(relative(ROOT, join(entry.parentPath, entry.name)));
  }
  const broken = pages.flatMap((page) => {
    const text = readFileSync(join(ROOT, page), 'utf8');
    const targets = [...text.matchAll(/\]\((?!https?:|mailto:)([^)\s]+)[^)]*\)/g)];
    return targets
      .map(([, target = '']) => target)
      .filter((target) => {
        const [path = '', anchor] = target.split('#');
        const file = path === '' ? join(ROOT, page) : join(ROOT, dirname(page), path);
        if (!existsSync(file)) return true;
        return anchor !== undefined && !anchorsOf(readFileSync(file, 'utf8')).has(anchor);
      })
      .map((target) => `${page} → ${target}`);
  });
  expect(broken).toEqual([]);
});

test('every page is reached from README.md, by links from page to page', () => {
  const reached = new Set<string>();
  const visit = (page: string): void => {
    if (reached.has(page)) return;
    reached.add(page);
    for (const [, target = ''] of readFileSync(join(ROOT, page), 'utf8').matchAll(
      /\]\((?!https?:|#)([^)#\s]+\.md)/g,
    )) {
      const next = join(dirname(page), target);
      if (existsSync(join(ROOT, next))) visit(next);
    }
  };
  visit('README.md');
  const docs = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' });
  const pages = docs.filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`);
  expect(pages.filter((page) => !reached.has(page))).toEqual([]);
});

test('every test that holds a promise of the security model exists', () => {
  const text = readFileSync(join(ROOT, 'docs/security.md'), 'utf8');
  const named = [...text.matchAll(/`([\w/.-]+\.test\.ts|attack\/[\w/.-]+)`/g)].map(([, name = '']) => name);
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((name) => !existsSync(join(ROOT, 'test', name.replace(/^test\//, ''))))).toEqual([]);
});

test('every flag that the guides name exists', () => {
  const ours = new Set([...RUN_FLAGS, ...CLEANUP_FLAGS].map(({ name }) => name));
  // Of kubectl, Helm and ingress-nginx; and of single commands, which are no flags of configuration.
  const others = new Set(
    (
      'for from once sort backends conflicts severity node unix-socket timeout set namespace create-namespace default-ssl-certificate publish-status-address resolve ' +
      'prefix tail patch output ignore strict offline fail-on ingress-nginx-flags patch-file ignore-not-found docker-server docker-username docker-password'
    ).split(' '),
  );
  const guides = [
    'install',
    'upgrade',
    'migrate-from-ingress-nginx',
    'troubleshoot',
    'security',
    'reference/access-log',
  ];
  const unknown = guides
    .map((guide) => `${guide}.md`)
    .flatMap((page) => {
      const text = readFileSync(join(ROOT, 'docs', page), 'utf8');
      return [...text.matchAll(/(?<![-\w])--([a-z][a-z0-9-]+)/g)].map(([, name = '']) => ({ page, name }));
    })
    .filter(({ name }) => !ours.has(name) && !others.has(name));
  expect(unknown).toEqual([]);
});

/** What Ingresses are told that claim too much. */
const LIMIT_REASONS = [
  'HostPatternsTooLarge',
  'HostTooManyPaths',
  'NamespaceTooManyEndpoints',
  'NamespaceTooManyRoutes',
  'PathTooLong',
  'TooManyHostGlobs',
  'TooManyHostRegexes',
  'TooManyPaths',
  'TooManyProblems',
  'TooManyRules',
  'TooManyStreamPorts',
  'TooManyTlsHosts',
];

/** What is found before anything is compiled, and what only `check` counts. */
const FILE_REASONS = [
  'ApiVersionUnknown',
  'DuplicateObject',
  'FieldExperimental',
  'FieldUnknown',
  'FileEmpty',
  'FileNotReadable',
  'GatewayClassNotFound',
  'IngressesLeftOut',
  'InvalidName',
  'InvalidSyntax',
  'KindUnknown',
  'NotAnObject',
  'ParentNotFound',
  'PathNotReadable',
  'RetiredVersion',
];

describe('docs/troubleshoot.md', () => {
  const page = readFileSync(join(ROOT, 'docs/troubleshoot.md'), 'utf8');

  test('has every reason of a problem that the golden cases show, and no other', () => {
    const cases = join(ROOT, 'test/cases');
    // Reported by the watch, which compiles nothing; of files; when a request wants a name; and in `test/routing/tenant-limits.test.ts`.
    const reasons = new Set([
      'ListForbidden',
      'DiscoveryForbidden',
      'ExternalNameUnresolved',
      'InternalError',
      'GlobalOptionsForbidden',
      'RateLimitStoreMissing',
      ...LIMIT_REASONS,
      ...FILE_REASONS,
    ]);
    for (const file of readdirSync(cases).filter((name) => name.endsWith('.out.yaml'))) {
      const { problems = [] } = parse(readFileSync(join(cases, file), 'utf8')) as { problems?: string[] };
      for (const line of problems) reasons.add(line.split(' ')[1] ?? '');
    }
    const table = reasonsBelow('## Every problem, by its reason');
    const ofGateways = reasonsBelow('## Every problem of Gateway API');
    expect(table.filter((reason) => !reasons.has(reason))).toEqual([]);
    expect([...reasons].filter((reason) => ![...table, ...ofGateways].includes(reason))).toEqual([]);
  });

  test('has every reason for which a condition of Gateway API is False', () => {
    const folder = join(ROOT, 'src/routing/gateway');
    const source = readdirSync(folder)
      .map((file) => readFileSync(join(folder, file), 'utf8'))
      .join('');
    const table = reasonsBelow('## Every problem of Gateway API');
    expect(table.filter((reason) => !source.includes(`'${reason}'`))).toEqual([]);
    // What sums up the conditions of listeners, what passes, and what is True.
    const others =
      /^(?:ListenersNot\w+|Pending|Programmed|ConfigurationChanged|OverlappingHostnames|Assigned|Host\w+)$/;
    const given = [...source.matchAll(/reason: '([A-Z]\w+)'/g)].map(([, reason = '']) => reason);
    expect(given.filter((reason) => !others.test(reason) && !table.includes(reason))).toEqual([]);
  });

  /** The reasons in the table below a heading. */
  function reasonsBelow(heading: string): readonly string[] {
    const [, section = ''] = page.split(`${heading}\n`);
    const [table = ''] = section.split('\n## ');
    return table
      .split('\n')
      .flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`([A-Za-z]+)`/g)])
      .map(([, reason = '']) => reason);
  }

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
