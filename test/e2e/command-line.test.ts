import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { expect, it } from 'vitest';
import { RUN_FLAGS, environmentName } from '../../src/config/flags.ts';
import { listenFailure } from '../../src/controller/listen-failure.ts';
import { portico } from '../support/portico.ts';
import { HTTP_PORT, STATUS_PORT, runPortico, startDaemon } from '../support/daemon.ts';
import { loopbackAddress } from '../support/loopback.ts';
import { createFolder } from './folder.ts';
import { scriptedCluster } from './cluster.ts';
import { INGRESS_CLASS, ingressOf, manifest, serviceOf, siteObjects } from './site.ts';
import { happens } from '../support/until.ts';

/** A port below 1024 that nobody listens on at all addresses. */
async function lowPort(): Promise<number> {
  const address = loopbackAddress();
  for (let port = 1023; port > 0; port--) {
    const server = createServer().listen(port, address);
    const free = await happens(server, 'listening').then(
      () => true,
      () => false,
    );
    server.close();
    if (free) return port;
  }
  throw new Error('every port below 1024 is in use');
}

/** `portico run` that is expected to end by itself. */
function run(address: string, ...args: string[]) {
  const ports = ['--http-port', `${HTTP_PORT}`, '--https-port', '0', '--status-port', `${STATUS_PORT}`];
  const others = ['--admin-address', 'off', '--workers', '1'];
  return runPortico(['run', '--bind-address', address, ...ports, ...others, ...args]);
}

it('names every mistake in one go and ends with 64', async () => {
  const mistaken =
    'run --http-port 99999 --engine turbo --trusted-proxies 10.0.0.0/8 nonsense --limit head-bytes=none ' +
    '--drain-timeout soon --kubeconfig /k --manifests /m --workerz=3 --log-level loud --watch-namespace Team';
  const { code, stdout, stderr } = await portico(mistaken.split(' '), {
    env: { PORTICO_STATUS_PORT: 'x', PORTICO_ACCESS_LOG: 'xml' },
  });
  expect(code).toBe(64);
  expect(stdout).toBe('');
  const lines = stderr.trimEnd().split('\n');
  expect(lines.pop()).toBe("portico run: see 'portico run --help'");
  expect(lines.sort()).toEqual([
    expect.stringContaining("portico run: --drain-timeout: 'soon' is not a duration"),
    "portico run: --engine: 'turbo' is not valid; use relay or http-proxy",
    "portico run: --http-port: '99999' is not a port; give a number from 1 to 65535",
    "portico run: --limit: head-bytes: 'none' is not a positive whole number",
    "portico run: --log-level: 'loud' is not valid; use debug, info, warn, error or silent",
    'portico run: --manifests and --kubeconfig exclude each other: choose files or a cluster',
    "portico run: --trusted-proxies: 'nonsense' is not a network such as 10.0.0.0/8 or fd00::/8",
    expect.stringContaining("portico run: --watch-namespace: 'Team' is not a glob"),
    expect.stringContaining(
      "portico run: PORTICO_ACCESS_LOG: 'xml' is not valid; use auto, off, json, text,",
    ),
    "portico run: PORTICO_STATUS_PORT: 'x' is not a port; give a number from 0 to 65535",
    'portico run: unknown flag --workerz; did you mean --workers?',
  ]);
});

it('takes a mistake seriously before a port is bound', async () => {
  const address = loopbackAddress();
  const holder = createServer().listen(HTTP_PORT, address);
  await happens(holder, 'listening');
  try {
    // With the port in use as well, the mistake is what is reported.
    const { code, stderr } = await run(address, '--manifests', '/', '--workers', 'many');
    expect(code).toBe(64);
    expect(stderr).toMatch(/^portico run: --workers: .*\nportico run: see 'portico run --help'\n$/);
  } finally {
    holder.close();
  }
});

it('reads every flag from the environment, and the flag wins', async () => {
  await using folder = createFolder();
  await folder.put('all.yaml', manifest(INGRESS_CLASS, ...siteObjects({ host: 'a.test', endpoints: [] })));
  const env = { PORTICO_MANIFESTS: folder.path, PORTICO_INGRESS_CLASS: 'other' };
  const { code, stdout } = await portico(['check', '--output', 'json'], { env });
  expect([code, (JSON.parse(stdout) as { routes: number }).routes]).toEqual([0, 1]);
  const overridden = await portico(['check', '--manifests', `${folder.path}/missing`], { env });
  expect(overridden.code).toBe(66);
});

it('--help and --version end with 0; the help names every flag with its variable', async () => {
  const help = await portico(['run', '--help']);
  expect([help.code, help.stderr]).toEqual([0, '']);
  // As wide as the terminal is, lines are broken anywhere.
  const text = help.stdout.replaceAll(/\s+/g, ' ');
  for (const flag of RUN_FLAGS) {
    expect(text).toContain(`--${flag.name}`);
    expect(text).toContain(`env: ${environmentName(flag)})`);
    if (flag.default !== undefined) expect(text).toContain(`default: ${flag.default},`);
  }
  const general = await portico(['--help']);
  expect(general.code).toBe(0);
  for (const name of ['run', 'check', 'explain'])
    expect(general.stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
  const version = await portico(['--version']);
  const { version: expected } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  expect([version.code, version.stdout]).toEqual([0, `${expected}\n`]);
});

it('a command that does not exist, and none at all, end with 64', async () => {
  const wrong = await portico(['stats']);
  expect(wrong.code).toBe(64);
  expect(wrong.stderr).toBe(
    "portico: unknown command 'stats'; did you mean status?\nportico: see 'portico --help'\n",
  );
  const none = await portico([]);
  expect(none.code).toBe(64);
  expect(none.stderr).toContain('Usage: portico');
});

it.each([
  ['status --form x', 'unknown flag --form; did you mean --from?'],
  ['status a b', 'unexpected argument: a, b'],
  ['routes --output', '--output needs a value'],
  ['top --sort size', "--sort: 'size' is not valid; use requests, errors or latency"],
  ['debug maybe', "'maybe' is not valid; use on, off or list"],
  ['explain', '<url> is missing'],
  ['probe readyz', '--status-socket <path> is missing'],
])('portico %s: %s', async (line, error) => {
  const [name = ''] = line.split(' ');
  const { code, stderr } = await portico(line.split(' '));
  expect(code).toBe(64);
  expect(stderr).toBe(`portico ${name}: ${error}\nportico ${name}: see 'portico ${name} --help'\n`);
});

it.skipIf(!existsSync('/dev/full'))('output that cannot be written is one line and 74', async () => {
  const { code, stderr } = await runPortico(['completion', 'bash'], {
    through: ['sh', '-c', 'exec "$@" >/dev/full', 'sh'],
  });
  expect([code, stderr]).toEqual([
    74,
    expect.stringMatching(/^portico completion: the output cannot be written: ENOSPC: .*\n$/),
  ]);
});

it('a port in use is one line and 69, whichever port it is', async () => {
  await using folder = createFolder();
  for (const [flag, port] of [
    ['--http-port', HTTP_PORT],
    ['--status-port', STATUS_PORT],
  ] as const) {
    const address = loopbackAddress();
    const holder = createServer().listen(port, address);
    await happens(holder, 'listening');
    try {
      const { code, stdout, stderr } = await run(address, '--manifests', folder.path);
      expect(code).toBe(69);
      const errors = stdout.split('\n').filter((line) => line.includes('"level":"error"'));
      expect(errors).toHaveLength(1);
      expect(errors[0]).toContain(
        `${flag} ${port}: the port is in use by another process; stop it or choose another port`,
      );
      expect(stderr).toBe('');
    } finally {
      holder.close();
    }
  }
});

it('an address that the machine does not have is one line and 69', async () => {
  const [error] = (await once(createServer().listen(HTTP_PORT, '198.51.100.1'), 'error')) as [
    NodeJS.ErrnoException,
  ];
  expect(listenFailure('--http-port', HTTP_PORT, `${error.code}`, error.message)).toEqual({
    line: `--http-port ${HTTP_PORT}: this machine does not have the address given with --bind-address; choose one that it has`,
    exitCode: 69,
  });
});

it('a port that this user may not have is one line and 77', async () => {
  await using folder = createFolder();
  // Where the system lets everybody have every port, as in many containers, nothing can be refused.
  const lowest = Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8'));
  const mayNot = lowest > 80;
  const address = loopbackAddress();
  const source = ['--manifests', folder.path];
  if (mayNot) {
    const root = process.getuid?.() === 0;
    const { code, stdout } = await runPortico(
      [
        'run',
        '--bind-address',
        address,
        '--http-port',
        '80',
        '--status-port',
        '0',
        '--workers',
        '1',
        ...source,
      ],
      { through: root ? ['setpriv', '--bounding-set=-net_bind_service'] : [] },
    );
    expect(stdout.match(/"level":"error".*NET_BIND_SERVICE/g)).toHaveLength(1);
    expect(stdout).toContain(
      '--http-port 80: this user may not listen on it; choose a port of 1024 or higher',
    );
    expect(code).toBe(77);
  } else {
    const port = await lowPort();
    await using daemon = startDaemon({ args: [...source, '--http-port', `${port}`], address });
    await daemon.ready();
    expect(await daemon.stop()).toBe(0);
  }
});

it('a source that is not there is one line and 66', async () => {
  const address = loopbackAddress();
  const reasons: readonly (readonly [string[], string])[] = [
    [['--manifests', '/nonexistent/shop.yaml'], '--manifests /nonexistent/shop.yaml: it does not exist'],
    [['--kubeconfig', '/nonexistent/config'], 'cannot read kubeconfig /nonexistent/config'],
  ];
  for (const [args, reason] of reasons) {
    const { code, stdout, stderr } = await run(address, ...args);
    expect([code, stderr]).toEqual([66, '']);
    expect(stdout.trimEnd().split('\n')).toEqual([expect.stringContaining(reason)]);
  }
});

it('check: an exec plugin that fails is one line at once', async () => {
  await using folder = createFolder();
  const yaml = {
    kind: 'Config',
    'current-context': 'c',
    clusters: [{ name: 'k', cluster: { server: 'https://127.0.0.1:9' } }],
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
    users: [{ name: 'u', user: { exec: { command: 'no-such-plugin', installHint: 'apt install it' } } }],
  };
  await folder.put('config', JSON.stringify(yaml));
  const { code, stdout, stderr } = await portico(['check', '--kubeconfig', `${folder.path}/config`]);
  expect([code, stdout]).toEqual([69, '']);
  expect(stderr).toMatch(
    /^portico check: https:.*: cannot get the credentials of user "u": exec plugin "no-such-plugin" was not found: .* \(apt install it\)\n$/,
  );
});

it('check and cleanup: a cluster that refuses connections is one line soon, not after a silent half minute', async () => {
  await using folder = createFolder();
  const yaml = {
    kind: 'Config',
    'current-context': 'c',
    clusters: [{ name: 'k', cluster: { server: 'https://127.0.0.1:9' } }],
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
    users: [{ name: 'u', user: { token: 'x' } }],
  };
  await folder.put('config', JSON.stringify(yaml));
  const commands = ['check', 'cleanup'];
  const ended = await Promise.all(
    commands.map((name) => portico([name, '--kubeconfig', `${folder.path}/config`])),
  );
  expect(ended.map(({ code, stdout }) => [code, stdout])).toEqual([
    [69, ''],
    [69, ''],
  ]);
  expect(ended.map(({ stderr }) => stderr.replace(/\(context c [^:]*\)/, '(context)'))).toEqual(
    commands.map(
      (name) =>
        `portico ${name}: https://127.0.0.1:9 (context): connection refused; is the API server running at that address?\n`,
    ),
  );
});

it('check: every problem with object, field and place; 1 for an error, 0 for a warning', async () => {
  await using folder = createFolder();
  const site = { host: 'shop.test', name: 'shop', endpoints: [] };
  await folder.put('shop.yaml', manifest(INGRESS_CLASS, ...siteObjects(site)));
  const fine = await portico(['check', '--manifests', folder.path]);
  expect(fine.stdout).toMatch(/^1 route on 1 host; \d+ warnings?\n$/m);
  expect(fine.code).toBe(0);

  await folder.put('bad.yaml', manifest(ingressOf({ ...site, name: 'bad', host: 'UPPER.test' })));
  await folder.put('lonely.yaml', manifest(ingressOf({ ...site, name: 'lonely', host: 'lonely.test' })));
  const text = await portico(['check', '--manifests', folder.path]);
  expect(text.code).toBe(1);
  expect(text.stdout).toMatch(/^error: .*bad\.yaml:\d+:\d+: Ingress default\/bad spec\.rules\[0\]\.host: /m);
  expect(text.stdout).toMatch(/lonely\.yaml:\d+:\d+: Ingress default\/lonely .*\(ServiceNotFound\)$/m);

  const json = await portico(['check', '--manifests', folder.path, '--output', 'json']);
  expect(json.code).toBe(1);
  const { problems, ...counts } = JSON.parse(json.stdout) as {
    problems: { code: string; place: object; object: object; field: string }[];
  };
  expect(counts).toEqual({ hosts: 2, routes: 2, backends: 2, lastResort: 0, leftOut: [] });
  expect(problems.find(({ code }) => code === 'ServiceNotFound')).toMatchObject({
    object: { kind: 'Ingress', namespace: 'default', name: 'lonely' },
    place: { file: `${folder.path}/lonely.yaml`, line: expect.any(Number), column: expect.any(Number) },
  });

  const none = await portico(['check', '--manifests', `${folder.path}/gone`]);
  expect([none.code, none.stdout]).toEqual([66, '']);
  expect(none.stderr).toMatch(/^portico check: --manifests: .*gone does not exist\n$/);
});

it('explain: the rule, the backend and the endpoints of a URL, of manifests and of a cluster', async () => {
  await using folder = createFolder();
  const site = { host: 'shop.test', name: 'shop', endpoints: ['10.0.0.1:8080'] };
  const objects = siteObjects(site);
  await folder.put('shop.yaml', manifest(INGRESS_CLASS, ...objects));
  await using cluster = await scriptedCluster({ objects });
  for (const source of [['--manifests', folder.path], cluster.args]) {
    const text = await portico(['explain', ...source, 'http://shop.test/cart']);
    expect([text.code, text.stderr]).toEqual([0, '']);
    expect(text.stdout).toContain('route: Prefix / of Ingress default/shop at spec.rules[0].http.paths[0]\n');
    expect(text.stdout).toContain(
      'backend: default/shop:http\n  protocol: http\n  endpoint: 10.0.0.1:8080\n',
    );

    const json = await portico(['explain', ...source, '--output', 'json', 'http://nobody.test/']);
    expect(json.code).toBe(0);
    expect(JSON.parse(json.stdout)).toMatchObject({
      outcome: { kind: 'refuse', status: 404, reason: 'no-route' },
    });
  }
  const missing = await portico(['explain', '--manifests', folder.path]);
  expect(missing.code).toBe(64);
  expect(missing.stderr).toContain('<url> is missing');
});

it('explain --node-name: the endpoints as the Portico on that node chooses them, those farther away after', async () => {
  await using folder = createFolder();
  const site = { host: 'near.test', name: 'near', endpoints: [] };
  const service = serviceOf(site);
  const endpoint = (node: string, zone: string, address: string) => ({
    addresses: [address],
    conditions: { ready: true },
    nodeName: node,
    zone,
    targetRef: { kind: 'Pod', name: `near-${node}` },
  });
  const slice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'near-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'near' } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080 }],
    endpoints: [
      endpoint('n-1', 'east', '10.0.0.1'),
      endpoint('n-2', 'east', '10.0.0.2'),
      endpoint('n-3', 'west', '10.0.0.3'),
      endpoint('n-4', 'west', '10.0.0.4'),
    ],
  };
  const spec = { ...(service['spec'] as object), trafficDistribution: 'PreferSameZone' };
  await folder.put('near.yaml', manifest(INGRESS_CLASS, ingressOf(site), { ...service, spec }, slice));
  const east = [
    '  endpoint: 10.0.0.1:8080 (Pod near-n-1, node n-1, zone east)',
    '  endpoint: 10.0.0.2:8080 (Pod near-n-2, node n-2, zone east)',
  ];
  const west = [
    '  endpoint: 10.0.0.3:8080 (Pod near-n-3, node n-3, zone west)',
    '  endpoint: 10.0.0.4:8080 (Pod near-n-4, node n-4, zone west)',
  ];
  const farther = '  remote, used when none of these can be reached:';
  const explained = async (args: readonly string[], env?: Record<string, string>): Promise<string[]> => {
    const all = ['explain', '--manifests', folder.path, ...args, 'http://near.test/'];
    const { code, stdout, stderr } = await portico(all, env && { env });
    expect([code, stderr]).toEqual([0, '']);
    const lines = stdout.trimEnd().split('\n');
    return lines.slice(lines.indexOf('  protocol: http') + 1);
  };
  // The zone is learned from what else is on the node.
  expect(await explained(['--node-name', 'n-3'])).toEqual([...west, farther, ...east]);
  expect(await explained(['--zone', 'east'])).toEqual([...east, farther, ...west]);
  expect(await explained([], { PORTICO_NODE_NAME: 'n-1' })).toEqual([...east, farther, ...west]);
  expect(await explained([])).toEqual([...east, ...west]);
});
