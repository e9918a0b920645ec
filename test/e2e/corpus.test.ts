import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseAllDocuments, stringify } from 'yaml';
import { loopbackAddress } from '../support/loopback.ts';
import { startDaemon } from '../support/daemon.ts';
import { createFolder } from './folder.ts';
import { startPod } from './pod.ts';
import { manifest, serviceOf, slicesOf } from './site.ts';

const CORPUS = join(import.meta.dirname, '../corpus');
const NGINX = 'nginx.ingress.kubernetes.io/';

interface CorpusIngress {
  readonly kind: string;
  readonly metadata: {
    readonly namespace: string;
    readonly name: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly rules?: readonly {
      readonly host?: string;
      readonly http: {
        readonly paths: readonly {
          readonly path: string;
          readonly backend: {
            readonly service: { readonly name: string; readonly port: { readonly number: number } };
          };
        }[];
      };
    }[];
  };
}

const documents = readdirSync(CORPUS).flatMap((file) =>
  parseAllDocuments(readFileSync(join(CORPUS, file), 'utf8')).map((each) => each.toJS() as CorpusIngress),
);
const ingresses = documents.filter(({ kind }) => kind === 'Ingress');

/** Whether a client without a name, from this machine, must not reach a Pod. */
function isProtected({ metadata: { annotations = {} } }: CorpusIngress): boolean {
  const value = (name: string): string | undefined => annotations[`${NGINX}${name}`];
  const ranges = value('whitelist-source-range');
  return (
    value('auth-url') !== undefined ||
    value('auth-type') !== undefined ||
    (ranges !== undefined && !ranges.includes('0.0.0.0/0')) ||
    (value('auth-tls-secret') !== undefined && value('auth-tls-verify-client') !== 'optional') ||
    value('enable-modsecurity') === 'true' ||
    /deny|return 403/.test(`${value('server-snippet')} ${value('configuration-snippet')}`)
  );
}

/** A path of a rule as a client could ask for it. */
function sampleOf(path: string): string {
  return path.replaceAll('(/|$)', '/').replaceAll('(v[0-9]+)', 'v1').replaceAll('(.*)', 'x');
}

it('is served by the daemon: nothing fails, and nothing is open that was closed', async () => {
  await using pod = await startPod('corpus', loopbackAddress());
  await using folder = createFolder();
  const services = new Map<string, string>();
  for (const { metadata, spec } of ingresses)
    for (const { http } of spec.rules ?? [])
      for (const { backend } of http.paths) {
        const { name, port } = backend.service;
        const site = { host: '', name, namespace: metadata.namespace, endpoints: [pod.endpoint] };
        const service = { ...serviceOf(site), spec: { ports: [{ name: 'http', port: port.number }] } };
        services.set(`${metadata.namespace}/${name}`, manifest(service, ...slicesOf(site)));
      }
  await folder.put('services.yaml', [...services.values()].join('---\n'));
  for (const [index, document] of documents.entries())
    if (document !== null) await folder.put(`${index}.yaml`, stringify(document));
  await using daemon = startDaemon({
    args: [
      ...['--manifests', folder.path, '--drop-in', 'ingress-nginx', '--access-log', 'off'],
      ...['--trusted-proxies', '127.0.0.1'],
    ],
  });
  await daemon.ready();

  const open: string[] = [];
  let served = 0;
  for (const ingress of ingresses) {
    const { namespace, name } = ingress.metadata;
    for (const { host = 'any.test', http } of ingress.spec.rules ?? [])
      for (const { path } of http.paths) {
        const fields = ['X-Forwarded-Proto: https', 'X-Forwarded-For: 198.51.100.200'];
        const response = await daemon.request(host.replace('*', 'a'), sampleOf(path), { fields });
        expect(response.body, `${namespace}/${name}`).not.toContain('failed to carry out');
        if (response.field('x-pod') === undefined) continue;
        served++;
        if (isProtected(ingress)) open.push(`${namespace}/${name} ${path}`);
      }
  }
  expect(ingresses.length).toBeGreaterThanOrEqual(60);
  expect(ingresses.filter(isProtected).length).toBeGreaterThanOrEqual(12);
  expect(open).toEqual([]);
  expect(served).toBeGreaterThan(30);
  expect(await daemon.metric('portico_internal_faults_total')).toBe(0);
});
