import { readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse } from 'yaml';

/** One comparison with nginx: an Ingress, the configuration that its annotations stand for, and requests for both. */
export interface DifferentialCase {
  /** Of the file. The host of the Ingress is `NAME.test`. */
  readonly name: string;
  /** Names without a prefix are those of ingress-nginx. */
  readonly annotations: Readonly<Record<string, string>>;
  /** `Prefix` unless it is stated. Each leads to the Pod `app`, unless it is stated. */
  readonly paths: readonly CasePath[];
  /** Whether the host has TLS. */
  readonly tls: boolean;
  /** Manifests besides the Ingress, such as Secrets, as YAML documents. `{namespace}` is that of the Ingress. */
  readonly objects: string;
  readonly nginx: NginxParts;
  /** Every Pod by its name, which is also that of its Service, with what it responds unless a request states it. */
  readonly pods: Readonly<Record<string, PodResponse>>;
  readonly requests: readonly DifferentialRequest[];
  /** Where Portico may differ. One that does not occur any more fails the case. */
  readonly differences: readonly Difference[];
}

export interface CasePath {
  readonly path: string;
  readonly pathType: 'Prefix' | 'Exact' | 'ImplementationSpecific';
  readonly pod: string;
}

/** Directives, as the template of ingress-nginx writes them for the annotations. */
export interface NginxParts {
  readonly http: string;
  /** Before the locations. */
  readonly server: string;
  /**
   * By what stands after `location`: `/`, `= /x`, `~* "^/x"`. The directives to proxy to `app` as ingress-nginx does stand
   * in each, but for those that the case writes itself.
   */
  readonly locations: Readonly<Record<string, string>>;
  /** Files by name, in `{folder}`. */
  readonly files: Readonly<Record<string, string>>;
}

export interface PodResponse {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** The name of the Pod, unless it is stated. */
  readonly body?: string;
  /** Never responds. */
  readonly silent?: boolean;
}

export interface DifferentialRequest {
  /** `GET http://NAME.test/path`, the target exactly as it is sent; `https://` goes to the TLS port. */
  readonly request: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** A loopback address that the client has; 127.0.0.1 unless it is stated. */
  readonly from?: string;
  /** What Pods respond with. */
  readonly pods?: Readonly<Record<string, PodResponse>>;
  /** Pods whose request is awaited even after the response: a mirror. */
  readonly reaches?: readonly string[];
  /** How often it is sent, one after the other; then only the statuses are compared. */
  readonly times?: number;
}

export interface Difference {
  /** As the request is written; every request of the case where it is missing. */
  readonly request?: string;
  /** Such as `status`, `response location`, `app request`, `app x-real-ip`. */
  readonly what: string;
  /** `null` for what is not there; any value where it is missing. */
  readonly portico?: string | null;
  readonly nginx?: string | null;
  readonly why: string;
}

const CASES = join(import.meta.dirname, 'cases');

/** Every file of `cases/`, by name. */
export function loadDifferentialCases(): readonly DifferentialCase[] {
  return readdirSync(CASES)
    .filter((file) => file.endsWith('.yaml'))
    .toSorted()
    .map((file) => readCase(basename(file, '.yaml'), readFileSync(join(CASES, file), 'utf8')));
}

type Written = Partial<Omit<DifferentialCase, 'nginx' | 'paths'>> & {
  readonly nginx?: Partial<NginxParts>;
  readonly paths?: readonly (string | (Partial<CasePath> & Pick<CasePath, 'path'>))[];
};

function readCase(name: string, yaml: string): DifferentialCase {
  const written = parse(yaml) as Written;
  const { annotations = {}, tls = false, objects = '', nginx = {}, requests = [] } = written;
  const { pods = { app: {} }, differences = [], paths = ['/'] } = written;
  return {
    name,
    annotations,
    paths: paths.map((each) => ({
      pathType: 'Prefix',
      pod: 'app',
      ...(typeof each === 'string' ? { path: each } : each),
    })),
    tls,
    objects,
    nginx: { http: '', server: '', locations: { '/': '' }, files: {}, ...nginx },
    pods,
    requests,
    differences,
  };
}
