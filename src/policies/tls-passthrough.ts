import type { AnnotationSpec } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';

/** TLS connections for the host go to the Pods as they are. */
export interface TlsPassthroughConfig {
  readonly enabled: true;
}

const PASSTHROUGH: AnnotationSpec = {
  name: 'tls-passthrough',
  nginx: 'ssl-passthrough',
  values: '`true`, `false`',
  default: 'false',
  scope: 'host',
  about:
    'Whether TLS connections that ask for the host (SNI) go to the Pods behind its path `/` without being decrypted: the ' +
    'Pods have the certificate. No other path, policy or certificate of the host counts for them. A client that comes by ' +
    'http is sent to https.',
  difference:
    'no flag turns it on, and it is an error on a host whose paths are restricted by other annotations, as nothing could ' +
    'keep to them.',
};

export const tlsPassthrough = definePolicy({
  name: 'tls-passthrough',
  phase: 'upstream',
  summary: 'Whether TLS for a host ends at its Pods instead of Portico.',
  annotations: [PASSTHROUGH],
  whenInvalid: 'default',
  ofIngressesOnly: true,

  parse: (read): TlsPassthroughConfig | null => (read.bool(PASSTHROUGH) ? { enabled: true } : null),

  describe: () => 'on',
});
