import type { ApiObject } from '../test/support/api-server.ts';

/** The objects of a made-up cluster: as many Ingresses as asked for, each with its Service and EndpointSlice. */
export function clusterObjects(ingresses: number, upstreamPort: number): ApiObject[] {
  const objects: ApiObject[] = [
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'IngressClass',
      metadata: { name: 'portico' },
      spec: { controller: 'portico.dev/ingress-controller' },
    },
  ];
  for (let n = 0; n < ingresses; n++) objects.push(ingress(n), service(n), slice(n, upstreamPort, 1));
  return objects;
}

/** The Ingress of app `n`; `paths` beyond `/` make versions of it that differ. */
export function ingress(n: number, paths: readonly string[] = []): ApiObject {
  const backend = { service: { name: `app-${n}`, port: { number: 80 } } };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name: `app-${n}`, namespace: `team-${n % 100}` },
    spec: {
      ingressClassName: 'portico',
      rules: [
        {
          host: `app-${n}.example.com`,
          http: { paths: ['/', ...paths].map((path) => ({ path, pathType: 'Prefix', backend })) },
        },
      ],
    },
  };
}

function service(n: number): ApiObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: `app-${n}`, namespace: `team-${n % 100}` },
    spec: {
      ports: [{ name: 'http', port: 80, targetPort: 8080, protocol: 'TCP' }],
      selector: { app: `app-${n}` },
    },
  };
}

/** All endpoints lead to the one upstream of the benchmark; their number makes versions that differ. */
export function slice(n: number, upstreamPort: number, endpoints: number): ApiObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `app-${n}-1`,
      namespace: `team-${n % 100}`,
      labels: { 'kubernetes.io/service-name': `app-${n}` },
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: upstreamPort, protocol: 'TCP' }],
    endpoints: Array.from({ length: endpoints }, (_, i) => ({
      addresses: [`127.0.0.${i + 1}`],
      conditions: { ready: true, serving: true, terminating: false },
    })),
  };
}
