import type { AnnotationSpec } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';

/** Which paths are regular expressions: read by the routing, where paths are compiled. */
export interface PathRegexConfig {
  /**
   * `ingress`: the paths of type ImplementationSpecific of this Ingress. `host`: every path that the namespace has on the
   * hosts of this Ingress, without regard to case.
   */
  readonly of: 'ingress' | 'host';
}

const PATH_REGEX: AnnotationSpec = {
  name: 'path-regex',
  values: '`true`, `false`',
  default: 'false',
  scope: 'path',
  about:
    'Whether paths of type `ImplementationSpecific` of this Ingress are regular expressions in the syntax of RE2. They must ' +
    'match the beginning of the path of a request; `$` demands its end. ' +
    '[Which rule wins](hosts-and-paths.md#regular-expressions) and what it may cost.',
};

const USE_REGEX: AnnotationSpec = {
  name: null,
  nginx: 'use-regex',
  values: '`true`, `false`',
  default: 'false',
  scope: 'host',
  about:
    'Whether every path that the namespace has on the hosts of this Ingress is a regular expression, of all its Ingresses and ' +
    'without regard to case. The longest text wins. Paths of type `Exact` and `Prefix` match as they are written, at the ' +
    'beginning of the path of a request.',
  difference:
    'paths of other namespaces on the same host stay what they are, look-around and back references are not valid, and what ' +
    'is percent-encoded in a path stays encoded, but for letters, digits and `-._~`.',
};

export const pathRegex = definePolicy({
  name: 'path-regex',
  phase: 'redirect',
  summary: 'Matches paths by regular expressions.',
  page: { title: 'Hosts and paths', file: 'reference/hosts-and-paths.md' },
  annotations: [PATH_REGEX, USE_REGEX],
  whenInvalid: 'default',
  ofIngressesOnly: true,
  ofCanaries: true,

  parse(read): PathRegexConfig | null {
    const own = read.bool(PATH_REGEX);
    const ofHost = read.bool(USE_REGEX);
    if (own !== null) return own ? { of: 'ingress' } : null;
    return ofHost === true ? { of: 'host' } : null;
  },

  describe: (config) => `of the ${config.of}`,
});
