import type { Judgement } from './verdict.ts';

/** A flag of ingress-nginx 1.15.1 that decides what is served, and what sets the same here. */
export interface ControllerFlag {
  readonly name: string;
  /** The flag of Portico that takes the same value, or all of what to write; null for none. */
  readonly flag: string | null;
  readonly verdict: 'same' | 'reported difference' | 'no effect';
  /** In one sentence. */
  readonly reason: string;
}

const SAME = 'A flag of Portico takes the same value.';

export const CONTROLLER_FLAGS: readonly ControllerFlag[] = [
  same('--configmap', '--ingress-nginx-configmap'),
  same('--ingress-class', '--ingress-class'),
  same('--controller-class', '--controller-name'),
  noEffect('--ingress-class-by-name', 'The annotation is compared with `--ingress-class` anyway.'),
  same('--watch-ingress-without-class', '--watch-ingress-without-class'),
  same('--watch-namespace', '--watch-namespace'),
  same('--watch-namespace-selector', '--watch-namespace-selector'),
  differs(
    '--default-backend-service',
    '--default-backend',
    'The port has to be named: `namespace/service:80`.',
  ),
  same('--default-ssl-certificate', '--default-tls-secret'),
  same('--publish-service', '--publish-service'),
  same('--publish-status-address', '--publish-address'),
  same('--update-status', '--publish-status'),
  noEffect('--report-node-internal-ip-address', 'Without a flag the addresses of nodes are published.'),
  noEffect('--election-id', 'The Lease is `portico-CLASS`.'),
  same('--http-port', '--http-port'),
  same('--https-port', '--https-port'),
  same('--healthz-port', '--status-port'),
  same('--health-check-path', '--health-check-path'),
  noEffect('--shutdown-grace-period', '`preStop` of the manifests waits.'),
  same('--disable-svc-external-name', '--external-names=false'),
  same('--disable-catch-all', '--catch-all=false'),
  noEffect('--enable-ssl-passthrough', 'It is always enabled: an Ingress asks for it.'),
  same('--tcp-services-configmap', '--tcp-services-configmap'),
  same('--udp-services-configmap', '--udp-services-configmap'),
  same('--annotations-prefix', '--annotations-prefix'),
  noEffect('--enable-annotation-validation', 'Every value is validated.'),
  noEffect('--validating-webhook', '`portico check` says the same before an apply, and Events after it.'),
  noEffect('--validating-webhook-certificate', 'There is no webhook.'),
  noEffect('--validating-webhook-key', 'There is no webhook.'),
  noEffect('--enable-metrics', 'Metrics are always served, on `--status-port`.'),
  noEffect('--metrics-per-host', 'No metric has a host.'),
];

function same(name: string, flag: string): ControllerFlag {
  return { name, flag, verdict: 'same', reason: SAME };
}

function differs(name: string, flag: string, reason: string): ControllerFlag {
  return { name, flag, verdict: 'reported difference', reason };
}

function noEffect(name: string, reason: string): ControllerFlag {
  return { name, flag: null, verdict: 'no effect', reason };
}

/** What becomes of a flag as it is written: `--ingress-class=nginx`. */
export function judgeControllerFlag(written: string): Judgement & { readonly name: string } {
  const [, name = written, value = ''] = /^(-{1,2}[^=\s]+)(?:=(.*))?$/s.exec(written) ?? [];
  const known = CONTROLLER_FLAGS.find((flag) => flag.name === name);
  if (known === undefined) {
    const reason = 'It does not decide what is served, or ingress-nginx has no such flag.';
    return { name, verdict: 'no effect', reason, instead: [], risk: 'low' };
  }
  const { flag, verdict, reason } = known;
  return { name, verdict, reason, instead: flag === null ? [] : insteadOf(flag, value), risk: 'low' };
}

/** `--catch-all=false` stands for a switch that is off by default. */
function insteadOf(flag: string, value: string): readonly string[] {
  if (flag.includes('=')) return value === 'false' ? [] : [flag];
  return [value === '' || value === 'true' ? flag : `${flag}=${value}`];
}
