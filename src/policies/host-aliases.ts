import { hostFault } from '../model/names.ts';
import { plural } from '../model/plural.ts';
import { quote } from '../model/untyped.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';

/** Further hosts that the rules of the Ingress are served for: read by the routing. */
export interface HostAliasesConfig {
  /** Precise hosts and wildcards, in lower case. */
  readonly hosts: readonly string[];
}

const ALIASES: AnnotationSpec = {
  name: 'host-aliases',
  nginx: 'server-alias',
  values: 'hosts such as `www.example.com`, `*.example.org`, with commas between them',
  default: 'none',
  scope: 'path',
  about:
    'Further hosts that the rules of this Ingress are served for, as if it had rules for them: who had the host first has it, ' +
    'as everywhere, and `spec.tls` may name them.',
  difference:
    'regular expressions (`~`) are not valid, see `host-globs` for patterns; and a host that another Ingress has rules for is ' +
    'shared with it, path by path.',
};

const MAX_HOSTS = 64;

export const hostAliases = definePolicy({
  name: 'host-aliases',
  phase: 'redirect',
  summary: 'Serves the rules of an Ingress for further hosts.',
  page: { title: 'Hosts and paths', file: 'reference/hosts-and-paths.md' },
  annotations: [ALIASES],
  whenInvalid: 'default',
  ofCanaries: true,

  parse(read): HostAliasesConfig | null {
    const written = read.text(ALIASES);
    if (written === null) return null;
    const named = [...new Set(written.split(',').flatMap((host) => host.trim().toLowerCase() || []))];
    const hosts = named.slice(0, MAX_HOSTS).filter((host) => hostFault(host) === null);
    const bad = named.slice(0, MAX_HOSTS).filter((host) => hostFault(host) !== null);
    const [first] = bad;
    if (first !== undefined) {
      const others = bad.length === 1 ? '' : ` So are ${plural(bad.length - 1, 'other host')}.`;
      const message = `The host ${quote(first)} is not served: it ${hostFault(first)}.${others}`;
      read.warn('AnnotationInvalid', ALIASES, message);
    }
    if (named.length > MAX_HOSTS) {
      const message = `Only the first ${MAX_HOSTS} of ${named.length} hosts are served: use wildcard hosts or another Ingress.`;
      read.warn('AnnotationInvalid', ALIASES, message);
    }
    return hosts.length === 0 ? null : { hosts };
  },

  describe: ({ hosts }) => hosts.join(', '),
});
