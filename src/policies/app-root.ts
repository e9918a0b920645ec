import { redirectTo } from '../http/local-response.ts';
import { normalizePath, originForm } from '../http/path.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { CONTINUE, definePolicy } from './policy.ts';

export interface AppRootConfig {
  readonly path: string;
}

const APP_ROOT: AnnotationSpec = {
  name: 'app-root',
  nginx: 'app-root',
  values: 'an absolute path such as `/app`',
  default: 'none',
  scope: 'path',
  about:
    'A request for exactly `/` is redirected to this path of the same host, with 302 and without its query.',
  difference:
    'it counts for the paths of its Ingress, so one of them must take `/`, and a client that comes by http to a host with ' +
    'TLS is sent to https first.',
};

const MAX_LENGTH = 2048;
const PATH = /^\/[\x21-\x7e]*$/;

export const appRoot = definePolicy({
  name: 'app-root',
  phase: 'redirect',
  summary: 'Redirects `/` to where the application begins.',
  annotations: [APP_ROOT],
  whenInvalid: 'default',

  parse(read): AppRootConfig | null {
    const path = read.text(APP_ROOT)?.trim();
    if (path === undefined) return null;
    if (path.length > MAX_LENGTH || !PATH.test(path) || /[${}]/.test(path)) {
      read.invalid(APP_ROOT, 'is not a path', 'write an absolute path such as /app');
    } else if (normalizePath(path.split('#', 1)[0] ?? '') === '/') {
      read.invalid(APP_ROOT, 'leads back to /', 'write another path, such as /app');
    } else return { path };
    return null;
  },

  bind({ path }) {
    return {
      onRequest({ target, scheme, host }) {
        if (normalizePath(originForm(target)) !== '/') return CONTINUE;
        const location = host === '' ? path : `${scheme}://${host}${path}`;
        return { kind: 'respond', response: redirectTo(302, location) };
      },
    };
  },

  describe: ({ path }) => `/ to ${path}`,
});
