/**
 * The conformance suite of Gateway API against Portico: on a cluster of its own (see cluster.ts), with the CRDs of the
 * suite's release, and Portico as its process runs in one.
 *
 *     npm run conformance
 *     npm run conformance -- --run-test HTTPRouteWeight
 *
 * The exit code is that of the suite; it is 1 when the suite could not be run.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildSuite, gatewayApiFolder, whatIsMissing } from './binaries.ts';
import { startControlPlane } from './control-plane.ts';
import { ClusterNode } from './node.ts';
import { NODE_ADDRESS, SECOND_NODE_ADDRESS, makeNetwork } from './pod.ts';
import { startPortico } from './portico.ts';
import { writeResults } from './results.ts';
import { binariesOfSandbox, enterSandbox } from './sandbox.ts';
import { type TestResult, runSuite } from './suite.ts';

const HELP = `usage: npm run conformance [-- OPTION...]

  --run-test NAME,...     run only these tests
  --profiles NAME,...     default: GATEWAY-HTTP, -GRPC, -TLS, -TCP and -UDP
  --channel experimental  install the CRDs of the experimental channel
  --features NAME,...     default: what the status of the GatewayClass lists
  --timeouts NAME:SECONDS;...  bounds of the suite to change, such as NamespacesMustBeReady:30
  --report                write docs/conformance/report.yaml and the results in docs/conformance/README.md
  --keep                  keep the cluster, and what tests made, until this is interrupted
`;
const PROFILES = 'GATEWAY-HTTP,GATEWAY-GRPC,GATEWAY-TLS,GATEWAY-TCP,GATEWAY-UDP';
const DOCS = join(import.meta.dirname, '../../docs/conformance');
/** Reserved for documentation, so no machine has it. */
const UNUSABLE_ADDRESS = '192.0.2.1';
const GATEWAY_CLASS = {
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'GatewayClass',
  metadata: { name: 'portico' },
  spec: { controllerName: 'portico.dev/gateway-controller' },
};
/** How much is told of a test that failed; suite.log has everything. */
const LINES = 30;

const { values: options } = parseArgs({
  options: {
    'run-test': { type: 'string' },
    profiles: { type: 'string', default: PROFILES },
    channel: { type: 'string', default: 'standard' },
    features: { type: 'string' },
    timeouts: { type: 'string' },
    report: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (options.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const binaries = binariesOfSandbox();
if (binaries === null) {
  if (whatIsMissing() === null) buildSuite();
  process.exitCode = await enterSandbox(1);
} else {
  process.exitCode = await run(binaries);
}

async function run(folderOfBinaries: string): Promise<number> {
  makeNetwork();
  const folder = await mkdtemp(join(tmpdir(), 'portico-conformance-'));
  const exitCode = await runIn(folder, folderOfBinaries).catch((error: unknown) => {
    process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  });
  if (exitCode === 0) await rm(folder, { recursive: true, force: true });
  else process.stdout.write(`The logs of the suite, Portico and the API server are in ${folder}\n`);
  return exitCode;
}

async function runIn(folder: string, folderOfBinaries: string): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const { kubeconfig } = stack.use(await startControlPlane(folderOfBinaries, folder));
  stack.use(await ClusterNode.start(kubeconfig, folderOfBinaries, folder));
  const kubectl = (args: readonly string[], input = ''): void => {
    const file = join(folderOfBinaries, 'kubectl');
    execFileSync(file, [`--kubeconfig=${kubeconfig}`, ...args], {
      input,
      stdio: ['pipe', 'ignore', 'inherit'],
    });
  };
  // Server-side: they are too large for the annotation in which kubectl keeps what it applied.
  for (const file of definitionsOf(options.channel)) kubectl(['apply', '--server-side', '-f', file]);
  kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s']);
  kubectl(['apply', '-f', '-'], JSON.stringify(GATEWAY_CLASS));
  // Ingresses are served at ports of their own, so that port 80 of any address is free for load balancers.
  const flags = [
    '--gateway-addresses=service',
    `--publish-address=${NODE_ADDRESS}`,
    '--http-port=18080',
    '--https-port=18443',
  ];
  const portico = stack.use(await startPortico(folderOfBinaries, folder, kubeconfig, flags));
  // The suite reads once, at its start, which features the class has.
  kubectl(['wait', '--for=condition=Accepted', 'gatewayclass/portico', '--timeout=60s']);
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());

  const report = join(folder, 'report.yaml');
  const { exitCode, results, log } = await runSuite({
    binaries: folderOfBinaries,
    folder,
    kubeconfig,
    flags: flagsOfSuite(report),
    signal: AbortSignal.any([portico.died, interrupted.signal]),
    onResult: tell,
  });
  if (portico.died.aborted) process.stdout.write(`${String(portico.died.reason)}\n`);
  else if (exitCode !== 0 && results.length === 0) process.stdout.write(`${log.slice(-LINES).join('\n')}\n`);
  const count = (outcome: TestResult['outcome']): number =>
    results.filter((result) => result.outcome === outcome).length;
  process.stdout.write(`${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped\n`);
  if (options.report) {
    await copyFile(report, join(DOCS, 'report.yaml'));
    await writeResults(join(DOCS, 'README.md'), results);
  }
  if (options.keep) await untilInterrupted(kubeconfig);
  return exitCode;
}

/** The files of a channel of Gateway API; beside them lies one for kustomize. */
function definitionsOf(channel: string): readonly string[] {
  const folder = join(gatewayApiFolder(), 'config/crd', channel);
  return readdirSync(folder)
    .filter((name) => name.startsWith('gateway.'))
    .map((name) => join(folder, name));
}

function flagsOfSuite(report: string): readonly string[] {
  const { features, timeouts } = options;
  const tests = options['run-test']?.split(',') ?? [];
  return [
    '--gateway-class=portico',
    `--conformance-profiles=${options.profiles}`,
    `--usable-address=${SECOND_NODE_ADDRESS}`,
    `--unusable-address=${UNUSABLE_ADDRESS}`,
    ...(features === undefined ? [] : [`--supported-features=${features}`]),
    ...(timeouts === undefined ? [] : [`--timeout-config-overrides=${timeouts}`]),
    // The suite itself takes the name of one test, and then no feature skips it.
    ...(tests.length === 1 ? [`--run-test=${tests[0]}`] : []),
    ...(tests.length > 1 ? [`-test.run=^TestConformance$/^(${tests.join('|')})$`] : []),
    ...(options.report ? [`--report-output=${report}`, ...implementation()] : []),
    ...(options.keep ? ['--cleanup-base-resources=false', '--cleanup-test-resources=false'] : []),
  ];
}

/** What the report says of Portico. */
function implementation(): readonly string[] {
  const file = readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8');
  const { version } = JSON.parse(file) as { version: string };
  return [
    '--organization=portico-dev',
    '--project=portico',
    '--url=https://github.com/portico-dev/portico',
    `--version=${version}`,
    '--contact=https://github.com/portico-dev/portico/issues',
  ];
}

function tell({ name, outcome, seconds, log }: TestResult): void {
  if (outcome === 'skipped') return;
  process.stdout.write(`${outcome}  ${name} (${seconds} s)\n`);
  if (outcome === 'failed') process.stdout.write(`${log.slice(-LINES).join('\n')}\n`);
}

async function untilInterrupted(kubeconfig: string): Promise<void> {
  const enter = `nsenter --net=/proc/${process.pid}/ns/net`;
  process.stdout.write(`kept until Ctrl-C: ${enter} kubectl --kubeconfig=${kubeconfig} get gateways -A\n`);
  await once(process, 'SIGINT');
}
