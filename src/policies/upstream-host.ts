import type { AnnotationSpec } from './annotation-spec.ts';
import { CONTINUE, definePolicy } from './policy.ts';
import { isSubdomain } from '../model/names.ts';

export interface UpstreamHostConfig {
  readonly host: string;
}

const UPSTREAM_HOST: AnnotationSpec = {
  name: 'upstream-host',
  nginx: 'upstream-vhost',
  values: 'a host name such as `app.internal` or `app.internal:8080`',
  default: 'the host that the client asked for',
  scope: 'path',
  about: 'The Host field that Pods get. X-Forwarded-Host stays what the client asked for.',
  difference: 'variables of nginx are not valid.',
};

/** A DNS name or an IP address, and perhaps a port (RFC 9112 3.2). */
const HOST = /^(?:[a-z0-9_-][a-z0-9_.-]{0,252}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i;

export const upstreamHost = definePolicy({
  name: 'upstream-host',
  phase: 'rewrite',
  summary: 'Which host Pods are asked for.',
  annotations: [UPSTREAM_HOST],
  whenInvalid: 'default',

  parse(read): UpstreamHostConfig | null {
    const host = read.text(UPSTREAM_HOST)?.trim();
    if (host === undefined) return null;
    if (host.length <= 300 && HOST.test(host)) return { host };
    read.invalid(
      UPSTREAM_HOST,
      'is not a host',
      'write a DNS name or an IP address, with a port where it needs one',
    );
    return null;
  },

  filters: ['URLRewrite'],

  fromFilter({ hostname }, read) {
    const host = read.hostname(hostname);
    return host === null ? null : { host };
  },

  standardForm: ({ host }) =>
    isSubdomain(host) ? { filters: [{ type: 'URLRewrite', urlRewrite: { hostname: host } }] } : null,

  bind({ host }) {
    return {
      onRequest(_, edit) {
        edit.host = host;
        return CONTINUE;
      },
    };
  },

  describe: ({ host }) => host,
});
