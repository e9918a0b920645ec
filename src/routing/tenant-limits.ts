/**
 * What one Ingress, one host and one namespace may claim, so that no tenant can use up the memory or the time of
 * all. What goes beyond a limit is left out, the youngest first, with a problem on its Ingress.
 */
export const TENANT_LIMITS = {
  /** Rules that are read of one Ingress. */
  rulesPerIngress: 1_000,
  /** Paths that are read of one Ingress, in all its rules. */
  pathsPerIngress: 2_000,
  /** Hosts that are read of the TLS entries of one Ingress; an entry without hosts counts for all hosts of the rules. */
  tlsHostsPerIngress: 10_000,
  /** Characters of one path, in the form that requests are matched in. */
  pathLength: 1_024,
  /** Instructions of one path that is a regular expression, and of all those of a namespace on one host. */
  patternSize: 500,
  patternsSizePerHostAndNamespace: 20_000,
  /** Segments of one path. */
  pathSegments: 64,
  /** Paths of one host (or host glob), over all Ingresses. */
  pathsPerHost: 5_000,
  /**
   * Host globs with the same literal suffix, of all namespaces and of one of them. Here and below a glob counts once for
   * each combination of the choices in its braces.
   */
  globsPerSuffix: 256,
  globsPerSuffixAndNamespace: 64,
  /** Host globs of one namespace. */
  globsPerNamespace: 256,
  /** Instructions of the hosts of one namespace that are regular expressions, and of all; and how many namespaces have some. */
  hostRegexSizePerNamespace: 500,
  hostRegexSizeInAll: 4_000,
  hostRegexNamespaces: 32,
  /** Hosts and paths of one namespace; a path counts for each host and each glob that has it. */
  routesPerNamespace: 100_000,
  /** What the EndpointSlices of one namespace list, counted for each Service port that an Ingress names. */
  endpointsPerNamespace: 100_000,
} as const;
