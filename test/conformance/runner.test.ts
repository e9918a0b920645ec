import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { binariesFolder, whatIsMissing } from './binaries.ts';

/** Building the API server takes minutes: only what has been built is tested. */
const isBuilt = ['kube-apiserver', 'kubectl', 'etcd', 'echo-basic', 'dns'].every((program) =>
  existsSync(join(binariesFolder(), program)),
);
const missing = !process.env['PORTICO_TEST_CLUSTER']
  ? 'PORTICO_TEST_CLUSTER is not set: it starts an API server and etcd'
  : isBuilt
    ? whatIsMissing()
    : 'no cluster has been built here: npm run cluster -- true';

function node(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return spawnSync(process.execPath, args, {
    cwd: import.meta.dirname,
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
}

describe('npm run conformance', () => {
  it('says what is missing where there is no Go, and has not passed', () => {
    const { stdout, status } = node(['conformance.ts'], { PATH: '/nonexistent' });
    expect([stdout, status]).toEqual([
      'skipped: a cluster needs Go 1.26 or newer to build the API server (https://go.dev/doc/install)\n',
      1,
    ]);
  });
});

/** As in the suite, the Pod mounts a Secret that is made after it. */
const DEPLOYMENT = JSON.stringify({
  apiVersion: 'v1',
  kind: 'List',
  items: [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web' },
      spec: {
        selector: { matchLabels: { app: 'web' } },
        template: {
          metadata: { labels: { app: 'web' } },
          spec: {
            containers: [
              {
                name: 'web',
                image: 'echo-basic',
                env: [{ name: 'NAMESPACE', valueFrom: { fieldRef: { fieldPath: 'metadata.namespace' } } }],
                volumeMounts: [{ name: 'late', mountPath: '/late' }],
              },
            ],
            volumes: [{ name: 'late', secret: { secretName: 'late' } }],
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web' },
      spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 3000 }] },
    },
  ],
});
const ADDRESS = '{.endpoints[0].addresses[0]}';
const SCRIPT = `set -e
echo '${DEPLOYMENT}' | kubectl apply -f - >&2
kubectl create secret generic late --from-literal=key=value >&2
kubectl wait endpointslice/web-1 --for=jsonpath='${ADDRESS}' --timeout=30s >&2
address=$(kubectl get endpointslice/web-1 -o jsonpath='${ADDRESS}')
until node -e "fetch('http://$address:3000/hello').then((r) => r.json()).then((it) => console.log(it.path, it.namespace))"; do sleep 0.1; done
kubectl get pods -l app=web -o jsonpath='{.items[0].status.conditions[3].type} {.items[0].metadata.name}{"\\n"}'
for attempt in $(seq 50); do kubectl logs -l app=web | grep -o 'made to .* to' && break; sleep 0.1; done`;

describe.skipIf(missing !== null)(`npm run cluster${missing === null ? '' : ` (${missing})`}`, () => {
  it('runs Deployments as Pods that answer, with EndpointSlices and logs', () => {
    const { stdout, status } = node(['cluster.ts', 'sh', '-c', SCRIPT]);
    expect(stdout).toMatch(/^\/hello default\nReady web-[0-9a-f]{9}-0\nmade to \/hello to\n$/);
    expect(status).toBe(0);
  });
});
