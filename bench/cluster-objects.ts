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

/** A Gateway at a port, and how much of it there is. */
export interface GatewayCluster {
  readonly port: number;
  readonly routes: number;
  readonly listenerSets: number;
}

const GATEWAY_API = 'gateway.networking.k8s.io/v1';
/** What the routes of a Gateway lead to. */
const SERVICES = 100;

/** One Gateway with its HTTPRoutes and ListenerSets, and the Services of the routes. */
export function gatewayObjects(
  { port, routes, listenerSets }: GatewayCluster,
  upstreamPort: number,
): ApiObject[] {
  const controllerName = 'portico.dev/gateway-controller';
  const objects: ApiObject[] = [
    {
      apiVersion: GATEWAY_API,
      kind: 'GatewayClass',
      metadata: { name: 'portico' },
      spec: { controllerName },
    },
    {
      apiVersion: GATEWAY_API,
      kind: 'Gateway',
      metadata: { name: 'main', namespace: 'shop' },
      spec: {
        gatewayClassName: 'portico',
        allowedListeners: { namespaces: { from: 'Same' } },
        listeners: [{ name: 'http', port, protocol: 'HTTP' }],
      },
    },
  ];
  const inShop = (object: ApiObject): ApiObject => ({
    ...object,
    metadata: { ...object.metadata, namespace: 'shop' },
  });
  for (let n = 0; n < SERVICES; n++) objects.push(inShop(service(n)), inShop(slice(n, upstreamPort, 1)));
  for (let n = 0; n < routes; n++) objects.push(httpRoute(n));
  for (let n = 0; n < listenerSets; n++) objects.push(listenerSet(n, port));
  return objects;
}

/** The HTTPRoute of app `n`, with two weighted backends and a filter; `version` makes versions that differ. */
export function httpRoute(n: number, version = 0): ApiObject {
  const backendRefs = [0, 1].map((next) => ({
    name: `app-${(n + next) % SERVICES}`,
    port: 80,
    weight: 1 + next,
  }));
  const set = [{ name: 'x-version', value: `${version}` }];
  return {
    apiVersion: GATEWAY_API,
    kind: 'HTTPRoute',
    metadata: { name: `app-${n}`, namespace: 'shop' },
    spec: {
      parentRefs: [{ name: 'main' }],
      hostnames: [`app-${n}.example.com`],
      rules: [
        {
          matches: [{ path: { value: '/' }, method: 'GET' }],
          filters: [{ type: 'RequestHeaderModifier', requestHeaderModifier: { set } }],
          backendRefs,
        },
      ],
    },
  };
}

function listenerSet(n: number, port: number): ApiObject {
  const listeners = [{ name: 'http', port, protocol: 'HTTP', hostname: `set-${n}.example.com` }];
  return {
    apiVersion: GATEWAY_API,
    kind: 'ListenerSet',
    metadata: { name: `set-${n}`, namespace: 'shop' },
    spec: { parentRef: { name: 'main' }, listeners },
  };
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
