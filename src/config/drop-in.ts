import { oneOf } from './flag-values.ts';
import type { FlagReader } from './flag-reader.ts';

/** Flags as they must be for Portico to serve what another controller served. */
const DROP_IN = {
  'ingress-nginx': {
    'ingress-class': 'nginx',
    'controller-name': 'k8s.io/ingress-nginx',
    'allow-cross-namespace-external-names': 'true',
    'access-log': 'ingress-nginx',
    // Of its ConfigMap: hsts, hsts-max-age, hsts-include-subdomains.
    hsts: 'max-age=31536000; includeSubDomains',
  },
} as const;

export type DropIn = keyof typeof DROP_IN;

/**
 * Has `read` go by the defaults of the controller that `--drop-in` names, for the flags that nobody gives. Null when it
 * names none.
 */
export function applyDropIn(read: FlagReader): DropIn | null {
  const name = read.optional('drop-in', oneOf(['ingress-nginx']));
  if (name !== null) read.useDefaults(DROP_IN[name]);
  return name;
}
