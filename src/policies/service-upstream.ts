import type { AnnotationSpec } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';

/** Requests are sent to the ClusterIP of the Service: read by the routing. */
export interface ServiceUpstreamConfig {
  readonly to: 'cluster-ip';
}

const SERVICE_UPSTREAM: AnnotationSpec = {
  name: 'service-upstream',
  nginx: 'service-upstream',
  global: 'service-upstream',
  values: '`true`, `false`',
  default: 'false',
  scope: 'path',
  about:
    'Whether requests are sent to the ClusterIP of the Service instead of its Pods, as a service mesh may want it. Then ' +
    'there is one endpoint: nothing is balanced, no client stays with a Pod, and no other Pod is tried. A Service without ' +
    'a ClusterIP is served by its Pods.',
};

export const serviceUpstream = definePolicy({
  name: 'service-upstream',
  phase: 'upstream',
  summary: 'Leaves the choice of a Pod to the Service.',
  annotations: [SERVICE_UPSTREAM],
  whenInvalid: 'default',
  ofIngressesOnly: true,
  ofCanaries: true,

  parse: (read): ServiceUpstreamConfig | null =>
    read.bool(SERVICE_UPSTREAM) === true ? { to: 'cluster-ip' } : null,

  describe: ({ to }) => to,
});
