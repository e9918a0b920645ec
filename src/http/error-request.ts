import { namespaceOf } from '../model/objects.ts';
import type { HeaderField } from './head-edit.ts';
import { originForm } from './path.ts';
import type { RequestView } from './request-view.ts';

/** Whose response an error backend replaces. */
export interface ReplacedRoute {
  /** `namespace/name` */
  readonly ingress: string;
  /** `namespace/service:port` */
  readonly backend: string;
}

/** What an error backend is told, in the words of ingress-nginx: the status that the client would have got, and for what. */
export function errorFields(
  status: number,
  request: RequestView,
  { ingress, backend }: ReplacedRoute,
): HeaderField[] {
  const colon = backend.lastIndexOf(':');
  const fields: HeaderField[] = [
    ['X-Code', String(status)],
    ['X-Format', request.value('accept') ?? ''],
    ['X-Original-URI', originForm(request.target)],
    ['X-Namespace', namespaceOf(ingress)],
    ['X-Ingress-Name', ingress.slice(ingress.indexOf('/') + 1)],
    ['X-Service-Name', backend.slice(backend.indexOf('/') + 1, colon)],
    ['X-Service-Port', backend.slice(colon + 1).replace(/@.*$/, '')],
    ['X-Request-ID', request.requestId],
  ];
  return fields.filter(([, value]) => value !== '');
}

/** The target of the request for an error page: of the client's only the query is left, as in ingress-nginx. */
export function errorPageTarget({ target }: RequestView): string {
  const origin = originForm(target);
  const question = origin.indexOf('?');
  return question < 0 ? '/' : `/${origin.slice(question)}`;
}

/** All fields of the request for an error page. */
export function errorPageFields(
  status: number,
  request: RequestView,
  replaced: ReplacedRoute,
): HeaderField[] {
  return [
    ['Host', request.host],
    ...errorFields(status, request, replaced),
    ['X-Forwarded-For', request.clientAddress],
    ['X-Forwarded-Host', request.host],
    ['X-Forwarded-Proto', request.scheme],
    ['X-Real-IP', request.clientAddress],
  ];
}
