import type { DiscoveryV1Api, V1EndpointSlice, V1Pod, V1Service } from '@kubernetes/client-node';

/** What the endpoint controllers of a cluster do: an EndpointSlice for each Service with a selector. */
export class EndpointSlices {
  readonly #api: DiscoveryV1Api;
  /** What was written last, as JSON by `namespace/name`. */
  readonly #written = new Map<string, string>();

  constructor(api: DiscoveryV1Api) {
    this.#api = api;
  }

  /** Brings them in line with these Services and Pods. */
  async write(services: Iterable<V1Service>, pods: readonly V1Pod[]): Promise<void> {
    const wanted = new Map<string, V1EndpointSlice>();
    for (const service of services) {
      const slice = sliceOf(service, pods);
      if (slice !== null) wanted.set(`${slice.metadata?.namespace}/${slice.metadata?.name}`, slice);
    }
    for (const key of this.#written.keys()) {
      if (wanted.has(key)) continue;
      const [namespace = '', name = ''] = key.split('/');
      await this.#api.deleteNamespacedEndpointSlice({ namespace, name }).catch(ignoreMissing);
      this.#written.delete(key);
    }
    for (const [key, body] of wanted) {
      const text = JSON.stringify(body);
      const before = this.#written.get(key);
      if (before === text) continue;
      const [namespace = '', name = ''] = key.split('/');
      await (before === undefined
        ? this.#api.createNamespacedEndpointSlice({ namespace, body })
        : this.#api.replaceNamespacedEndpointSlice({ namespace, name, body }));
      this.#written.set(key, text);
    }
  }
}

/** Null for a Service without a selector, whose EndpointSlices somebody else writes. */
function sliceOf(service: V1Service, pods: readonly V1Pod[]): V1EndpointSlice | null {
  const { selector, ports = [] } = service.spec ?? {};
  const { namespace = '', name = '' } = service.metadata ?? {};
  if (!selector) return null;
  const selected = pods.filter(
    ({ metadata }) =>
      metadata?.namespace === namespace &&
      Object.entries(selector).every(([label, value]) => metadata.labels?.[label] === value),
  );
  const named = selected[0]?.spec?.containers[0]?.ports ?? [];
  return {
    metadata: { name: `${name}-1`, namespace, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    endpoints: selected.map(({ metadata, spec, status }) => ({
      addresses: [status?.podIP ?? ''],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: spec?.nodeName ?? '',
      targetRef: { kind: 'Pod', namespace, name: metadata?.name ?? '' },
    })),
    ports: ports.map(({ name: port, port: number, protocol, appProtocol, targetPort }) => ({
      name: port ?? '',
      protocol: protocol ?? 'TCP',
      ...(appProtocol !== undefined && { appProtocol }),
      port:
        typeof targetPort === 'string'
          ? (named.find((each) => each.name === targetPort)?.containerPort ?? number)
          : (targetPort ?? number),
    })),
  };
}

/** Passes what was deleted by somebody else. */
export function ignoreMissing(error: { code?: number }): void {
  if (error.code !== 404) throw error as Error;
}
