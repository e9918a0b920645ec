import type { HeaderField } from '../http/head-edit.ts';
import { isForwardingField, isHopByHop } from '../http/header-fields.ts';
import type { RequestEdit, RequestView } from '../http/request-view.ts';

/** Those that frame a body, or are about this message only. */
const OMITTED: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'expect',
  'trailer',
  'x-original-uri',
]);

/** What no Pod gets of the request, such as a password that was checked, is not copied. */
export function copiedFields(host: string, request: RequestView, edit: RequestEdit): readonly HeaderField[] {
  const fields: HeaderField[] = [
    ['Host', host],
    ['X-Real-IP', request.clientAddress],
    ['X-Forwarded-For', request.clientAddress],
    ['X-Forwarded-Proto', request.scheme],
    ['X-Forwarded-Host', request.host],
    ['X-Original-URI', request.target],
    ['X-Request-ID', request.requestId],
    ['CDN-Loop', request.loop],
  ];
  for (const field of request.allFields()) {
    const name = field[0].toLowerCase();
    const isLeftOut = OMITTED.has(name) || name.includes('_') || isHopByHop(name) || isForwardingField(name);
    if (!isLeftOut && !edit.drops(name)) fields.push(field);
  }
  return fields;
}
