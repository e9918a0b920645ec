import { isLabel } from '../model/names.ts';
import type { AnnotationReader } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';

/** Which backend answers in place of the route's own; read by the routing and the engines. */
export interface ErrorBackendConfig {
  /** `namespace/service:`, the first port of the Service; null leaves it to the default backend of Portico. */
  readonly backend: string | null;
  /** Responses with these statuses are replaced; none replaces nothing, and the backend serves routes without endpoints. */
  readonly statuses: readonly number[];
  /** Whether those of Pods are replaced, too; those that Portico makes itself always are. */
  readonly replacesPods: boolean;
}

const BACKEND: AnnotationSpec = {
  name: 'error-backend',
  nginx: 'default-backend',
  values: 'a Service of the namespace',
  default: 'none',
  scope: 'path',
  about:
    'The Service, by its first port, that answers in place of a Service without endpoints, and with `error-statuses` in place ' +
    'of errors; for the latter it is that of `--default-backend` where there is no other. It gets the fields X-Code, X-Format, X-Original-URI, X-Namespace, X-Ingress-Name, X-Service-Name, ' +
    'X-Service-Port and X-Request-ID.',
};

const STATUSES: AnnotationSpec = {
  name: 'error-statuses',
  nginx: 'custom-http-errors',
  global: 'custom-http-errors',
  values: 'statuses from 400 to 599, separated by commas, such as `404,503`',
  default: 'none',
  scope: 'path',
  about:
    'Responses with these statuses, of Pods and those that Portico makes itself, are replaced by what the error backend ' +
    'answers to `GET /` with the query of the client: its status goes to the client. Portico does not replace what it says of access, of a closed ' +
    'path, and of a connection that it closes.',
  difference:
    'a HEAD request stays one, and responses of policies, such as redirects and challenges to log in, are not replaced.',
};

const KEEP: AnnotationSpec = {
  name: null,
  nginx: 'disable-proxy-intercept-errors',
  global: 'disable-proxy-intercept-errors',
  values: '`true`, `false`',
  default: 'false',
  scope: 'path',
  about: 'Whether errors of Pods reach the client in spite of `error-statuses`.',
};

const MAX_STATUSES = 200;

export const errorBackend = definePolicy({
  name: 'error-backend',
  phase: 'upstream',
  summary: 'Another Service answers where Pods fail.',
  annotations: [BACKEND, STATUSES, KEEP],
  whenInvalid: 'default',

  parse(read): ErrorBackendConfig | null {
    const backend = readBackend(read);
    const statuses = readStatuses(read);
    if (backend === null && statuses.length === 0) return null;
    return { backend, statuses, replacesPods: read.bool(KEEP) !== true };
  },

  describe({ backend, statuses, replacesPods }) {
    const to = backend === null ? 'the default backend' : backend.replace(/:$/, '');
    if (statuses.length === 0) return `${to} where there is no endpoint`;
    return `${statuses.join(', ')}${replacesPods ? '' : ' of Portico'} from ${to}`;
  },
});

function readBackend(read: AnnotationReader): string | null {
  const service = read.text(BACKEND)?.trim();
  if (service === undefined || service === '') return null;
  if (isLabel(service)) return `${read.namespace}/${service}:`;
  read.invalid(BACKEND, 'is not the name of a Service', 'write the name of one of this namespace');
  return null;
}

function readStatuses(read: AnnotationReader): readonly number[] {
  const written = read.text(STATUSES);
  if (written === null) return [];
  const codes =
    written.length > 4 * MAX_STATUSES ? ['too long'] : written.split(',').map((code) => code.trim());
  const isValid = codes.every((code) => code === '' || /^[45]\d\d$/.test(code));
  if (isValid)
    return [...new Set(codes.flatMap((code) => (code === '' ? [] : Number(code))))].toSorted((a, b) => a - b);
  read.invalid(STATUSES, 'is not a list of statuses', 'write statuses from 400 to 599 such as 404,503');
  return [];
}
