import { type Kind, isNamespaced } from '../../model/objects.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

/** What a manifest without a `creationTimestamp` gets: all are equally old, so ties go by `namespace/name`. */
export const NO_CREATION_TIMESTAMP = '1970-01-01T00:00:00Z';

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The object as the API server would return it: with a namespace, a creation time, and `stringData` in `data`. */
export function normalForm(kind: Kind, apiVersion: string, written: JsonObject): JsonObject {
  const { namespace, ...metadata } = isJsonObject(written['metadata']) ? written['metadata'] : {};
  const object = {
    ...written,
    apiVersion,
    kind,
    metadata: {
      ...metadata,
      ...(isNamespaced(kind) ? { namespace: namespace || 'default' } : {}),
      creationTimestamp: metadata['creationTimestamp'] ?? NO_CREATION_TIMESTAMP,
    },
  };
  return kind === 'Secret' ? withStringData(object) : object;
}

/**
 * `stringData` is written, never read: the API server encodes it into `data`, where it wins over what is there.
 * Where it holds anything but strings it stays as it is, for validation to find.
 */
function withStringData(secret: JsonObject): JsonObject {
  const { stringData, ...rest } = secret;
  if (!isJsonObject(stringData)) return secret;
  const encoded: [string, Json][] = [];
  for (const [key, value] of Object.entries(stringData)) {
    if (typeof value !== 'string') return secret;
    encoded.push([key, Buffer.from(value).toString('base64')]);
  }
  const data = isJsonObject(rest['data']) ? rest['data'] : {};
  return { ...rest, data: { ...data, ...Object.fromEntries(encoded) } };
}

/** Freezes the value and everything in it. */
export function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const inner of Object.values(value)) freeze(inner);
  return value;
}
