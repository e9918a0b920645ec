import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../deploy/manifests.ts';
import { createFolder } from '../e2e/folder.ts';
import { startPod } from '../e2e/pod.ts';
import { INGRESS_CLASS, manifest, siteObjects } from '../e2e/site.ts';
import { type ApiObject, startApiServer } from '../support/api-server.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { heldPort, loopbackAddress } from '../support/loopback.ts';

/** The machine of a reader of the documents: with manifests, a cluster and a running Portico. */
export interface Machine extends AsyncDisposable {
  /** Has the kubeconfig of the cluster, and takes what commands write. */
  readonly home: string;
  /** The manifests of the reader. */
  readonly manifests: string;
  /** The same objects in the cluster. */
  readonly objects: readonly ApiObject[];
  readonly daemon: Daemon;
  readonly adminSocket: string;
  readonly statusSocket: string;
  /** `address:port` */
  readonly adminAddress: string;
  /** The port of the Gateway in examples/gateway. */
  readonly gatewayPort: number;
}

const [OLD_INGRESS, ...OLD_SERVICE] = siteObjects({
  host: 'old.example.com',
  name: 'old',
  endpoints: ['10.0.0.2:8080'],
});
/** What is there before a migration. */
const OF_INGRESS_NGINX = [
  { ...INGRESS_CLASS, metadata: { name: 'nginx' }, spec: { controller: 'k8s.io/ingress-nginx' } },
  { ...OLD_INGRESS, spec: { ...(OLD_INGRESS?.spec as object), ingressClassName: 'nginx' } } as ApiObject,
  ...OLD_SERVICE,
  {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace: 'ingress-nginx', name: 'ingress-nginx-controller' },
    data: {},
  },
];

export async function startMachine(): Promise<Machine> {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(createFolder());
  const pod = stack.use(await startPod('shop'));
  const home = join(folder.path, 'home');
  const manifests = join(folder.path, 'manifests');
  await mkdir(join(home, '.kube'), { recursive: true });

  const site = (endpoint: string): ApiObject[] => {
    const [ingress, ...others] = siteObjects({
      host: 'shop.example.com',
      name: 'shop',
      endpoints: [endpoint],
    });
    const annotations = { 'external-dns.alpha.kubernetes.io/ttl': '60' };
    return [{ ...ingress, metadata: { ...ingress?.metadata, annotations } } as ApiObject, ...others];
  };
  await folder.put('manifests/shop.yaml', manifest(INGRESS_CLASS, ...site(pod.endpoint)));
  await folder.put('manifests/old.yaml', manifest(...OF_INGRESS_NGINX));
  const objects = [INGRESS_CLASS, ...site('10.0.0.1:8080'), ...OF_INGRESS_NGINX];
  const cluster = await startApiServer({ objects });
  stack.defer(() => cluster.close());
  await writeFile(join(home, '.kube/config'), cluster.kubeconfig());

  const gatewayPort = await heldPort();
  const example = join(ROOT, 'examples/gateway');
  for (const name of await readdir(example)) {
    const text = await readFile(join(example, name), 'utf8');
    const ports = text.replaceAll(/port: 2\d{4}/g, `port: ${pod.endpoint.split(':')[1]}`);
    await folder.put(
      `gateway/${name}`,
      ports.replace('port: 8088', `port: ${gatewayPort}`).replace('port: 8089', `port: ${await heldPort()}`),
    );
  }

  const address = loopbackAddress();
  const [adminSocket, statusSocket] = [join(folder.path, 'admin.sock'), join(folder.path, 'status.sock')];
  const adminAddress = `${address}:${await heldPort()}`;
  const daemon = stack.use(
    startDaemon({
      address,
      args: [
        ...['--manifests', manifests, join(folder.path, 'gateway')],
        ...['--admin-socket', adminSocket, '--admin-address', adminAddress],
        ...['--status-socket', statusSocket],
      ],
    }),
  );
  await daemon.ready();
  return {
    ...{ home, manifests, objects, daemon, adminSocket, statusSocket, adminAddress, gatewayPort },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
