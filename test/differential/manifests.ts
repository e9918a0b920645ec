import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { DifferentialCase } from './case.ts';

const CERTIFICATES = join(import.meta.dirname, '../support/certificates');
/** Nobody verifies it. */
export const CERTIFICATE = {
  cert: join(CERTIFICATES, 'api-server.crt'),
  key: join(CERTIFICATES, 'api-server.key'),
};

/** YAML as Kubernetes reads it: `off` is a boolean there. */
const OPTIONS = { version: '1.1', lineWidth: 0 } as const;

const INGRESS_CLASS = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'IngressClass',
  metadata: { name: 'nginx' },
  spec: { controller: 'k8s.io/ingress-nginx' },
};

export interface Place {
  readonly address: string;
  readonly port: number;
}

/** The manifests of all cases, each in the namespace of its name. `places` has where each Pod is. */
export function manifestsOf(
  cases: readonly DifferentialCase[],
  places: (each: DifferentialCase, pod: string) => Place,
): string {
  const documents = cases.flatMap((each) => {
    const namespace = each.name;
    const services = Object.keys(each.pods).flatMap((pod) => serviceOf(namespace, pod, places(each, pod)));
    const more = each.objects.replaceAll('{namespace}', namespace);
    const texts = [ingressOf(each), ...(each.tls ? [secretOf(namespace)] : [])].map((object) =>
      stringify(object, OPTIONS),
    );
    return [
      ...texts,
      ...services.map((object) => stringify(object, OPTIONS)),
      ...(more === '' ? [] : [more]),
    ].map((text) => withPlaces(text, each, places));
  });
  return [stringify(INGRESS_CLASS), ...documents].join('---\n');
}

/** `{app}` becomes the address and port of the Pod `app`. */
export function withPlaces(
  text: string,
  each: DifferentialCase,
  places: (each: DifferentialCase, pod: string) => Place,
): string {
  return Object.keys(each.pods).reduce((filled, pod) => {
    const { address, port } = places(each, pod);
    return filled.replaceAll(`{${pod}}`, `${address}:${port}`);
  }, text);
}

function ingressOf({ name, annotations, paths, tls }: DifferentialCase): object {
  const host = `${name}.test`;
  const rules = paths.map(({ path, pathType, pod }) => ({
    path,
    pathType,
    backend: { service: { name: pod, port: { number: 80 } } },
  }));
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: {
      name,
      namespace: name,
      annotations: Object.fromEntries(
        Object.entries(annotations).map(([key, value]) => [
          key.includes('/') ? key : `nginx.ingress.kubernetes.io/${key}`,
          value,
        ]),
      ),
    },
    spec: {
      ingressClassName: 'nginx',
      ...(tls && { tls: [{ hosts: [host], secretName: 'tls' }] }),
      rules: [{ host, http: { paths: rules } }],
    },
  };
}

function secretOf(namespace: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: { name: 'tls', namespace },
    stringData: {
      'tls.crt': readFileSync(CERTIFICATE.cert, 'utf8'),
      'tls.key': readFileSync(CERTIFICATE.key, 'utf8'),
    },
  };
}

function serviceOf(namespace: string, name: string, { address, port }: Place): object[] {
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: { ports: [{ port: 80, targetPort: port }] },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `${name}-1`, namespace, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: [{ port }],
      endpoints: [{ addresses: [address] }],
    },
  ];
}
