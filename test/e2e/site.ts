import { stringify } from 'yaml';
import type { ApiObject } from '../support/api-server.ts';

export const INGRESS_CLASS: ApiObject = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'IngressClass',
  metadata: { name: 'portico' },
  spec: { controller: 'portico.dev/ingress-controller' },
};

/** A host whose every path goes to one Service. */
export interface Site {
  readonly host: string;
  /** Of the Ingress, the Service and, with the number of the endpoint, its slices. */
  readonly name?: string;
  readonly namespace?: string;
  /** `address:port` each. */
  readonly endpoints: readonly string[];
}

export function siteObjects(site: Site): ApiObject[] {
  return [ingressOf(site), serviceOf(site), ...slicesOf(site)];
}

export function ingressOf({ host, name = 'web', namespace = 'default' }: Site): ApiObject {
  const backend = { service: { name, port: { name: 'http' } } };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name, namespace },
    spec: {
      ingressClassName: 'portico',
      rules: [{ host, http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } }],
    },
  };
}

export function serviceOf({ name = 'web', namespace = 'default' }: Site): ApiObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: { ports: [{ name: 'http', port: 80 }] },
  };
}

/** One slice per endpoint, since a slice has one port for all of its addresses. */
export function slicesOf({ name = 'web', namespace = 'default', endpoints }: Site): ApiObject[] {
  return endpoints.map((endpoint, index) => {
    const [address = '', port] = endpoint.split(':');
    return {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `${name}-${index}`, namespace, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: [{ name: 'http', port: Number(port) }],
      endpoints: [{ addresses: [address], conditions: { ready: true } }],
    };
  });
}

/** As one would write them into a file to apply. */
export function manifest(...objects: readonly ApiObject[]): string {
  return objects.map((object) => stringify(object)).join('---\n');
}
