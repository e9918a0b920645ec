import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type Socket, createServer } from 'node:net';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { portico } from '../support/portico.ts';
import { happens } from '../support/until.ts';
import { createFolder } from './folder.ts';

const ROOT = join(import.meta.dirname, '../..');

it('explain prints what the README shows of it', async () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const [, line = ''] = /^\.\/portico (explain .*examples.*)$/m.exec(readme) ?? [];
  const { code, stdout } = await portico(line.split(' '));
  expect(code).toBe(0);
  expect(stdout.trimEnd()).not.toBe('');
  expect(readme).toContain(stdout.trimEnd());
});

/** Starts a program in the checkout; a probe is what Portico does with the fewest modules. */
function startProgram(command: string, ...args: readonly string[]) {
  const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const closed = once(child, 'close').then(([code]) => [code as number | null, output] as const);
  return { child, closed };
}

it('./portico runs Portico from the checkout, and ends as it does', async () => {
  const { closed } = startProgram('./portico', 'probe', 'readyz', '--status-socket', '/nowhere');
  expect(await closed).toEqual([1, expect.stringMatching(/^portico probe: \/nowhere: .*ENOENT/)]);
});

it('npm run portico passes SIGTERM on: npm does not leave a process behind', async () => {
  await using folder = createFolder();
  const socketPath = join(folder.path, 'silent.sock');
  await using server = createServer().listen(socketPath);
  const line = ['run', '-s', 'portico', '--', 'probe', 'readyz', '--status-socket', socketPath];
  const { child, closed } = startProgram('npm', ...line);
  const [probe] = (await happens(server, 'connection')) as [Socket];
  child.kill('SIGTERM');
  await happens(child, 'exit');
  // One that was left behind would print this before it ends.
  probe.on('error', () => {}).end('HTTP/1.1 200 OK\r\n\r\nstill here');
  const [, output] = await closed;
  expect(output).toBe('');
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
