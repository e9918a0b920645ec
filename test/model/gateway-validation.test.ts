import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { GATEWAY_KINDS, type GatewayKind } from '../../src/model/objects.ts';
import { parseCel } from '../../src/model/validation/cel.ts';
import { holds } from '../../src/model/validation/cel-evaluate.ts';
import type { SchemaNode } from '../../src/model/validation/custom-schema.ts';
import { GATEWAY_NODES } from '../../src/model/validation/gateway-schema.ts';
import { patternRule } from '../../src/model/validation/pattern-rule.ts';
import { validateManifest } from '../../src/model/validation/validate.ts';
import { examples } from '../support/examples.ts';

const nodes = GATEWAY_NODES.map((line) => JSON.parse(line) as SchemaNode);

/** One object of each kind that the API server takes, with much of what it may hold. */
const VALID: Readonly<Record<GatewayKind, string>> = {
  GatewayClass: '{ controllerName: portico.dev/gateway-controller, description: Ours }',
  Gateway: `
    gatewayClassName: portico
    addresses: [{ value: 192.0.2.1 }, { type: IPAddress, value: 'fd00::1' }, { type: Hostname, value: a.test }, {}]
    infrastructure: { labels: { example.com/team: web }, annotations: { note: x } }
    allowedListeners: { namespaces: { from: Selector, selector: { matchExpressions: [{ key: a, operator: Exists }] } } }
    listeners:
      - { name: http, port: 80, protocol: HTTP, allowedRoutes: { namespaces: { from: All }, kinds: [{ kind: HTTPRoute }] } }
      - { name: https, port: 443, protocol: HTTPS, hostname: '*.a.test', tls: { certificateRefs: [{ name: a }] } }
      - { name: tls, port: 443, protocol: TLS, tls: { mode: Passthrough } }
      - { name: tcp, port: 9000, protocol: TCP }
      - { name: other, port: 9001, protocol: example.com/other }
    tls:
      backend: { clientCertificateRef: { name: client } }
      frontend:
        default: { validation: { caCertificateRefs: [{ group: '', kind: ConfigMap, name: ca }] } }
        perPort: [{ port: 8443, tls: {} }]`,
  ListenerSet: `
    parentRef: { name: web }
    listeners: [{ name: http, port: 8080, protocol: HTTP, hostname: a.test }]`,
  HTTPRoute: `
    parentRefs: [{ name: web, sectionName: http }, { name: web, sectionName: https }, { kind: Service, group: '', name: a }]
    hostnames: [a.test, '*.b.test']
    rules:
      - name: all
        matches:
          - path: { type: Exact, value: /a%20b }
            method: GET
            headers: [{ name: X-A, value: b }, { type: RegularExpression, name: X-B, value: 'b.*' }]
            queryParams: [{ name: q, value: '1' }]
          - path: { type: RegularExpression, value: '/[a-z]+#//' }
        filters:
          - { type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: a, value: b }], remove: [c] } }
          - { type: CORS, cors: { allowOrigins: ['https://*.a.test:8443'], allowMethods: [GET], maxAge: 5 } }
          - { type: RequestMirror, requestMirror: { backendRef: { name: copy, port: 80 }, percent: 5 } }
          - { type: RequestMirror, requestMirror: { backendRef: { name: copy, port: 80 }, fraction: { numerator: 1 } } }
        backendRefs: [{ name: a, port: 80, weight: 0 }, { name: a, group: example.com, kind: Bucket }]
        timeouts: { request: 1m, backendRequest: 30s }
      - matches: [{ path: { value: /old } }]
        filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /new } } }]
      - filters: [{ type: RequestRedirect, requestRedirect: { scheme: https, statusCode: 308 } }]`,
  GRPCRoute: `
    parentRefs: [{ name: web }]
    rules:
      - matches: [{ method: { service: a.B, method: C } }, { method: { type: RegularExpression, service: 'a\\..*' } }, {}]
        backendRefs: [{ name: a, port: 80, filters: [{ type: ResponseHeaderModifier, responseHeaderModifier: { remove: [a] } }] }]`,
  TLSRoute: '{ hostnames: [a.test], rules: [{ backendRefs: [{ name: a, port: 443 }] }] }',
  TCPRoute: '{ parentRefs: [{ name: web }], rules: [{ backendRefs: [{ name: a, port: 443 }] }] }',
  UDPRoute: '{ parentRefs: [{ name: web, port: 53 }], rules: [{ backendRefs: [{ name: a, port: 53 }] }] }',
  ReferenceGrant: `
    from: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: a }]
    to: [{ group: '', kind: Service, name: b }]`,
  BackendTLSPolicy: `
    targetRefs: [{ group: '', kind: Service, name: a, sectionName: https }]
    validation:
      hostname: a.test
      caCertificateRefs: [{ group: '', kind: ConfigMap, name: ca }]
      subjectAltNames: [{ type: Hostname, hostname: '*.a.test' }, { type: URI, uri: 'spiffe://a.test/b' }]`,
};

type Json = { [field: string]: unknown };

function objectOf(kind: GatewayKind, spec: unknown): Json {
  const namespace = kind === 'GatewayClass' ? {} : { namespace: 'shop' };
  return { apiVersion: 'gateway.networking.k8s.io/v1', kind, metadata: { name: 'web', ...namespace }, spec };
}

/** `spec.a: what is wrong`, one for each problem. */
function problemsOf(kind: GatewayKind, spec: string): string[] {
  return validateManifest(kind, objectOf(kind, parse(spec))).map(
    ({ field, message }) => `${field}: ${message.replace('; the API server refuses such an object.', '')}`,
  );
}

test.each(GATEWAY_KINDS)('a %s that the API server takes has no problem', (kind) => {
  expect(problemsOf(kind, VALID[kind])).toEqual([]);
});

const route = (rule: string): string => `{ parentRefs: [{ name: web }], rules: [${rule}] }`;
const listeners = (...each: string[]): string => `{ gatewayClassName: a, listeners: [${each.join(', ')}] }`;
const rewrite =
  '{ type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: / } } }';

/** Each with the one problem that it has: by the schema first, then by rules. */
const REFUSED: readonly (readonly [kind: GatewayKind, spec: string, problem: string])[] = [
  [
    'GatewayClass',
    '{ controllerName: portico }',
    'spec.controllerName: "portico" must be a domain and a path, such as portico.dev/gateway-controller',
  ],
  ['GatewayClass', '{}', 'spec.controllerName: The field "controllerName" is missing here'],
  ['Gateway', '{ gatewayClassName: a, listeners: [] }', 'spec.listeners: a list must have at least 1 entry'],
  [
    'Gateway',
    listeners('{ name: a, port: 0, protocol: HTTP }'),
    'spec.listeners[0].port: 0 must be a number from 1 to 65535',
  ],
  [
    'Gateway',
    listeners("{ name: a, port: '80', protocol: HTTP }"),
    'spec.listeners[0].port: "80" must be a whole number, without quotes',
  ],
  [
    'Gateway',
    listeners('{ name: a, port: 80, protocol: HTTP }', '{ name: a, port: 81, protocol: HTTP }'),
    'spec.listeners[1].name: "a" is there twice in this list',
  ],
  [
    'Gateway',
    listeners('{ name: a, port: 80, protocol: HTTP }', '{ name: b, port: 80, protocol: HTTP }'),
    'spec.listeners: Combination of port, protocol and hostname must be unique for each listener',
  ],
  [
    'Gateway',
    listeners('{ name: a, port: 80, protocol: HTTP, tls: { certificateRefs: [{ name: a }] } }'),
    "spec.listeners: tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']",
  ],
  [
    'Gateway',
    listeners('{ name: a, port: 80, protocol: TLS }'),
    'spec.listeners: tls mode must be set for protocol TLS',
  ],
  [
    'Gateway',
    listeners('{ name: a, port: 443, protocol: HTTPS, tls: {} }'),
    'spec.listeners[0].tls: certificateRefs or options must be specified when mode is Terminate',
  ],
  [
    'Gateway',
    listeners('{ name: a, port: 443, protocol: TCP, hostname: a.test }'),
    "spec.listeners: hostname must not be specified for protocols ['TCP', 'UDP']",
  ],
  [
    'Gateway',
    listeners('{ name: a, port: 80, protocol: HTTP, hostname: "*" }'),
    'spec.listeners[0].hostname: "*" must be a DNS name of lower-case letters, digits, "-" and ".", which may start with "*."',
  ],
  [
    'Gateway',
    listeners('{ name: a, port: 80, protocol: HTTP, allowedRoutes: { namespaces: { from: Any } } }'),
    'spec.listeners[0].allowedRoutes.namespaces.from: "Any" is not valid; use one of All, Selector, Same',
  ],
  [
    'Gateway',
    `{ gatewayClassName: a, addresses: [{ value: a.test }], listeners: [{ name: a, port: 80, protocol: HTTP }] }`,
    "spec.addresses[0]: value must be an IP address when type is set to 'IPAddress'",
  ],
  [
    'ListenerSet',
    '{ parentRef: { name: a }, listeners: [{ name: a, port: 80, protocl: HTTP, protocol: HTTP }] }',
    'spec.listeners[0].protocl: Gateway API 1.6 has no such field; did you mean "protocol"?',
  ],
  [
    'HTTPRoute',
    route('{ matches: [{ path: { value: a } }] }'),
    "spec.rules[0].matches[0].path: value must be an absolute path and start with '/' when type is one of ['Exact', 'PathPrefix']",
  ],
  [
    'HTTPRoute',
    route('{ matches: [{ path: { value: /a/../b } }] }'),
    "spec.rules[0].matches[0].path: must not contain '/../' when type is one of ['Exact', 'PathPrefix']",
  ],
  [
    'HTTPRoute',
    route('{ matches: [{ path: { type: Glob, value: /a } }] }'),
    'spec.rules[0].matches[0].path.type: "Glob" is not valid; use one of Exact, PathPrefix, RegularExpression',
  ],
  [
    'HTTPRoute',
    route(
      '{ filters: [{ type: RequestRedirect, requestRedirect: {} }], backendRefs: [{ name: a, port: 80 }] }',
    ),
    'spec.rules[0]: RequestRedirect filter must not be used together with backendRefs',
  ],
  [
    'HTTPRoute',
    route(`{ matches: [{ path: { type: Exact, value: /a } }], filters: [${rewrite}] }`),
    'spec.rules[0]: When using URLRewrite filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified',
  ],
  [
    'HTTPRoute',
    route(`{ filters: [${rewrite}, ${rewrite}] }`),
    'spec.rules[0].filters: URLRewrite filter cannot be repeated',
  ],
  [
    'HTTPRoute',
    route('{ filters: [{ type: URLRewrite }] }'),
    'spec.rules[0].filters[0]: type URLRewrite needs the field urlRewrite',
  ],
  [
    'HTTPRoute',
    route('{ backendRefs: [{ name: a }] }'),
    'spec.rules[0].backendRefs[0]: Must have port for Service reference',
  ],
  [
    'HTTPRoute',
    route('{ timeouts: { request: 1s, backendRequest: 1500ms } }'),
    'spec.rules[0].timeouts: backendRequest timeout cannot be longer than request timeout',
  ],
  [
    'HTTPRoute',
    route('{ timeouts: { request: 1.5s } }'),
    'spec.rules[0].timeouts.request: "1.5s" must be a duration of whole numbers and units, such as 1m30s or 500ms',
  ],
  [
    'HTTPRoute',
    route(
      '{ filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: a, port: 80 }, fraction: { numerator: 2, denominator: 1 } } }] }',
    ),
    'spec.rules[0].filters[0].requestMirror.fraction: numerator must be less than or equal to denominator',
  ],
  [
    'HTTPRoute',
    route('{ filters: [{ type: CORS, cors: { allowOrigins: [a.test] } }] }'),
    'spec.rules[0].filters[0].cors.allowOrigins[0]: "a.test" must be an origin, such as https://example.com or https://*.example.com, or *',
  ],
  [
    'HTTPRoute',
    '{ parentRefs: [{ name: a }, { name: a }] }',
    'spec.parentRefs: sectionName or port must be unique when parentRefs includes 2 or more references to the same parent',
  ],
  [
    'HTTPRoute',
    `{ hostnames: [${Array.from({ length: 17 }, (_, i) => `a${i}.test`).join(', ')}] }`,
    'spec.hostnames: a list must have at most 16 entries',
  ],
  [
    'GRPCRoute',
    route('{ matches: [{ method: { type: Exact } }] }'),
    "spec.rules[0].matches[0].method: One or both of 'service' or 'method' must be specified",
  ],
  [
    'GRPCRoute',
    route('{ matches: [{ method: { service: a-b } }] }'),
    'spec.rules[0].matches[0].method: service must only contain valid characters',
  ],
  [
    'TLSRoute',
    '{ rules: [{ backendRefs: [{ name: a, port: 443 }] }] }',
    'spec.hostnames: The field "hostnames" is missing here',
  ],
  [
    'TLSRoute',
    '{ hostnames: [10.0.0.1], rules: [{ backendRefs: [{ name: a, port: 443 }] }] }',
    'spec.hostnames: Hostnames cannot contain an IP',
  ],
  ['TCPRoute', '{ rules: [] }', 'spec.rules: a list must have at least 1 entry'],
  [
    'UDPRoute',
    '{ rules: [{ backendRefs: [{ name: a, port: 99999 }] }] }',
    'spec.rules[0].backendRefs[0].port: 99999 must be a number from 1 to 65535',
  ],
  [
    'ReferenceGrant',
    "{ from: [{ group: '', kind: Gateway }], to: [{ group: '', kind: Secret }] }",
    'spec.from[0].namespace: The field "namespace" is missing here',
  ],
  [
    'BackendTLSPolicy',
    "{ targetRefs: [{ group: '', kind: Service, name: a }], validation: { hostname: a.test } }",
    'spec.validation: must specify either caCertificateRefs or wellKnownCACertificates',
  ],
  [
    'BackendTLSPolicy',
    "{ targetRefs: [{ group: '', kind: Service, name: a }], validation: { hostname: '*.a.test', wellKnownCACertificates: System } }",
    'spec.validation.hostname: "*.a.test" must be a DNS name of lower-case letters, digits, "-" and "."',
  ],
];

test.each(REFUSED)('a %s that the API server refuses: %s', (kind, spec, problem) => {
  expect(problemsOf(kind, spec)).toEqual([problem]);
});

test('a field of the experimental channel is a warning', () => {
  const spec = parse(route('{ retry: { attempts: 2, codes: [503] } }')) as unknown;
  expect(validateManifest('HTTPRoute', objectOf('HTTPRoute', spec))).toEqual([
    expect.objectContaining({ severity: 'warning', code: 'FieldExperimental', field: 'spec.rules[0].retry' }),
  ]);
});

test('metadata is held against the schema, too', () => {
  const object = { ...objectOf('Gateway', parse(VALID.Gateway)), metadata: { name: 'A b', lables: {} } };
  expect(validateManifest('Gateway', object).map(({ field }) => field)).toEqual([
    'metadata.name',
    'metadata.lables',
  ]);
});

/** A valid spec in which one value, wherever it is, is another one. */
const damaged = fc
  .record({
    kind: fc.constantFrom(...GATEWAY_KINDS),
    at: fc.nat(),
    value: fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom('__proto__', '', '\0', -1, 1e300, [], {})),
  })
  .map(({ kind, at, value }): [GatewayKind, unknown] => {
    const object = objectOf(kind, parse(VALID[kind]));
    const places: [Json | unknown[], string][] = [];
    const visit = (of: unknown): void => {
      if (typeof of !== 'object' || of === null) return;
      for (const name of Object.keys(of)) {
        places.push([of as Json, name]);
        visit((of as Json)[name]);
      }
    };
    visit(object);
    const [parent, name] = places[at % places.length] ?? [object, 'spec'];
    (parent as Json)[name] = value;
    return [kind, object];
  });

test('no object makes validation throw', () => {
  fc.assert(
    fc.property(damaged, ([kind, object]) => {
      for (const { message, field } of validateManifest(kind, object)) {
        expect(message).toMatch(/\S/);
        expect(field).toEqual(expect.any(String));
      }
    }),
    { numRuns: examples(75) },
  );
  fc.assert(
    fc.property(fc.constantFrom(...GATEWAY_KINDS), fc.anything(), (kind, object) => {
      validateManifest(kind, object);
      validateManifest(kind, objectOf(kind, object));
    }),
  );
});

describe('the table', () => {
  test('has only rules that can be read', () => {
    const rules = nodes.flatMap((node) => node.rules ?? []);
    expect(rules.length).toBeGreaterThan(60);
    for (const [rule] of rules) expect(() => parseCel(rule)).not.toThrow();
  });

  test('has only patterns that there are words for', () => {
    for (const { pattern } of nodes)
      if (pattern !== undefined) expect(patternRule(pattern, '\n') ?? '').not.toContain(pattern);
  });
});

describe('CEL', () => {
  const self = { a: 1, list: ['x', 'y', 'x'], text: 'a/b', nested: { namespace: 'n' } };
  test.each([
    ["self.a == 1 && self.text != 'a'", true],
    ['has(self.b) || self.a >= 1', true],
    ['self.b == 1 || self.a == 1', true],
    ['self.a == 2 && self.b == 1', false],
    ['self.b == 1 && self.a == 1', false],
    ['!has(self.b)', true],
    ["self.a == 1 ? self.text.startsWith('a') : false", true],
    ["self.list.filter(l, l == 'x').size() == 2", true],
    ["self.list.exists_one(l, l == 'y') && !self.list.exists(l, l == 'z')", true],
    ['self.list.all(p, self.list.exists(q, p == q))', true],
    ["'y' in self.list && self.list[1] == 'y'", true],
    ['size(self.list) + self.a < 5', true],
    ["self.text.split('/')[0].size() <= 1", true],
    ["self.nested.__namespace__ == 'n'", true],
    ['self.text.matches(r"""^(?i)A/\\w$""")', true],
    ["duration('1h1m1s1ms') > duration('61m')", true],
    ["isIP('::1') && !isIP('a')", true],
    ['self.text > 1', false],
    ['self.list[7] == 1', false],
  ])('%s', (rule, expected) => {
    expect(holds(parseCel(rule), self)).toBe(expected);
  });

  test.each(['self.a ==', 'self.a @ 1', '(self.a', "self.a 'b'"])('refuses to read %s', (rule) => {
    expect(() => parseCel(rule)).toThrow('CEL');
  });
});
