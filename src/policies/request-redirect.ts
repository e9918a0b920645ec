import { redirectTo } from '../http/local-response.ts';
import { authorityOf, originForm } from '../http/path.ts';
import type { RequestView } from '../http/request-view.ts';
import { type UntypedObject, isAbsent, isPortNumber, quote } from '../model/untyped.ts';
import type { FilterReader } from './filter-reader.ts';
import { type Verdict, definePolicy } from './policy.ts';
import { type PathChange, changedPath, describePathChange, readPathChange } from './path-change.ts';

/** Where clients are sent; what is null stays as the request has it. */
export interface RequestRedirectConfig {
  readonly status: 301 | 302 | 303 | 307 | 308;
  readonly scheme: 'http' | 'https' | null;
  readonly hostname: string | null;
  /** Null: that of the scheme where there is one, and else that of the listener. */
  readonly port: number | null;
  readonly path: PathChange | null;
}

const USUAL_PORTS = { http: 80, https: 443 } as const;

export const requestRedirect = definePolicy({
  name: 'request-redirect',
  phase: 'redirect',
  summary:
    'Redirects requests to a URL of which parts are their own: the filter `RequestRedirect` of Gateway API.',
  annotations: [],
  whenInvalid: 'close',

  parse(): RequestRedirectConfig | null {
    return null;
  },

  filters: ['RequestRedirect'],

  fromFilter: readRedirect,

  bind({ status, scheme, hostname, port, path }) {
    /** For a client of HTTP/1.0 that names no host: the address of Portico, which it came to, is nobody's business. */
    const withoutHost = (target: string): Verdict =>
      scheme === null && port === null
        ? { kind: 'respond', response: redirectTo(status, target.replace(/^\/{2,}/, '/')) }
        : { kind: 'refuse', reason: 'bad-host' };
    return {
      onRequest(request) {
        const spoken = scheme ?? request.scheme;
        const at = port ?? (scheme === null ? request.connectionInfo.port : USUAL_PORTS[scheme]);
        const host = hostname ?? hostOf(request);
        const origin = originForm(request.target);
        const question = origin.indexOf('?');
        const query = question < 0 ? '' : origin.slice(question);
        const before = question < 0 ? origin : origin.slice(0, question);
        const after = path === null ? before : (changedPath(path, request.rule) ?? before);
        if (host === '') return withoutHost(`${after}${query}`);
        const authority = `${host}${at === USUAL_PORTS[spoken] ? '' : `:${at}`}`;
        return { kind: 'respond', response: redirectTo(status, `${spoken}://${authority}${after}${query}`) };
      },
    };
  },

  describe({ status, scheme, hostname, port, path }) {
    const parts = [
      ...(scheme === null ? [] : [`scheme ${scheme}`]),
      ...(hostname === null ? [] : [`host ${hostname}`]),
      ...(port === null ? [] : [`port ${port}`]),
      ...(path === null ? [] : [describePathChange(path)]),
    ];
    return `${status} to ${parts.join(', ')}`;
  },
});

/** Without its port; empty where the request names none. */
function hostOf({ host, target }: RequestView): string {
  return (host || authorityOf(target)).replace(/:\d*$/, '');
}

function readRedirect(written: UntypedObject, read: FilterReader): RequestRedirectConfig {
  const { scheme, hostname, port, path, statusCode = 302 } = written;
  const status = [301, 302, 303, 307, 308].find((each) => each === statusCode) as
    | RequestRedirectConfig['status']
    | undefined;
  if (status === undefined)
    return read.fail(`has the status ${quote(statusCode)}`, 'use 301, 302, 303, 307 or 308');
  if (!isAbsent(scheme) && scheme !== 'http' && scheme !== 'https')
    return read.fail(`has the scheme ${quote(scheme)}`, 'use http or https');
  if (!isAbsent(port) && !isPortNumber(port))
    return read.fail(`has the port ${quote(port)}`, 'use 1 to 65535');
  return {
    status,
    scheme: scheme ?? null,
    hostname: read.hostname(hostname),
    port: port ?? null,
    path: readPathChange(path, read),
  };
}
