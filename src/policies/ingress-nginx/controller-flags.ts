/** A flag of ingress-nginx 1.15.1, and what sets the same here. */
export interface ControllerFlag {
  readonly name: string;
  /** As Markdown. */
  readonly here: string;
}

const NOTHING = 'nothing';

/** Those that decide what is served. */
export const CONTROLLER_FLAGS: readonly ControllerFlag[] = [
  row('--configmap', '`--ingress-nginx-configmap`'),
  row('--ingress-class', '`--ingress-class`'),
  row('--controller-class', '`--controller-name`'),
  row('--ingress-class-by-name', 'nothing: the annotation is compared with `--ingress-class` anyway'),
  row('--watch-ingress-without-class', '`--watch-ingress-without-class`'),
  row('--watch-namespace', '`--watch-namespace`, which takes several and patterns'),
  row('--watch-namespace-selector', 'nothing yet: name the namespaces in `--watch-namespace`'),
  row('--default-backend-service', '`--default-backend`, with a port'),
  row('--default-ssl-certificate', '`--default-tls-secret`'),
  row('--publish-service', '`--publish-service`'),
  row('--publish-status-address', '`--publish-address`'),
  row('--report-node-internal-ip-address', NOTHING),
  row('--update-status', '`--publish-status`'),
  row('--election-id', 'nothing: the Lease is `portico-CLASS`'),
  row('--http-port', '`--http-port`'),
  row('--https-port', '`--https-port`'),
  row('--healthz-port', '`--status-port`'),
  row('--health-check-path', '`--health-check-path`'),
  row('--shutdown-grace-period', 'nothing: `preStop` of the manifests waits'),
  row('--disable-svc-external-name', 'nothing yet'),
  row('--disable-catch-all', 'nothing yet'),
  row('--enable-ssl-passthrough', 'nothing yet'),
  row('--tcp-services-configmap', 'nothing yet'),
  row('--udp-services-configmap', 'nothing yet'),
  row('--annotations-prefix', 'nothing: the prefix is `nginx.ingress.kubernetes.io`'),
  row('--enable-annotation-validation', 'nothing: every value is validated'),
  row('--validating-webhook', 'nothing: `portico check` says the same before, Events after'),
  row('--enable-metrics', 'always'),
  row('--metrics-per-host', 'nothing: no metric has a host'),
];

function row(name: string, here: string): ControllerFlag {
  return { name, here };
}
