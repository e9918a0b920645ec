/**
 * Writes src/model/validation/api-schema.ts from the types that @kubernetes/client-node generates of Kubernetes' OpenAPI:
 * the fields of the kinds Portico reads, and the kinds of every built-in API group.
 *
 *     node scripts/api-schema.ts
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatted } from './formatted.ts';

const GENERATED = join(import.meta.dirname, '../node_modules/@kubernetes/client-node/dist/gen');
export const API_SCHEMA = join(import.meta.dirname, '../src/model/validation/api-schema.ts');

const ROOTS = {
  Ingress: 'V1Ingress',
  IngressClass: 'V1IngressClass',
  Service: 'V1Service',
  EndpointSlice: 'V1EndpointSlice',
  Secret: 'V1Secret',
  ConfigMap: 'V1ConfigMap',
  Namespace: 'V1Namespace',
};

interface Attribute {
  readonly baseName: string;
  readonly type: string;
}

async function attributesOf(type: string): Promise<readonly Attribute[]> {
  const module = (await import(join(GENERATED, `models/${type}.js`))) as Record<
    string,
    { attributeTypeMap: readonly Attribute[] }
  >;
  return module[type]?.attributeTypeMap ?? [];
}

/** `Array<X>` is `X[]`, `{ [key: string]: X; }` is `{X}`; what may be anything is `any`. */
function compact(type: string): string {
  const list = /^Array<(.+)>$/.exec(type)?.[1];
  if (list !== undefined) return `${compact(list)}[]`;
  const map = /^\{ \[key: string\]: (.+); \}$/.exec(type)?.[1];
  if (map !== undefined) return `{${compact(map)}}`;
  return type === 'Date' || type === 'V1MicroTime' ? 'string' : type;
}

/** The fields of the roots and of every type below them. */
async function typesBelow(roots: readonly string[]): Promise<Map<string, string>> {
  const types = new Map<string, string>();
  const visit = async (type: string): Promise<void> => {
    if (types.has(type)) return;
    types.set(type, '');
    const attributes = await attributesOf(type);
    const fields = attributes.map(({ baseName, type: of }) => `${baseName}:${compact(of)}`);
    types.set(type, fields.join(' '));
    for (const { type: of } of attributes) {
      const below = compact(of).replaceAll(/[[\]{}]/g, '');
      if (/V\d/.test(below)) await visit(below);
    }
  };
  for (const root of roots) await visit(root);
  return types;
}

/** The kinds that can be created, by API version. */
function builtInKinds(): Map<string, Set<string>> {
  const kinds = new Map<string, Set<string>>();
  for (const file of readdirSync(join(GENERATED, 'apis')).filter((name) => name.endsWith('Api.js'))) {
    const source = readFileSync(join(GENERATED, 'apis', file), 'utf8');
    for (const [, method = '', path = ''] of source.matchAll(
      /async (create\w+)\([^{]*\{[\s\S]*?localVarPath = '\/apis?\/([^']+)'/g,
    )) {
      const apiVersion = /^(?:[a-z0-9.-]+\/)?v\d\w*(?=\/)/.exec(path)?.[0];
      const kind = method.replace(/^create(?:Namespaced)?/, '');
      if (apiVersion === undefined || path.split('/').at(-2) === '{name}') continue;
      kinds.set(apiVersion, (kinds.get(apiVersion) ?? new Set()).add(kind));
    }
  }
  return kinds;
}

export async function apiSchema(): Promise<string> {
  const header = readFileSync(join(GENERATED, 'models/V1Ingress.js'), 'utf8');
  const release = /release-([\d.]+)/.exec(header)?.[1] ?? '';
  const types = await typesBelow(Object.values(ROOTS));
  const lines = (map: Iterable<readonly [string, string]>): string =>
    [...map].map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)},`).join('\n');
  const kinds = [...builtInKinds()].map(([version, of]) => [version, [...of].sort().join(' ')] as const);
  const source = `/**
 * The API as Kubernetes publishes it, for manifests, which no API server has checked. Written by scripts/api-schema.ts.
 */
export const KUBERNETES_RELEASE = ${JSON.stringify(release)};

/** The type of each kind that Portico reads. */
export const ROOT_TYPES = ${JSON.stringify(ROOTS)} as const;

/** Fields as \`name:type\`; \`X[]\` is a list, \`{X}\` a map, \`any\` and types that are not here may hold anything. */
export const TYPES: Readonly<Record<string, string>> = {
${lines([...types].sort(([a], [b]) => (a < b ? -1 : 1)))}
};

/** The kinds of the built-in API groups. */
export const BUILT_IN_KINDS: Readonly<Record<string, string>> = {
${lines(kinds.sort(([a], [b]) => (a < b ? -1 : 1)))}
};
`;
  return formatted(API_SCHEMA, source);
}

if (import.meta.main) writeFileSync(API_SCHEMA, await apiSchema());
