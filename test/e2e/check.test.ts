import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import type { CheckOutput } from '../../src/cli/check-result.ts';
import { type CheckOptions, runCheck } from '../../src/cli/check.ts';
import { resolveCompileConfig } from '../../src/config/config.ts';
import { portico } from '../support/portico.ts';
import { type Finished, MAIN, runPortico } from '../support/daemon.ts';
import { createFolder } from './folder.ts';
import { scriptedCluster } from './cluster.ts';
import { INGRESS_CLASS, ingressOf, manifest, serviceOf, siteObjects, slicesOf } from './site.ts';

/** `portico check` in this process, which takes no half second to start. */
async function check(
  paths: readonly string[],
  { recursive = false, ...given }: Partial<CheckOptions> & { recursive?: boolean } = {},
): Promise<Finished> {
  const result = resolveCompileConfig({ manifests: paths, recursive }, {});
  if (result.kind === 'invalid') throw new Error(result.errors.join('\n'));
  const errors = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  let stdout = '';
  const options = { output: 'text', ignore: [], strict: false, offline: false, ...given } as const;
  const code = await runCheck(result.config, {}, options, (text) => void (stdout += text));
  const stderr = errors.mock.calls.map(([line]) => `${String(line)}\n`).join('');
  errors.mockRestore();
  return { code, stdout, stderr };
}

/** As `helm template` prints a chart: no IngressClass, no endpoints, no Secret of cert-manager. */
function chart(className = 'portico'): string {
  const site = { host: 'shop.test', name: 'shop', endpoints: [] };
  const ingress = ingressOf(site);
  const tls = [{ hosts: ['shop.test'], secretName: 'shop-tls' }];
  const spec = { ...(ingress['spec'] as object), ingressClassName: className, tls };
  const metadata = { name: 'shop', annotations: { 'portico.dev/basic-auth-secret': 'users' } };
  return manifest({ ...ingress, metadata, spec }, serviceOf(site));
}

it('reads a stream; --offline takes as given what a cluster makes, --ignore and --strict decide what fails', async () => {
  const piped = (input: string, ...flags: readonly string[]) =>
    portico(['check', '--manifests', '-', ...flags], { input });

  const online = await runPortico(['check', '--manifests', '-'], { input: chart() });
  expect(online.code).toBe(1);
  expect(online.stdout).toMatch(
    /^error: <stdin>:\d+:\d+: Ingress default\/shop .*\(IngressClassNotFound\)$/m,
  );

  const offline = await piped(chart(), '--offline', '--strict');
  expect([offline.code, offline.stdout]).toEqual([0, '1 route on 1 host; no problems\n']);

  await using folder = createFolder();
  await folder.put('nginx.yaml', chart('nginx'));
  const nginx = (...flags: readonly string[]) => portico(['check', '--manifests', folder.path, ...flags]);
  const other = await nginx('--offline');
  expect(other.code).toBe(0);
  expect(other.stdout).toMatch(
    /^warning: .* class "nginx", so Portico does not serve it; .*\(IngressesLeftOut\)$/m,
  );
  expect((await nginx('--strict')).code).toBe(1);
  const ignored = await nginx('--strict', '--ignore', 'IngressesLeftOut', 'NoSuchCode');
  expect(ignored.code).toBe(0);
  expect(ignored.stderr).toBe('portico check: --ignore NoSuchCode: no problem has this code\n');

  const empty = await piped('\n');
  expect([empty.code, empty.stdout]).toEqual([66, '']);
  expect(empty.stderr).toContain('standard input is empty');
});

it('takes several folders, globs and, with --recursive, subfolders; says what it does not read', async () => {
  await using folder = createFolder();
  const site = (name: string) =>
    manifest(...siteObjects({ host: `${name}.test`, name, endpoints: ['10.0.0.1:80'] }));
  await folder.put('class.yaml', manifest(INGRESS_CLASS));
  await folder.put('team-a/a.yaml', site('a'));
  await folder.put('team-b/deep/b.yaml', site('b'));
  const { path } = folder;
  const checked = async (paths: readonly string[], recursive = false) => {
    const { code, stdout, stderr } = await check(paths, { recursive });
    return { code, last: stdout.trimEnd().split('\n').at(-1), stderr: stderr.replaceAll(path, '') };
  };
  expect(await checked([path])).toEqual({
    code: 0,
    last: '0 routes on 0 hosts; no problems',
    stderr: 'portico: --manifests: : 2 subfolders are not read; --recursive reads them too\n',
  });
  expect(await checked([path], true)).toMatchObject({
    code: 0,
    last: '2 routes on 2 hosts; no problems',
  });
  expect(await checked([path, `${path}/team-a`])).toMatchObject({ last: '1 route on 1 host; no problems' });
  expect(await checked([`${path}/**/*.yaml`])).toEqual({
    code: 0,
    last: '2 routes on 2 hosts; no problems',
    stderr: '',
  });
  expect(await checked([`${path}/team-b`, `${path}/*.yml`])).toEqual({
    code: 66,
    last: '',
    stderr:
      'portico check: --manifests: /team-b has no .yaml, .yml or .json files ' +
      '(1 subfolder is not read; --recursive reads them too); ' +
      '--manifests: /*.yml matches no .yaml, .yml or .json file\n',
  });
  const explained = await portico(['explain', '--manifests', path, `${path}/team-a`, 'http://a.test/']);
  expect([explained.code, explained.stdout]).toEqual([0, expect.stringContaining('endpoint: 10.0.0.1:80')]);
});

it('prints many problems below a summary by code and namespace', async () => {
  await using folder = createFolder();
  const objects = Array.from({ length: 12 }, (_, index) => {
    const { metadata, ...rest } = ingressOf({ host: `h${index}.test`, name: `i${index}`, endpoints: [] });
    return { ...rest, metadata: { ...(metadata as object), namespace: index < 9 ? 'shop' : 'web' } };
  });
  await folder.put('all.yaml', manifest(INGRESS_CLASS, ...objects));
  const { stdout } = await check([folder.path]);
  const lines = stdout.trimEnd().split('\n');
  expect(lines.slice(0, 3)).toEqual([
    '12 routes on 12 hosts; 12 errors',
    '  12 errors  ServiceNotFound  in shop (9), web (3)',
    '',
  ]);
  expect(lines).toHaveLength(3 + 12 + 1);
  expect(lines.at(-1)).toBe(lines[0]);
});

it('prints all of it, however slowly it is read', async () => {
  await using folder = createFolder();
  const objects = Array.from({ length: 200 }, (_, index) =>
    ingressOf({ host: `h${index}.test`, name: `i${index}`, endpoints: [] }),
  );
  await folder.put('all.yaml', manifest(INGRESS_CLASS, ...objects));
  const flags = ['check', '--manifests', folder.path, '--output', 'json'];
  const child = spawn(process.execPath, [MAIN, ...flags], { stdio: ['ignore', 'pipe', 'inherit'] });
  // Nothing is read before the process has filled the pipe, or ended.
  const ended = once(child, 'exit');
  child.stdout.pause();
  await Promise.race([ended, once(child.stdout, 'readable')]);
  let text = '';
  for await (const chunk of child.stdout.setEncoding('utf8')) text += String(chunk);
  expect(text.length).toBeGreaterThan(64 * 1024);
  expect((JSON.parse(text) as { problems: unknown[] }).problems).toHaveLength(200);
  expect(await ended).toEqual([1, null]);
});

it('prints for GitHub, SARIF and JUnit, with the place of each problem', async () => {
  await using folder = createFolder();
  const lost = ingressOf({ host: 'a.test', name: 'lost', endpoints: [] });
  await folder.put('a, 100%.yaml', manifest(INGRESS_CLASS, lost));
  const report = async (output: CheckOutput) => {
    const { code, stdout } = await check([folder.path], { output });
    expect(code).toBe(1);
    return stdout.replaceAll(folder.path, 'x');
  };
  expect(await report('github')).toMatch(
    /^::error file=x\/a%2C 100%25\.yaml,line=\d+,col=\d+,title=ServiceNotFound::Ingress default\/lost spec\.rules\[0\].*\n$/,
  );
  const { runs } = JSON.parse(await report('sarif')) as { runs: readonly { results: readonly unknown[] }[] };
  expect(runs[0]?.results).toEqual([
    {
      ruleId: 'ServiceNotFound',
      ruleIndex: 0,
      level: 'error',
      message: { text: expect.stringContaining('There is no Service default/') },
      locations: [
        {
          physicalLocation: {
            artifactLocation: { uri: 'x/a,%20100%25.yaml' },
            region: { startLine: expect.any(Number), startColumn: expect.any(Number) },
          },
          logicalLocations: [{ fullyQualifiedName: expect.stringMatching(/^Ingress default\/lost spec/) }],
        },
      ],
    },
  ]);
  const junit = await report('junit');
  expect(junit).toContain('<testsuite name="portico check" tests="1" failures="1" errors="0">');
  expect(junit).toMatch(
    /<testcase .*name="Ingress default\/lost" file="x\/a, 100%\.yaml"><failure message="ServiceNotFound">/,
  );
});

it('finds nothing wrong in the manifests of the guides, but Services that are yours', async () => {
  await using folder = createFolder();
  for (const page of ['cert-manager', 'oauth2-proxy']) {
    const text = readFileSync(join(import.meta.dirname, `../../docs/${page}.md`), 'utf8');
    const [, yaml = ''] = /```yaml\n(.*?)```/s.exec(text) ?? [];
    expect(yaml).toContain('kind: Ingress');
    await folder.put(`${page}.yaml`, yaml);
  }
  const ignore = ['ServiceNotFound', 'AnnotationDiffers'];
  const { code, stdout } = await check([folder.path], { offline: true, strict: true, ignore });
  expect([code, stdout]).toEqual([0, '3 routes on 2 hosts; no problems\n']);
});

it('explain: the certificate, the protocol, the policies and the problems of a route; no other scheme', async () => {
  await using folder = createFolder();
  const site = { host: 'shop.test', name: 'shop', endpoints: ['10.0.0.1:8080'] };
  const ingress = ingressOf(site);
  const annotations = {
    'portico.dev/balance': 'ewma',
    'portico.dev/backend-protocol': 'HTTPS',
    'portico.dev/blance': 'x',
  };
  const spec = { ...(ingress['spec'] as object), tls: [{ hosts: ['shop.test'], secretName: 'none' }] };
  await folder.put(
    'shop.yaml',
    manifest(
      INGRESS_CLASS,
      { ...ingress, metadata: { name: 'shop', annotations }, spec },
      serviceOf(site),
      ...slicesOf(site),
    ),
  );
  const source = ['explain', '--manifests', folder.path, '--https-port', '443'];
  const { code, stdout } = await portico([...source, 'https://shop.test/']);
  expect(code).toBe(0);
  expect(stdout).toContain('certificate: the self-signed default, which browsers refuse\n');
  expect(stdout).toContain('  policy: balance: ewma');
  expect(stdout).toContain('  protocol: https\n');
  const problems = stdout.slice(stdout.indexOf('problems:\n'));
  expect(problems).toMatch(/error: .* \(SecretNotFound\)$/m);
  expect(problems).toMatch(/warning: .*did you mean portico\.dev\/balance\? \(AnnotationUnknown\)$/m);
  const refused = await portico([...source, 'ftp://shop.test/']);
  expect([refused.code, refused.stdout]).toEqual([64, '']);
  expect(refused.stderr).toContain("'ftp:' is not supported; write http://host/path");

  // An Ingress that is refused is none that a URL could reach: its problems are named.
  await folder.put('lost.yaml', manifest(ingressOf({ host: 'UPPER.test', name: 'lost', endpoints: [] })));
  const lost = await portico([...source, 'http://upper.test/']);
  expect(lost.stdout).toMatch(
    /^  error: .*Ingress default\/lost spec\.rules\[0\]\.host: .*\(FieldInvalid\)$/m,
  );
});

it('names variables of the environment that set no flag, but not those of a Service', async () => {
  await using cluster = await scriptedCluster({ objects: [INGRESS_CLASS] });
  const env = {
    PORTICO_INGRES_CLASS: 'x',
    PORTICO_SERVICE_HOST: '10.0.0.1',
    PORTICO_PORT: 'tcp://10.0.0.1:80',
    PORTICO_PORT_80_TCP_ADDR: '10.0.0.1',
  };
  const { stderr } = await portico(['check', ...cluster.args], { env });
  expect(stderr).toBe(
    'portico check: PORTICO_INGRES_CLASS sets no flag and is ignored; did you mean PORTICO_INGRESS_CLASS?\n',
  );
});

it('says once for each annotation what is different from ingress-nginx, and fails for none', async () => {
  await using folder = createFolder();
  const annotated = (name: string) => ({
    ...ingressOf({ host: `${name}.test`, name: 'shop', endpoints: [] }),
    metadata: { name, annotations: { 'nginx.ingress.kubernetes.io/app-root': '/app' } },
  });
  const site = { host: 'shop.test', name: 'shop', endpoints: [] };
  const ingresses = [annotated('one'), annotated('two'), annotated('three')];
  await folder.put('site.yaml', manifest(INGRESS_CLASS, ...ingresses, serviceOf(site)));
  const { code, stdout } = await check([folder.path], { offline: true, strict: true });
  const lines = stdout.split('\n').filter((line) => line.endsWith('(AnnotationDiffers)'));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain(
    'Not exactly as in ingress-nginx (and 2 other Ingresses): It counts for the paths',
  );
  expect(lines[0]).toMatch(/^info: /);
  expect(code).toBe(0);
});

it('says which Gateways and routes nobody serves, because what they name is not there', async () => {
  await using folder = createFolder();
  const gateway = (className: string) => `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: main, namespace: shop }
spec: { gatewayClassName: ${className}, listeners: [{ name: http, port: 80, protocol: HTTP }] }`;
  const route = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: web, namespace: shop }
spec: { parentRefs: [{ name: main }, { name: mian }] }`;
  const theirs = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: theirs }
spec: { controllerName: example.com/other }`;
  const reasons = ({ stdout }: Finished): readonly string[] =>
    [...stdout.matchAll(/: (\S+ \S+) (spec\S+): There is no .* \((\w+)\)$/gm)].map((found) =>
      found.slice(1).join(' '),
    );

  await folder.put('all.yaml', [gateway('missing'), route, theirs].join('\n---'));
  expect(reasons(await check([folder.path]))).toEqual([
    'Gateway shop/main spec.gatewayClassName GatewayClassNotFound',
    'HTTPRoute shop/web spec.parentRefs[1] ParentNotFound',
  ]);
  // They may be in the cluster.
  expect(reasons(await check([folder.path], { offline: true }))).toEqual([]);
  // What another controller has is not ours to judge.
  await folder.put('all.yaml', [gateway('theirs'), route, theirs].join('\n---'));
  expect(reasons(await check([folder.path]))).toEqual([
    'HTTPRoute shop/web spec.parentRefs[1] ParentNotFound',
  ]);
});
