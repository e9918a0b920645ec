import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { portico } from '../support/portico.ts';
import { eventually } from '../support/daemon.ts';
import { heldPort, loopbackAddress } from '../support/loopback.ts';
import { createFolder } from './folder.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Runs a line of the README as a shell does; resolves with its exit code and its output. */
async function shell(line: string): Promise<{ readonly code: number; readonly stdout: string }> {
  const child = spawn('sh', ['-c', line], { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  const [code] = (await once(child, 'close')) as [number];
  return { code, stdout };
}

it('explain prints what the README shows of it', async () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const [line = ''] = /^\.\/portico explain .*examples.*$/m.exec(readme) ?? [];
  const { code, stdout } = await shell(line);
  expect(code).toBe(0);
  expect(stdout.trimEnd()).not.toBe('');
  expect(readme).toContain(stdout.trimEnd());
});

it('npm run portico passes SIGTERM on: npm does not leave a server behind', async () => {
  const [address, port] = [loopbackAddress(), await heldPort()];
  const flags = `--manifests examples/quickstart --bind-address ${address} --http-port ${port} --status-port 0 --workers 1`;
  const npm = spawn('npm', ['run', '-s', 'portico', '--', 'run', ...flags.split(' ')], {
    cwd: ROOT,
    stdio: 'ignore',
  });
  const ended = once(npm, 'exit');
  const answers = (): Promise<boolean> =>
    fetch(`http://${address}:${port}/`, { headers: { connection: 'close' } }).then(
      async (response) => (await response.text()) !== '',
      () => false,
    );
  await eventually(answers, ended);
  npm.kill('SIGTERM');
  await ended;
  await eventually(async () => !(await answers()));
  expect(await answers()).toBe(false);
});

/** As a person writes the first Ingress: `spec` and `rule` are YAML that is put in. */
function ingress({
  name = 'shop',
  meta = '',
  className = 'ingressClassName: portico',
  spec = '',
  host = 'host: NAME.test',
  path = 'path: /, pathType: Prefix',
  backend = 'service: { name: web, port: { number: 80 } }',
}): string {
  return `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: ${name}
  ${meta}
spec:
  ${className}
  ${spec}
  rules:
    - ${host}
      http:
        paths:
          - { ${path}, backend: { ${backend} } }
`;
}

const SHARED = `apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: { name: portico }
spec: { controller: portico.dev/ingress-controller }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: web-1, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
ports: [{ name: http, port: 8080 }]
endpoints: [{ addresses: [10.0.0.1] }]
`;

/** Each has one mistake, and the problem that must name it. */
const MISTAKES: readonly (readonly [name: string, text: string, code: string, words: string])[] = [
  ['host-misspelt', ingress({ host: 'hosts: a.test' }), 'FieldUnknown', 'did you mean "host"?'],
  ['tls-misspelt', ingress({ spec: 'tsl: [{ secretName: x }]' }), 'FieldUnknown', 'did you mean "tls"?'],
  ['kind-misspelt', ingress({}).replace('kind: Ingress', 'kind: Ingres'), 'KindUnknown', 'write Ingress'],
  ['old-version', ingress({}).replace('io/v1', 'io/v1beta1'), 'RetiredVersion', 'networking.k8s.io/v1'],
  ['no-class', ingress({ className: '' }), 'IngressesLeftOut', 'ingressClassName: portico'],
  [
    'other-class',
    ingress({ className: 'ingressClassName: nginx' }),
    'IngressesLeftOut',
    '--ingress-class nginx',
  ],
  [
    'no-service',
    ingress({ backend: 'service: { name: wbe, port: { number: 80 } }' }),
    'ServiceNotFound',
    'default/wbe',
  ],
  ['no-port', ingress({ backend: 'service: { name: web, port: { number: 8080 } }' }), 'PortNotFound', '80'],
  [
    'quoted-port',
    ingress({ backend: 'service: { name: web, port: { number: "80" } }' }),
    'FieldInvalid',
    'number from 1 to 65535',
  ],
  [
    'long-port-name',
    ingress({ backend: 'service: { name: web, port: { name: a-very-long-port-name } }' }),
    'FieldInvalid',
    'at most 15',
  ],
  ['old-backend', ingress({ backend: 'serviceName: web, servicePort: 80' }), 'FieldUnknown', 'service'],
  ['no-path-type', ingress({ path: 'path: /' }), 'FieldRequired', 'Exact, Prefix'],
  [
    'pattern',
    ingress({ path: 'path: "/v1/(.*)", pathType: ImplementationSpecific' }),
    'PathLooksLikePattern',
    '"/v1"',
  ],
  ['star', ingress({ path: 'path: /api/*, pathType: Prefix' }), 'PathLooksLikePattern', '"/api"'],
  ['no-slash', ingress({ path: 'path: api, pathType: Prefix' }), 'FieldInvalid', 'starting with "/"'],
  ['upper-case-host', ingress({ host: 'host: Shop.test' }), 'FieldInvalid', 'lower-case'],
  ['host-with-port', ingress({ host: 'host: shop.test:8080' }), 'FieldInvalid', 'must not name a port'],
  [
    'no-secret',
    ingress({ spec: 'tls: [{ hosts: [no-secret.test], secretName: gone }]' }),
    'SecretNotFound',
    'default/gone',
  ],
  [
    'annotation-misspelt',
    ingress({ meta: 'annotations: { portico.dev/blance: ewma }' }),
    'AnnotationUnknown',
    'portico.dev/balance?',
  ],
  [
    'annotation-unknown',
    ingress({ meta: 'annotations: { portico.dev/teleport: "true" }' }),
    'AnnotationUnknown',
    'lists those it has',
  ],
  [
    'annotation-not-text',
    ingress({ meta: 'annotations: { portico.dev/ssl-redirect: false }' }),
    'FieldInvalid',
    'put it in quotes',
  ],
  [
    'traefik',
    ingress({ meta: 'annotations: { traefik.ingress.kubernetes.io/router.middlewares: login }' }),
    'AccessAnnotationIgnored',
    'router.middlewares',
  ],
  ['tab', ingress({}).replace('    - host', '\t- host'), 'InvalidSyntax', 'YAML'],
];

it('each of the usual mistakes is named at its file, with what to do', async () => {
  await using folder = createFolder();
  await folder.put('shared.yaml', SHARED);
  for (const [name, text] of MISTAKES) {
    await folder.put(
      `${name}.yaml`,
      text.replace('name: shop', `name: ${name}`).replace('NAME.test', `${name}.test`),
    );
  }
  const { code, stdout } = await portico(['check', '--manifests', folder.path, '--output', 'json']);
  expect(code).toBe(1);
  const { problems } = JSON.parse(stdout) as {
    problems: readonly { code: string; message: string; place: { file: string; line: number } | null }[];
  };
  for (const [name, , expected, words] of MISTAKES) {
    const found = problems.filter(({ place }) => place?.file === join(folder.path, `${name}.yaml`));
    expect([name, ...found.map((each) => each.code)]).toContain(expected);
    expect(found.find((each) => each.code === expected)?.message, name).toContain(words);
  }
  // Nothing is said of what is right.
  expect(problems.filter(({ place }) => place?.file.endsWith('shared.yaml'))).toEqual([]);
});

it('npm start names a wrong argument, an empty folder and a port that is taken', async () => {
  await using folder = createFolder();
  const start = async (...args: readonly string[]) => {
    const child = spawn(process.execPath, [join(ROOT, 'examples/start.ts'), ...args], {
      cwd: ROOT,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    const [code] = (await once(child, 'close')) as [number];
    return [code, said.replace(folder.path, 'DIR')];
  };
  expect(await start('--prot', '80')).toEqual([1, expect.stringContaining("Unknown option '--prot'")]);
  expect(await start(folder.path)).toEqual([1, 'npm start: DIR has no .yaml, .yml or .json files\n']);
});
