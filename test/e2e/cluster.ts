/**
 * A cluster for the end-to-end tests: the scripted API server, and a real cluster when PORTICO_TEST_KUBECONFIG names
 * its kubeconfig. In a real one the tests
 *
 * - work in a namespace and with an IngressClass of their own, both deleted at the end;
 * - apply and delete objects through `kubectl`, which must be on the path;
 * - let EndpointSlices name this machine. Portico runs here too, so any address of this machine but the loopback will
 *   do, unless a policy of the cluster says otherwise: PORTICO_TEST_UPSTREAM_ADDRESS then names the one to use.
 *
 * The user of the kubeconfig must be allowed to create Namespaces and IngressClasses, to write Ingresses, Services
 * and EndpointSlices, and to read what deploy/rbac.yaml lists.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ApiObject,
  type ApiServer,
  type ApiServerOptions,
  startApiServer,
} from '../support/api-server.ts';
import { INGRESS_CLASS } from './site.ts';
import { happens } from '../support/until.ts';

export interface Cluster extends AsyncDisposable {
  /** Where objects of the test go. */
  readonly namespace: string;
  /** An address of this machine that its EndpointSlices may name. */
  readonly podAddress: string;
  /** The flags with which Portico serves what the test applies, and nothing else. */
  readonly args: readonly string[];
  /** How often a test may change something where every change takes a while. */
  readonly patience: number;
  /** Creates or replaces; Ingresses get the class of the test. */
  apply(...objects: readonly ApiObject[]): Promise<void>;
  /** `delete('Ingress', 'web')`, in the namespace of the test. */
  delete(kind: string, name: string): Promise<void>;
}

export interface ScriptedCluster extends Cluster {
  readonly api: ApiServer;
}

export const clusters: readonly { readonly name: string; readonly open: () => Promise<Cluster> }[] = [
  { name: 'the scripted API server', open: () => scriptedCluster() },
  ...(process.env['PORTICO_TEST_KUBECONFIG']
    ? [{ name: 'the cluster of PORTICO_TEST_KUBECONFIG', open: realCluster }]
    : []),
];

export async function scriptedCluster(options: ApiServerOptions = {}): Promise<ScriptedCluster> {
  const api = await startApiServer({ ...options, objects: [INGRESS_CLASS, ...(options.objects ?? [])] });
  const folder = await mkdtemp(join(tmpdir(), 'portico-cluster-'));
  const kubeconfig = join(folder, 'config');
  await writeFile(kubeconfig, api.kubeconfig());
  return {
    api,
    namespace: 'default',
    podAddress: '127.0.0.1',
    args: ['--kubeconfig', kubeconfig, '--allow-loopback'],
    patience: 100,
    async apply(...objects) {
      for (const object of objects) api.apply(object);
    },
    async delete(kind, name) {
      api.delete(kind, `default/${name}`);
    },
    async [Symbol.asyncDispose]() {
      await api.close();
      await rm(folder, { recursive: true });
    },
  };
}

async function realCluster(): Promise<Cluster> {
  const kubeconfig = process.env['PORTICO_TEST_KUBECONFIG'] ?? '';
  const name = `portico-e2e-${process.pid}-${Date.now() % 1_000_000}`;
  const controller = `portico.dev/${name}`;
  const kubectl = async (args: readonly string[], input = ''): Promise<void> => {
    const child = spawn('kubectl', ['--kubeconfig', kubeconfig, ...args], {
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    child.stdin.end(input);
    const [code] = (await happens(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${said}`);
  };
  const apply = async (objects: readonly ApiObject[]): Promise<void> => {
    const placed = objects.map(({ metadata, ...object }) => {
      const { namespace, ...rest } = metadata;
      const here = { ...object, metadata: { ...rest, ...(namespace !== undefined && { namespace: name }) } };
      if (object.kind !== 'Ingress') return here;
      return { ...here, spec: { ...(object['spec'] as object), ingressClassName: name } };
    });
    await kubectl(
      ['apply', '--validate=false', '-f', '-'],
      JSON.stringify({ apiVersion: 'v1', kind: 'List', items: placed }),
    );
  };

  await apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }]);
  await apply([{ ...INGRESS_CLASS, metadata: { name }, spec: { controller } }]);
  return {
    namespace: name,
    podAddress: machineAddress(),
    args: `--kubeconfig ${kubeconfig} --watch-namespace ${name} --ingress-class ${name} --controller-name ${controller}`.split(
      ' ',
    ),
    patience: 20,
    apply: (...objects) => apply(objects),
    delete: (kind, object) => kubectl(['-n', name, 'delete', kind.toLowerCase(), object]),
    async [Symbol.asyncDispose]() {
      await kubectl(['delete', 'ingressclass', name]);
      await kubectl(['delete', 'namespace', name, '--wait=false']);
    },
  };
}

/** An API server refuses EndpointSlices with loopback and link-local addresses. */
function machineAddress(): string {
  const given = process.env['PORTICO_TEST_UPSTREAM_ADDRESS'];
  if (given) return given;
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const found = all.find(({ family, internal }) => family === 'IPv4' && !internal);
  if (!found)
    throw new Error('no address of this machine but the loopback: set PORTICO_TEST_UPSTREAM_ADDRESS');
  return found.address;
}
