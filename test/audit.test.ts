import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { type AuditOutput, type FailOn, runAudit } from '../src/cli/audit.ts';
import { compileOnce, readOnce } from '../src/cli/compile-once.ts';
import { type CompileConfig, resolveCompileConfig } from '../src/config/config.ts';
import type { Ingress } from '../src/model/objects.ts';
import { EMPTY_SNAPSHOT, type Snapshot, applyChanges } from '../src/model/snapshot.ts';
import { VERDICTS } from '../src/policies/ingress-nginx/verdict.ts';
import { type Audit, auditIngresses } from '../src/routing/ingress/ingress-audit.ts';
import { hostsOf, routesOf } from '../src/routing/table-view.ts';
import { startApiServer } from './support/api-server.ts';
import { createFolder } from './e2e/folder.ts';
import { ingress } from './watch/cluster-fixture.ts';
import { CASE_SETTINGS } from './support/cases.ts';
import { portico } from './support/portico.ts';

const CLASS = `apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: { name: nginx }
spec: { controller: k8s.io/ingress-nginx }
`;
const CORPUS = join(import.meta.dirname, 'corpus');

function configOf(manifests: string, configMap = ''): CompileConfig {
  const flags = { manifests: [manifests], 'drop-in': 'ingress-nginx' };
  const named = configMap === '' ? {} : { 'ingress-nginx-configmap': configMap };
  const result = resolveCompileConfig({ ...flags, ...named }, {});
  if (result.kind === 'invalid') throw new Error(result.errors.join('\n'));
  return result.config;
}

async function audit(
  manifests: string,
  output: AuditOutput = 'json',
  failOn: FailOn = 'refused',
  controllerFlags: readonly string[] = [],
  configMap = '',
): Promise<{ code: number; text: string }> {
  let text = '';
  const request = { output, failOn, controllerFlags };
  const code = await runAudit(configOf(manifests, configMap), {}, request, (more) => (text += more));
  return { code, text };
}

describe('the corpus', () => {
  test('audit looks at every Ingress of ingress-nginx, worst first, and check closes exactly those that are refused', async () => {
    const { code, text } = await audit(CORPUS);
    const { ingresses, unannotated, annotations, totals } = JSON.parse(text) as Audit;
    expect([code, ingresses, unannotated]).toEqual([1, 68, 3]);
    expect(annotations.length).toBeGreaterThan(50);
    const verdicts = annotations.map(({ verdict }) => VERDICTS.indexOf(verdict));
    expect(verdicts).toEqual(verdicts.toSorted((a, b) => a - b));
    for (const verdict of VERDICTS)
      expect(totals[verdict]).toBe(annotations.filter((each) => each.verdict === verdict).length);
    expect(annotations.filter(({ reason }) => !reason.endsWith('.'))).toEqual([]);

    const compiled = await compileOnce(configOf(CORPUS), {});
    if (compiled.kind !== 'compiled') throw new Error(compiled.message);
    const routes = [...hostsOf(compiled.compilation.table)].flatMap((host) => [...routesOf(host)]);
    const closed = routes.filter(({ policies }) => policies !== null && policies.closed.length > 0);
    const refused = annotations.filter(({ verdict }) => verdict === 'refused');
    expect([...new Set(closed.map(({ ingress }) => ingress))].toSorted()).toEqual(
      [...new Set(refused.map(({ ingress }) => ingress))].toSorted(),
    );
    expect(routes.length - closed.length).toBeGreaterThan(10);
    const errors = compiled.problems.filter(
      ({ severity, field }) => severity === 'error' && field.includes('annotations'),
    );
    expect(new Set(errors.map(({ object }) => `${object.namespace}/${object.name}`))).toEqual(
      new Set(refused.map(({ ingress }) => ingress)),
    );
  });

  test('the class of the settings is audited too, and so are Ingresses that ingress-nginx serves by another name', async () => {
    const read = await readOnce(configOf(CORPUS), {});
    if (read.kind !== 'read') throw new Error(read.message);
    const settings = { ...CASE_SETTINGS, ingressClass: 'traefik' };
    expect(auditIngresses(read.snapshot, settings).ingresses).toBe(69);
    const renamed = applyChanges(read.snapshot, [
      {
        kind: 'IngressClass',
        key: 'traefik',
        object: { metadata: { name: 'traefik' }, spec: { controller: 'k8s.io/ingress-nginx' } },
      },
    ]);
    expect(auditIngresses(renamed, CASE_SETTINGS).ingresses).toBe(69);
  });
});

describe('the outputs', () => {
  const HOSTILE = '<script>alert(1)</script>|`x`[a](http://b)\u0007';
  let folder = '';
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function ingressWith(annotations: Readonly<Record<string, string>>): string {
    folder = mkdtempSync(join(tmpdir(), 'portico-audit-'));
    const full = Object.entries(annotations).map(([name, value]) => [
      `nginx.ingress.kubernetes.io/${name}`,
      value,
    ]);
    const ingress = {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'Ingress',
      metadata: { name: 'web', namespace: 'shop', annotations: Object.fromEntries(full) },
      spec: { ingressClassName: 'nginx', defaultBackend: { service: { name: 'web', port: { number: 80 } } } },
    };
    writeFileSync(join(folder, 'web.json'), JSON.stringify(ingress));
    return folder;
  }

  test('nothing from an object becomes HTML, Markdown or a control character', async () => {
    const manifests = ingressWith({
      'configuration-snippet': `more_set_headers 'X: ${HOSTILE}';`,
      'backend-protocol': HOSTILE,
    });
    const html = (await audit(manifests, 'html')).text;
    expect(html).toContain('&lt;script&gt;');
    expect(html.match(/<script|<img|<link|src=|href=|@import|url\(/g)).toBeNull();
    expect(html).toContain('color-scheme: light dark');
    const markdown = (await audit(manifests, 'markdown')).text;
    expect(markdown).toContain('&lt;script\\>');
    expect(
      markdown
        .split('\n')
        .filter((line) => line.startsWith('| '))
        .map((line) => line.match(/(?<!\\)\|/g)?.length),
    ).toEqual([7, 7, 7, 7]);
    for (const output of ['text', 'markdown', 'html'] as const)
      expect((await audit(manifests, output)).text).not.toContain('\u0007');
    expect((await audit(manifests, 'text')).text.trimEnd().split('\n')).toHaveLength(5);
  });

  test.each([
    ['auth-snippet', 'deny all;', [1, 1]],
    ['backend-protocol', 'FCGI', [1, 1]],
    ['fastcgi-index', 'index.php', [0, 0]],
    ['backend-protocol', 'GRPC', [0, 1]],
    ['http2-push-preload', 'true', [0, 0]],
  ])('%s: the exit code is what --fail-on says', async (name, value, codes) => {
    const manifests = ingressWith({ [name]: value });
    const found: number[] = [];
    for (const failOn of ['refused', 'difference'] as const)
      found.push((await audit(manifests, 'text', failOn)).code);
    expect(found).toEqual(codes);
  });

  test('from the command line', async () => {
    const { code, stdout, stderr } = await portico([
      'audit',
      '--manifests',
      CORPUS,
      '--fail-on',
      'difference',
    ]);
    expect([code, stderr]).toEqual([1, '']);
    expect(stdout).toMatch(
      /^refused \(critical risk\): Ingress .*\n(.*\n)+68 Ingresses, 3 without annotations .*\n/,
    );
    const wrong = await portico(['audit', '--manifests', CORPUS, '--output', 'pdf']);
    expect([wrong.code, wrong.stdout]).toEqual([64, '']);
  });
});

test('options of the ConfigMap and flags are judged with the Ingresses, and fail the audit too', async () => {
  await using folder = createFolder();
  await folder.put('class.yaml', CLASS);
  await folder.put(
    'controller.yaml',
    stringify({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'controller', namespace: 'ingress-nginx' },
      data: { 'enable-modsecurity': 'true', 'worker-processes': '4', hsts: 'false', 'no-such': 'x' },
    }),
  );
  const flags = ['--ingress-class=public', '--watch-namespace-selector=a=b', '--disable-catch-all', '--v=2'];
  const { code, text } = await audit(folder.path, 'text', 'refused', flags, 'ingress-nginx/controller');
  expect([code, text.trimEnd().split('\n')]).toEqual([
    1,
    [
      'refused (critical risk): ConfigMap ingress-nginx/controller enable-modsecurity: Portico has no web application firewall.',
      'reported difference (low risk): ConfigMap ingress-nginx/controller hsts: Strict-Transport-Security of all hosts; if any ' +
        'of them is set, `--hsts` does not count.',
      'reported difference (low risk): ConfigMap ingress-nginx/controller worker-processes: A flag sets it when Portico starts. Write instead: ' +
        '--workers 4.',
      'no effect (low risk): ConfigMap ingress-nginx/controller no-such: ingress-nginx has no such option.',
      'no effect (low risk): flag --v: It does not decide what is served, or ingress-nginx has no such flag.',
      'same (low risk): flag --disable-catch-all: A flag of Portico takes the same value. Write instead: --catch-all=false.',
      'same (low risk): flag --ingress-class: A flag of Portico takes the same value. Write instead: --ingress-class=public.',
      'same (low risk): flag --watch-namespace-selector: A flag of Portico takes the same value. Write instead: --watch-namespace-selector=a=b.',
      '0 Ingresses, 0 without annotations of ingress-nginx; no annotations',
    ],
  ]);
});

test('a cluster is only read', async () => {
  const annotations = { 'nginx.ingress.kubernetes.io/auth-url': 'https://auth.test' };
  const web = ingress('shop/web');
  const spec = { ...(web['spec'] as object), ingressClassName: 'nginx' };
  const api = await startApiServer({
    objects: [{ ...web, metadata: { ...web.metadata, annotations }, spec }],
  });
  onTestFinished(() => api.close());
  await using folder = createFolder();
  await folder.put('kubeconfig', api.kubeconfig());
  const { stdout } = await portico([
    ...['audit', '--kubeconfig', join(folder.path, 'kubeconfig'), '--output', 'json'],
    ...['--ingress-nginx-configmap', 'ops/nginx', '--fail-on', 'difference'],
  ]);
  expect((JSON.parse(stdout) as Audit).annotations).toMatchObject([
    { ingress: 'shop/web', name: 'auth-url' },
  ]);
  expect(new Set(api.requests.map(({ method }) => method))).toEqual(new Set(['GET']));
});

test('the work grows with the Ingresses, each of which is read by itself', () => {
  const readsOf = (count: number): number => {
    let reads = 0;
    const changes = Array.from({ length: count }, (_, index) => {
      const metadata = {
        name: `i${index}`,
        namespace: 'shop',
        get annotations() {
          reads++;
          return {
            'nginx.ingress.kubernetes.io/rewrite-target': '/',
            'nginx.ingress.kubernetes.io/auth-url': '/a',
          };
        },
      };
      const object = { metadata, spec: { ingressClassName: 'nginx' } } as unknown as Ingress;
      return { kind: 'Ingress', key: `shop/i${index}`, object } as const;
    });
    const snapshot: Snapshot = applyChanges(EMPTY_SNAPSHOT, changes);
    reads = 0;
    expect(auditIngresses(snapshot, CASE_SETTINGS).totals.refused).toBe(count);
    return reads;
  };
  const perIngress = readsOf(100) / 100;
  expect(perIngress).toBeLessThan(10);
  expect(readsOf(1_000)).toBe(1_000 * perIngress);
});
