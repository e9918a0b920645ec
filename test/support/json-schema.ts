/** The keywords of JSON Schema that values.schema.json uses; another one is an error, not ignored. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
}

const ANNOTATIONS: ReadonlySet<string> = new Set(['$schema', 'title', 'description']);

/** What of `value` the schema does not allow: one line each, with its path. */
export function violations(schema: JsonSchema, value: unknown, path: string): string[] {
  const properties = (schema['properties'] ?? {}) as Record<string, JsonSchema>;
  return Object.entries(schema).flatMap(([keyword, want]): string[] => {
    if (ANNOTATIONS.has(keyword)) return [];
    switch (keyword) {
      case 'type':
        return typeOf(value) === want || (want === 'number' && typeOf(value) === 'integer')
          ? []
          : [`${path} is no ${String(want)}`];
      case 'pattern':
        return typeof value !== 'string' || new RegExp(String(want)).test(value)
          ? []
          : [`${path} does not match ${String(want)}`];
      case 'minimum':
        return typeof value !== 'number' || value >= Number(want) ? [] : [`${path} is below ${String(want)}`];
      case 'items':
        return Array.isArray(value)
          ? value.flatMap((item, index) => violations(want as JsonSchema, item, `${path}[${index}]`))
          : [];
      case 'required':
        return (want as readonly string[])
          .filter((key) => isObject(value) && !(key in value))
          .map((key) => `${path}.${key} is missing`);
      case 'properties':
        return Object.entries(properties).flatMap(([key, each]) =>
          isObject(value) && key in value ? violations(each, value[key], `${path}.${key}`) : [],
        );
      case 'additionalProperties':
        if (want !== false) throw new Error(`additionalProperties: ${String(want)} is not understood`);
        return Object.keys(isObject(value) ? value : {})
          .filter((key) => !(key in properties))
          .map((key) => `${path}.${key} is not known`);
      default:
        throw new Error(`the keyword ${keyword} is not understood`);
    }
  });
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeOf(value) === 'object';
}
