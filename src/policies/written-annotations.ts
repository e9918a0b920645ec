import { type UntypedObject, asObject } from '../model/untyped.ts';
import { INGRESS_NGINX } from './annotation-spec.ts';

/**
 * The annotations of an object, those of ingress-nginx under the prefix that it has by default. Where they have another
 * `prefix` (`--annotations-prefix`), that of ingress-nginx itself means nothing, as there.
 */
export function writtenAnnotations(object: unknown, prefix?: string): UntypedObject {
  const annotations = asObject(asObject(asObject(object)['metadata'])['annotations']);
  if (prefix === undefined || `${prefix}/` === INGRESS_NGINX) return annotations;
  const own = `${prefix}/`;
  return Object.fromEntries(
    Object.entries(annotations).flatMap(([name, value]) => {
      if (name.startsWith(own)) return [[`${INGRESS_NGINX}${name.slice(own.length)}`, value]];
      return name.startsWith(INGRESS_NGINX) ? [] : [[name, value]];
    }),
  );
}

/** A text of a problem with the names as they are written. */
export function asWritten(text: string, prefix?: string): string {
  return prefix === undefined ? text : text.replaceAll(INGRESS_NGINX, `${prefix}/`);
}
