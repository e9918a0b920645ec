import picomatch from 'picomatch';
import { apiCallOf } from '../kubernetes/api-client.ts';
import type { CleanupConfig } from '../config/config.ts';
import { EXIT } from '../config/exit-codes.ts';
import { cleanUp } from '../publish/remove-published.ts';
import { addressText, parseAddress } from '../publish/addresses.ts';
import { systemClock } from '../kubernetes/clock.ts';
import { leaseNameOf } from '../publish/publisher.ts';
import { publishNamespace } from '../controller/publishing.ts';
import { connectApi } from '../kubernetes/api-connection.ts';
import { systemClock as watchClock } from '../kubernetes/clock.ts';
import { failureOfError } from '../kubernetes/failure.ts';
import { loadKubeconfig } from '../kubernetes/kubeconfig.ts';

/** `portico cleanup`: takes back what Portico wrote to the cluster, before or after it is uninstalled. */
export async function runCleanup(
  config: CleanupConfig,
  env: NodeJS.ProcessEnv,
  write: (text: string) => void,
): Promise<number> {
  const loaded = await loadKubeconfig({
    kubeconfig: config.kubeconfig ?? undefined,
    context: config.context ?? undefined,
    env,
  });
  if (loaded.kind === 'failed') {
    console.error(`portico cleanup: ${loaded.message}`);
    return EXIT.noInput;
  }
  const { connection } = loaded;
  const { ingressClass, controllerName, watchIngressWithoutClass, watchNamespaces, dryRun } = config;
  const watched = watchNamespaces.map((glob) => picomatch(glob));
  const literal = watchNamespaces.every((glob) => /^[a-z0-9-]+$/.test(glob));
  const api = connectApi(connection, watchClock);
  try {
    const result = await cleanUp({
      call: apiCallOf(api),
      clock: systemClock,
      write: (line) => write(`${line}\n`),
      settings: {
        ingressClass,
        controllerName,
        watchIngressWithoutClass,
        defaultBackend: null,
        allowLoopback: false,
        now: Date.now(),
      },
      namespaces: literal ? watchNamespaces : [],
      watchNamespace: (namespace) => watched.length === 0 || watched.some((matches) => matches(namespace)),
      addresses: new Set(config.addresses.map((address) => addressText(parseAddress(address)))),
      leaseNamespace: publishNamespace(config.namespace, env, connection),
      leaseName: leaseNameOf(ingressClass),
      dryRun,
    });
    switch (result.kind) {
      case 'running':
        console.error(
          `portico cleanup: ${result.holder} still runs and would write everything again: ` +
            'remove it first (kubectl delete -f deploy/daemonset.yaml), then clean up',
        );
        return EXIT.unavailable;
      case 'done': {
        const { cleaned, failed } = result;
        const what = `${cleaned} statuses ${dryRun ? 'would be cleaned' : 'cleaned'}`;
        write(`${what}${failed > 0 ? `, ${failed} objects failed` : ''}\n`);
        return failed > 0 ? EXIT.failure : EXIT.ok;
      }
    }
  } catch (error) {
    console.error(`portico cleanup: ${failureOfError(error, api.server).message}`);
    return EXIT.unavailable;
  } finally {
    api.close();
  }
}
