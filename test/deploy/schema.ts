import * as client from '@kubernetes/client-node';
import type { Manifest } from './manifests.ts';

interface Attribute {
  readonly baseName: string;
  readonly type: string;
}

/** The classes that client-node generates from the OpenAPI document of the Kubernetes API. */
const MODELS = client as unknown as Readonly<
  Record<string, { getAttributeTypeMap?(): readonly Attribute[] } | undefined>
>;

/** What of `value` the Kubernetes API has no field for, or not of that type: one line each, with its path. */
export function deviations(value: unknown, type: string, path: string): string[] {
  const list = /^Array<(.*)>$/.exec(type)?.[1] ?? /^Set<(.*)>$/.exec(type)?.[1];
  if (list !== undefined) {
    if (!Array.isArray(value)) return [`${path} is not a list of ${list}`];
    return value.flatMap((item, index) => deviations(item, list, `${path}[${index}]`));
  }
  const entry = /^\{ \[key: string\]: (.*); \}$/.exec(type)?.[1];
  if (entry !== undefined) {
    if (!isObject(value)) return [`${path} is not a map`];
    return Object.entries(value).flatMap(([key, item]) => deviations(item, entry, `${path}.${key}`));
  }
  switch (type) {
    case 'string':
    case 'number':
    case 'boolean':
      return typeof value === type ? [] : [`${path} is not a ${type}`];
    case 'IntOrString':
      return typeof value === 'string' || Number.isInteger(value)
        ? []
        : [`${path} is no number and no string`];
  }
  const attributes = MODELS[type]?.getAttributeTypeMap?.();
  if (!attributes) return [`${path}: there is no type ${type}`];
  if (!isObject(value)) return [`${path} is not a ${type}`];
  return Object.entries(value).flatMap(([field, item]) => {
    const attribute = attributes.find(({ baseName }) => baseName === field);
    return attribute
      ? deviations(item, attribute.type, `${path}.${field}`)
      : [`${path}.${field}: ${type} has no such field`];
  });
}

/** The type of the client for an object, by its API version: `V2HorizontalPodAutoscaler`. */
export function typeOf({ kind, ...object }: Manifest['object']): string {
  const version = String(object['apiVersion']).split('/').at(-1) ?? '';
  return `${version.toUpperCase()}${kind}`;
}

/** Which fields of which types a value has, as Go names these: `PodSpec.containers`. Those of types that are not known are left out. */
export function* fieldsIn(value: unknown, type: string): Generator<string> {
  const item = /^(?:Array|Set)<(.*)>$/.exec(type)?.[1] ?? /^\{ \[key: string\]: (.*); \}$/.exec(type)?.[1];
  if (item !== undefined) {
    for (const each of Object.values(value as object)) yield* fieldsIn(each, item);
    return;
  }
  if (!isObject(value)) return;
  const attributes = MODELS[type]?.getAttributeTypeMap?.() ?? [];
  for (const [field, content] of Object.entries(value)) {
    const attribute = attributes.find(({ baseName }) => baseName === field);
    if (!attribute) continue;
    yield `${type.replace(/^V\d/, '')}.${field}`;
    yield* fieldsIn(content, attribute.type);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
