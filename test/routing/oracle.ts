/**
 * Routing as the reference page tells it, written without a thought for speed: every rule of every Ingress is
 * looked at for every request. Shares no code with what it judges.
 */
export interface OracleIngress {
  readonly metadata: {
    readonly namespace: string;
    readonly name: string;
    readonly creationTimestamp?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly ingressClassName?: string;
    readonly defaultBackend?: object;
    readonly rules: readonly {
      readonly host?: string;
      readonly http: { readonly paths: readonly { readonly path: string; readonly pathType: string }[] };
    }[];
  };
}

interface Rule {
  readonly ingress: OracleIngress;
  readonly hosts: readonly string[];
  readonly globs: readonly string[];
  readonly paths: readonly { readonly path: string; readonly type: string; readonly field: string }[];
}

/** `namespace/name field` of the winner, or null for a 404. Under `owned` a host has one namespace. */
export function oracle(
  all: readonly OracleIngress[],
  hostHeader: string,
  target: string,
  owned = false,
): string | null {
  const host = hostHeader.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');
  const path = normalize(target);
  const ingresses = all
    .filter(({ metadata, spec }) => {
      return spec.ingressClassName === 'portico' && metadata.annotations?.['portico.dev/canary'] !== 'true';
    })
    .sort(older);
  const rules = ingresses.flatMap(rulesOf);

  const owning = owners(rules, host, owned);
  if (owning) {
    const candidates = owning.flatMap((rule) => {
      return rule.paths
        .filter((claim) => takes(claim, path))
        .map((claim) => ({ ingress: rule.ingress, ...claim }));
    });
    const order = ['Exact', 'Prefix', 'ImplementationSpecific'];
    // `/foo/` and `/foo` are one prefix, and the two types of prefixes are equals: the older Ingress has it.
    const length = (claim: { path: string; type: string }): number =>
      normalize(claim.path).replace(claim.type === 'Exact' ? '' : /\/$/, '').length;
    candidates.sort(
      (a, b) =>
        length(b) - length(a) ||
        Number(b.type === 'Exact') - Number(a.type === 'Exact') ||
        older(a.ingress, b.ingress) ||
        b.path.length - a.path.length ||
        order.indexOf(a.type) - order.indexOf(b.type),
    );
    if (candidates[0]) return name(candidates[0].ingress, candidates[0].field);
    const fallback = ingresses.find(
      (ingress) => ingress.spec.defaultBackend && owning.some((rule) => rule.ingress === ingress),
    );
    if (fallback) return name(fallback, 'spec.defaultBackend');
  }
  const catchAll = ingresses.find(
    (ingress) => ingress.spec.rules.length === 0 && ingress.spec.defaultBackend,
  );
  return catchAll ? name(catchAll, 'spec.defaultBackend') : null;
}

function name(ingress: OracleIngress, field: string): string {
  return `${ingress.metadata.namespace}/${ingress.metadata.name} ${field}`;
}

function age({ metadata }: OracleIngress): number {
  return metadata.creationTimestamp === undefined ? 1e15 : new Date(metadata.creationTimestamp).getTime();
}

function older(a: OracleIngress, b: OracleIngress): number {
  const [left, right] = [name(a, ''), name(b, '')];
  return age(a) - age(b) || (left < right ? -1 : Number(left > right));
}

function rulesOf(ingress: OracleIngress): Rule[] {
  const globs =
    (ingress.metadata.annotations?.['portico.dev/host-globs'] ?? '').match(/(\{[^}]*\}|[^,{])+/g) ?? [];
  return ingress.spec.rules.map(({ host, http }, r) => ({
    ingress,
    hosts: [host ?? ''],
    globs,
    paths: http.paths.map(({ path, pathType }, p) => {
      return { path, type: pathType, field: `spec.rules[${r}].http.paths[${p}]` };
    }),
  }));
}

/** The rules of the first host class that has the host. */
function owners(rules: readonly Rule[], host: string, owned: boolean): readonly Rule[] | null {
  const having = (wanted: string): Rule[] => rules.filter((rule) => rule.hosts.includes(wanted));
  /** What the namespace has that was there first, with these rules or with those of the class below. */
  const own = (found: readonly Rule[], below: readonly Rule[] = []): readonly Rule[] => {
    const first = rules.find((rule) => found.includes(rule) || below.includes(rule));
    const namespace = first?.ingress.metadata.namespace;
    return owned ? found.filter((rule) => rule.ingress.metadata.namespace === namespace) : found;
  };
  const wildcard = host.includes('.') ? having(host.replace(/^[^.]*/, '*')) : [];
  const precise = host === '' ? [] : own(having(host), wildcard);
  if (precise.length > 0) return precise;
  if (wildcard.length > 0) return own(wildcard);
  // Rules come oldest first: the first to name a glob gives it its place.
  const globs = [...new Set(rules.flatMap((rule) => rule.globs.toSorted()))].filter((glob) =>
    globTakes(glob, host),
  );
  const longest = Math.max(0, ...globs.map((glob) => suffix(glob).length));
  const glob = globs.find((candidate) => suffix(candidate).length === longest);
  if (glob !== undefined) return own(rules.filter((rule) => rule.globs.includes(glob)));
  const hostless = own(having(''));
  return hostless.length > 0 ? hostless : null;
}

function suffix(glob: string): string {
  return /(?:\.[a-z0-9-]+)+$/.exec(glob)?.[0] ?? '';
}

function globTakes(glob: string, host: string): boolean {
  const expression = glob
    .replaceAll('.', '\\.')
    .replaceAll('?', '[^.]')
    .replaceAll('\\.**\\.', '\\.(.+\\.)?')
    .replaceAll('**', '.+')
    .replaceAll(/(?<!\.)\*/g, '[^.]*')
    .replace(/\{(.*),(.*)\}/, '($1|$2)');
  return new RegExp(`^${expression}$`).test(host) && !host.startsWith('.');
}

function takes({ path, type }: { path: string; type: string }, requested: string): boolean {
  const rule = normalize(path);
  if (type === 'Exact') return rule === requested;
  const elements = rule.split('/').filter(Boolean);
  const given = requested.split('/').filter(Boolean);
  return elements.every((element, i) => element === given[i]);
}

function normalize(target: string): string {
  const path = (target.split('?')[0] ?? '')
    .replaceAll(/%66/gi, 'f')
    .replaceAll(/\/+/g, '/')
    .replaceAll(/\/\.(?=\/|$)/g, '');
  let resolved = path;
  for (;;) {
    const next = resolved.replace(/\/[^/]+\/\.\.(?=\/|$)/, '');
    if (next === resolved) break;
    resolved = next;
  }
  return resolved === '' || /\/\.{1,2}$/.test(path) ? `${resolved}/` : resolved;
}
