/**
 * Writes src/model/validation/gateway-schema.ts from the CustomResourceDefinitions of Gateway API, which the Go module
 * sigs.k8s.io/gateway-api has in config/crd. Needs Go, which fetches the module through its proxy.
 *
 *     node scripts/gateway-schema.ts 1.6.3
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatted } from './formatted.ts';
import { parseAllDocuments } from 'yaml';
import { GATEWAY_KINDS } from '../src/model/objects.ts';
import type { SchemaNode } from '../src/model/validation/custom-schema.ts';

const MODULE = 'sigs.k8s.io/gateway-api';
const GENERATED = join(import.meta.dirname, '../src/model/validation/gateway-schema.ts');

/** What is read of OpenAPI, as a CustomResourceDefinition writes it. */
interface OpenApi {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, OpenApi>>;
  readonly additionalProperties?: OpenApi;
  readonly items?: OpenApi;
  readonly required?: readonly string[];
  readonly enum?: readonly string[];
  readonly oneOf?: unknown;
  readonly 'x-kubernetes-list-type'?: string;
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string; readonly message?: string }[];
  readonly [keyword: string]: unknown;
}

const COPIED = [
  ...['pattern', 'minLength', 'maxLength', 'minItems', 'maxItems', 'maxProperties', 'minimum', 'maximum'],
  ...['required', 'default'],
] as const;
/** Of the address of a Gateway: OpenAPI says so what CEL says more shortly. */
const ADDRESS_RULE = [
  "self.type == 'IPAddress' && has(self.value) ? isIP(self.value) : true",
  "value must be an IP address when type is set to 'IPAddress'",
] as const;

interface Definition {
  readonly kind?: string;
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly { readonly name: string; readonly schema: { openAPIV3Schema: OpenApi } }[];
  };
}

/** The schemas of v1, by kind. */
function schemas(folder: string): ReadonlyMap<string, OpenApi> {
  const found = new Map<string, OpenApi>();
  for (const file of readdirSync(folder).filter((name) => name.startsWith('gateway.networking.k8s.io_'))) {
    for (const document of parseAllDocuments(readFileSync(join(folder, file), 'utf8'))) {
      const { kind, spec } = document.toJS() as Definition;
      if (kind !== 'CustomResourceDefinition') continue;
      const version = spec.versions.find(({ name }) => name === 'v1');
      if (version) found.set(spec.names.kind, version.schema.openAPIV3Schema);
    }
  }
  return found;
}

const lines: string[] = [];
const numbers = new Map<string, number>();

/** The number of a node; equal nodes are one. */
function add(node: SchemaNode): number {
  const line = JSON.stringify(node);
  const number = numbers.get(line) ?? lines.length;
  if (number === lines.length) lines.push(line);
  numbers.set(line, number);
  return number;
}

const ANYTHING: SchemaNode = { type: 'any' };

/**
 * What both channels accept together: `standard` is undefined below a field that only the experimental channel has, and
 * where both have a node the standard channel says what its values may be.
 */
function nodeOf(experimental: OpenApi, standard: OpenApi | undefined): number {
  const of = standard ?? experimental;
  const node: Record<string, unknown> = { type: of.type };
  for (const keyword of COPIED) if (of[keyword] !== undefined) node[keyword] = of[keyword];
  // Values that only the experimental channel has come with a field of its own.
  if (experimental.enum) node['enum'] = experimental.enum;
  if (of['x-kubernetes-list-map-keys']) node['keys'] = of['x-kubernetes-list-map-keys'];
  if (of['x-kubernetes-list-type'] === 'set') node['unique'] = true;
  const names = Object.keys(experimental.properties ?? {});
  const added = standard ? names.filter((name) => standard.properties?.[name] === undefined) : [];
  if (names.length > 0) {
    const fields = Object.entries(experimental.properties ?? {}).map(([name, field]) => [
      name,
      nodeOf(field, standard?.properties?.[name]),
    ]);
    node['fields'] = Object.fromEntries(fields);
  }
  if (added.length > 0) node['experimental'] = added;
  if (experimental.items) node['items'] = nodeOf(experimental.items, standard?.items);
  if (experimental.additionalProperties)
    node['values'] = nodeOf(experimental.additionalProperties, standard?.additionalProperties);
  const rules = rulesOf(experimental, standard, added);
  if (rules.length > 0) node['rules'] = rules;
  return add(node as unknown as SchemaNode);
}

/** A message without regular expressions and the names of Go. */
function plain(message: string): string {
  return message
    .replace(/ \(matching \^.*\$\)/, '')
    .replace(
      /^filter\.(\w+) must be nil if the filter\.type is not (\w+)$/,
      '$1 may be set only if type is $2',
    )
    .replace(/^filter\.(\w+) must be specified for (\w+) filter\.type$/, 'type $2 needs the field $1')
    .replace(
      /^May specify either httpRouteFilterRequestRedirect .*/,
      'RequestRedirect and URLRewrite exclude each other',
    )
    .replace('CACertificateRefs', 'caCertificateRefs')
    .replace('WellKnownCACertificates', 'wellKnownCACertificates')
    .replace('in HTTPRequestMirrorFilter', 'of a mirror')
    .replace(' when type one of ', ' when type is one of ')
    .replace(/\.$/, '');
}

/** The rules of the channel that asks for less, and those about fields of the experimental one. */
function rulesOf(
  experimental: OpenApi,
  standard: OpenApi | undefined,
  added: readonly string[],
): readonly (readonly [rule: string, message: string])[] {
  const [ours = [], theirs = []] = [experimental, standard].map((each) => each?.['x-kubernetes-validations']);
  const has = (rules: typeof ours, rule: string): boolean => rules.some((each) => each.rule === rule);
  const isRelaxed = !standard || theirs.some(({ rule }) => !has(ours, rule));
  const kept = ours.filter(
    ({ rule }) => isRelaxed || has(theirs, rule) || added.some((name) => rule.includes(`self.${name}`)),
  );
  const rules = kept
    // Says what may change, of which manifests know nothing.
    .filter(({ rule }) => !rule.includes('oldSelf'))
    .map(({ rule, message = rule }) => [rule.replaceAll(/\s+/g, ' ').trim(), plain(message)] as const);
  return experimental.oneOf === undefined ? rules : [...rules, ADDRESS_RULE];
}

const release = process.argv[2] ?? '1.6.3';
const { Dir } = JSON.parse(
  execFileSync('go', ['mod', 'download', '-json', `${MODULE}@v${release}`], { encoding: 'utf8', cwd: '/' }),
) as { readonly Dir: string };
const [standard, experimental] = ['standard', 'experimental'].map((each) =>
  schemas(join(Dir, 'config/crd', each)),
);

const roots = GATEWAY_KINDS.map((kind) => {
  const [stable, all] = [standard?.get(kind), experimental?.get(kind)];
  const spec = all?.properties?.['spec'];
  if (!stable || !spec) throw new Error(`${MODULE} ${release} does not define ${kind}`);
  const anything = add(ANYTHING);
  const fields = {
    ...{ apiVersion: anything, kind: anything, metadata: anything },
    spec: nodeOf(spec, stable.properties?.['spec']),
    // Status is written by controllers.
    ...(all.properties?.['status'] && { status: anything }),
  };
  return [kind, add({ type: 'object', fields, ...(all.required && { required: all.required }) })] as const;
});

const source = `/**
 * Gateway API as it is published, for manifests, which no API server has checked. Written by scripts/gateway-schema.ts.
 */
export const GATEWAY_API_RELEASE = ${JSON.stringify(release.split('.').slice(0, 2).join('.'))};

/** The number of the node of each kind. */
export const GATEWAY_ROOTS = ${JSON.stringify(Object.fromEntries(roots))} as const;

/** One SchemaNode each, as JSON; nodes name others by their numbers. */
export const GATEWAY_NODES: readonly string[] = [
${lines.map((line) => `  ${JSON.stringify(line)},`).join('\n')}
];
`;
writeFileSync(GENERATED, await formatted(GENERATED, source));
