import { readHostRegex } from '../http/regex/host-regex.ts';
import { hostFault } from '../model/names.ts';
import { plural } from '../model/plural.ts';
import { quote } from '../model/untyped.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';

/** Further hosts that the rules of the Ingress are served for: read by the routing. */
export interface HostAliasesConfig {
  /** Precise hosts and wildcards, in lower case. */
  readonly hosts: readonly string[];
  /** Regular expressions in the syntax of RE2. */
  readonly regexes: readonly string[];
}

const ALIASES: AnnotationSpec = {
  name: 'host-aliases',
  nginx: 'server-alias',
  values:
    'hosts such as `www.example.com`, `*.example.org` or `~^pr-[0-9]+\\.example\\.com$`, with commas between them',
  default: 'none',
  scope: 'path',
  about:
    'Further hosts that the rules of this Ingress are served for, as if it had rules for them: who had the host first has it, ' +
    'as everywhere, and `spec.tls` may name them. After `~` stands a regular expression in the syntax of RE2, which matches ' +
    'anywhere in a host that no rule, wildcard or glob has, without regard to case. `host-globs` are cheaper.',
  difference:
    'a host that another Ingress has rules for is shared with it, path by path; and regular expressions know no look-around ' +
    'and no back references.',
};

const MAX_HOSTS = 64;
const MAX_REGEXES = 16;

export const hostAliases = definePolicy({
  name: 'host-aliases',
  phase: 'redirect',
  summary: 'Serves the rules of an Ingress for further hosts.',
  page: { title: 'Hosts and paths', file: 'reference/hosts-and-paths.md' },
  annotations: [ALIASES],
  whenInvalid: 'default',
  ofIngressesOnly: true,
  ofCanaries: true,

  parse(read): HostAliasesConfig | null {
    const written = read.text(ALIASES);
    if (written === null) return null;
    const named = [...new Set(written.split(',').flatMap((host) => host.trim() || []))];
    const faults: string[] = [];
    const hosts: string[] = [];
    const regexes: string[] = [];
    for (const name of named.slice(0, MAX_HOSTS)) {
      const fault = name.startsWith('~') ? regexFault(name, regexes) : hostFault(name.toLowerCase());
      if (fault !== null) faults.push(`The host ${quote(name)} is not served: it ${fault}.`);
      else if (name.startsWith('~')) regexes.push(name.slice(1));
      else hosts.push(name.toLowerCase());
    }
    const [first] = faults;
    if (first !== undefined) {
      const others = faults.length === 1 ? '' : ` So are ${plural(faults.length - 1, 'other host')}.`;
      read.warn('AnnotationInvalid', ALIASES, `${first}${others}`);
    }
    if (named.length > MAX_HOSTS) {
      const message = `Only the first ${MAX_HOSTS} of ${named.length} hosts are served: use wildcard hosts or another Ingress.`;
      read.warn('AnnotationInvalid', ALIASES, message);
    }
    return hosts.length + regexes.length === 0 ? null : { hosts, regexes };
  },

  describe: ({ hosts, regexes }) => [...hosts, ...regexes.map((regex) => `~${regex}`)].join(', '),
});

/** What is wrong with a regular expression, to follow its name. */
function regexFault(name: string, before: readonly string[]): string | null {
  if (before.length === MAX_REGEXES) return `comes after ${MAX_REGEXES} other regular expressions`;
  const reading = readHostRegex(name.slice(1));
  return reading.kind === 'refused' ? reading.why : null;
}
