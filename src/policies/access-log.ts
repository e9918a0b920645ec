import type { AnnotationSpec } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';

export interface AccessLogConfig {
  readonly isLogged: false;
}

const ACCESS_LOG: AnnotationSpec = {
  name: 'access-log',
  nginx: 'enable-access-log',
  values: '`true`, `false`',
  default: 'true',
  scope: 'path',
  about:
    'Whether requests for these paths are lines of the access log. `true` does not win over `--access-log off`. Metrics count ' +
    'them all.',
};

export const accessLog = definePolicy({
  name: 'access-log',
  phase: 'response',
  summary: 'Which requests are logged.',
  annotations: [ACCESS_LOG],
  whenInvalid: 'default',

  parse(read): AccessLogConfig | null {
    return read.bool(ACCESS_LOG) === false ? { isLogged: false } : null;
  },

  describe: () => 'off',
});
