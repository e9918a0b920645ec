import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Compilation, compile, listProblems } from '../../../src/routing/compile/compile.ts';
import { type ObjectChange, applyChanges, snapshotOf } from '../../../src/model/snapshot.ts';
import { get } from '../../../src/model/sharded-map.ts';
import { type PortKey, portKey } from '../../../src/routing/table.ts';
import { asObject } from '../../../src/model/untyped.ts';
import { CASE_SETTINGS, parseManifests } from '../../support/cases.ts';
import { describeStatuses } from '../../support/status-text.ts';
import { examples } from '../../support/examples.ts';

/** What nobody touches: a Gateway and its route, and an Ingress. */
const CONTROL = `kind: GatewayClass
metadata: { name: portico }
spec: { controllerName: portico.dev/gateway-controller }
---
kind: Gateway
metadata: { name: main, namespace: control, creationTimestamp: 2020-01-01T00:00:00Z }
spec:
  gatewayClassName: portico
  addresses: [{ value: 192.0.2.9 }]
  listeners: [{ name: http, port: 9090, protocol: HTTP }]
---
kind: HTTPRoute
metadata: { name: web, namespace: control, creationTimestamp: 2020-01-01T00:00:00Z }
spec:
  parentRefs: [{ name: main }]
  hostnames: [control.example]
  rules: [{ matches: [{ path: { value: /a }, method: GET }], backendRefs: [{ name: web, port: 80 }] }]
---
kind: Service
metadata: { name: web, namespace: control }
spec: { ports: [{ port: 80 }] }
---
kind: IngressClass
metadata: { name: portico }
spec: { controller: portico.dev/ingress-controller }
---
kind: Ingress
metadata: { name: web, namespace: control }
spec:
  ingressClassName: portico
  rules: [{ host: ingress.example, http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: web, port: { number: 80 } } } }] } }]
`;

/** One of each kind, valid, with every field that Portico reads. */
const VICTIMS = `kind: GatewayClass
metadata: { name: other, generation: 2 }
spec: { controllerName: portico.dev/gateway-controller, description: text, parametersRef: { group: '', kind: ConfigMap, name: x, namespace: a } }
---
kind: Gateway
metadata: { name: main, namespace: a, generation: 3, creationTimestamp: 2026-01-01T00:00:00Z }
spec:
  gatewayClassName: portico
  addresses: [{ type: IPAddress, value: 192.0.2.1 }, { value: '' }]
  infrastructure: { labels: { team: a }, annotations: { note: b } }
  allowedListeners: { namespaces: { from: Selector, selector: { matchLabels: { team: x }, matchExpressions: [{ key: team, operator: In, values: [x] }] } } }
  tls:
    frontend:
      default: { validation: { caCertificateRefs: [{ group: '', kind: ConfigMap, name: ca }], mode: AllowValidOnly } }
      perPort: [{ port: 8443, tls: { validation: { caCertificateRefs: [{ kind: ConfigMap, name: ca, namespace: b }] } } }]
    backend: { clientCertificateRef: { group: '', kind: Secret, name: client } }
  listeners:
    - { name: http, port: 80, protocol: HTTP, hostname: '*.example', allowedRoutes: { kinds: [{ group: gateway.networking.k8s.io, kind: HTTPRoute }], namespaces: { from: Selector, selector: { matchLabels: { team: x } } } } }
    - { name: plain, port: 80, protocol: HTTP }
    - { name: https, port: 443, protocol: HTTPS, hostname: a.example, tls: { mode: Terminate, certificateRefs: [{ group: '', kind: Secret, name: cert, namespace: b }], options: { a.b/c: d } } }
    - { name: tls, port: 444, protocol: TLS, tls: { mode: Passthrough } }
    - { name: tcp, port: 445, protocol: TCP }
    - { name: udp, port: 446, protocol: UDP }
status:
  addresses: [{ type: IPAddress, value: 192.0.2.2 }]
  listeners: [{ name: http, attachedRoutes: 1, supportedKinds: [], conditions: [] }]
  conditions: [{ type: Accepted, status: 'True', reason: Accepted, message: '', lastTransitionTime: 2026-01-01T00:00:00Z, observedGeneration: 1 }]
---
kind: ListenerSet
metadata: { name: more, namespace: a, generation: 1 }
spec:
  parentRef: { group: gateway.networking.k8s.io, kind: Gateway, name: main, namespace: a }
  listeners: [{ name: extra, port: 8081, protocol: HTTP, hostname: b.example, allowedRoutes: { namespaces: { from: All } } }]
---
kind: HTTPRoute
metadata: { name: web, namespace: a, generation: 1, creationTimestamp: 2026-01-01T00:00:00Z, annotations: { portico.dev/allow-from: 10.0.0.0/8 } }
spec:
  parentRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: main, sectionName: plain, port: 80 }, { kind: ListenerSet, name: more }]
  hostnames: [a.example, '*.b.example']
  rules:
    - name: one
      matches:
        - { path: { type: PathPrefix, value: /a }, headers: [{ type: Exact, name: X-A, value: b }], queryParams: [{ type: RegularExpression, name: q, value: 'v.*' }], method: GET }
        - { path: { type: RegularExpression, value: '/b[0-9]+' } }
      filters:
        - { type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: X, value: y }], add: [{ name: Y, value: z }], remove: [Z] } }
        - { type: ResponseHeaderModifier, responseHeaderModifier: { set: [{ name: X, value: y }] } }
        - { type: URLRewrite, urlRewrite: { hostname: c.example, path: { type: ReplaceFullPath, replaceFullPath: /x } } }
        - { type: RequestMirror, requestMirror: { backendRef: { name: web, port: 80 }, percent: 50 } }
        - { type: CORS, cors: { allowOrigins: ['https://a.example'], allowMethods: [GET], allowHeaders: [X], exposeHeaders: [Y], maxAge: 5, allowCredentials: true } }
      backendRefs:
        - { group: '', kind: Service, name: web, port: 80, weight: 2, filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { remove: [A] } }] }
        - { name: web, namespace: b, port: 80, weight: 1 }
      timeouts: { request: 10s, backendRequest: 5s }
    - { filters: [{ type: RequestRedirect, requestRedirect: { scheme: https, hostname: d.example, port: 8443, statusCode: 301, path: { type: ReplacePrefixMatch, replacePrefixMatch: /y } } }] }
status:
  parents: [{ parentRef: { name: main }, controllerName: portico.dev/gateway-controller, conditions: [{ type: Accepted, status: 'True' }] }]
---
kind: GRPCRoute
metadata: { name: calls, namespace: a, generation: 1 }
spec:
  parentRefs: [{ name: main, sectionName: plain }]
  rules: [{ matches: [{ method: { type: Exact, service: a.B, method: C }, headers: [{ name: x, value: y }] }], filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: X, value: y }] } }], backendRefs: [{ name: web, port: 80 }] }]
---
kind: TLSRoute
metadata: { name: pass, namespace: a, generation: 1 }
spec: { parentRefs: [{ name: main, sectionName: tls }], hostnames: [t.example], rules: [{ backendRefs: [{ name: web, port: 80, weight: 1 }] }] }
---
kind: TCPRoute
metadata: { name: db, namespace: a, generation: 1 }
spec: { parentRefs: [{ name: main, sectionName: tcp }], rules: [{ backendRefs: [{ name: web, port: 80 }] }] }
---
kind: UDPRoute
metadata: { name: dns, namespace: a, generation: 1 }
spec: { parentRefs: [{ name: main, sectionName: udp }], rules: [{ backendRefs: [{ name: web, port: 81 }] }] }
---
kind: ReferenceGrant
metadata: { name: grant, namespace: b }
spec:
  from: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: a }, { group: gateway.networking.k8s.io, kind: Gateway, namespace: a }]
  to: [{ group: '', kind: Service, name: web }, { group: '', kind: Secret }]
---
kind: BackendTLSPolicy
metadata: { name: tls, namespace: a, generation: 1 }
spec:
  targetRefs: [{ group: '', kind: Service, name: web, sectionName: http }]
  validation: { hostname: web.example, caCertificateRefs: [{ group: '', kind: ConfigMap, name: ca }], subjectAltNames: [{ type: Hostname, hostname: web.example }, { type: URI, uri: 'spiffe://a/b' }] }
---
kind: Namespace
metadata: { name: a, labels: { team: x } }
---
kind: Service
metadata: { name: web, namespace: a }
spec: { ports: [{ name: http, port: 80, appProtocol: kubernetes.io/h2c }, { name: dns, port: 81, protocol: UDP }] }
---
kind: Service
metadata: { name: web, namespace: b }
spec: { ports: [{ port: 80 }] }
---
kind: ConfigMap
metadata: { name: ca, namespace: a }
data: { ca.crt: none }
`;

const control = parseManifests(CONTROL);
const victims = parseManifests(VICTIMS);
const GATEWAY_KINDS = victims.filter(({ kind }) => !['Service', 'ConfigMap'].includes(kind));
const SETTINGS = { ...CASE_SETTINGS, gatewayAddresses: ['192.0.2.1', '192.0.2.2', '192.0.2.9'] };
const PORT: PortKey = portKey('192.0.2.9', 9090);

type Path = readonly (string | number)[];

/** The paths of all fields below an object's own. */
function pathsOf(value: unknown, at: Path = []): readonly Path[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, each]) => {
    const path = [...at, Array.isArray(value) ? Number(name) : name];
    return [path, ...pathsOf(each, path)];
  });
}

/** What stands in the place of a field; a function makes it of what was there. */
const hostile = fc.constantFrom<unknown>(
  ...[
    undefined,
    null,
    true,
    -1,
    0,
    7,
    1e21,
    Number.NaN,
    '',
    ' ',
    'text',
    '/',
    '*',
    '\u0000',
    '💥',
    'x'.repeat(5_000),
  ],
  ...[[], [null], [[]], [7], {}, { constructor: 1 }, JSON.parse('{"__proto__":{"kind":"x"}}') as unknown],
  ...['443', 'https', 'TLS', 'All', 'Selector', 'RegularExpression', '(', 'a{900}', '99999h', '*.*.example'],
  (value: unknown) => [value],
  (value: unknown) => Array.from({ length: 200 }, () => value),
  (value: unknown) => ({ value }),
  (value: unknown) =>
    Array.isArray(value) ? Object.fromEntries(value.entries()) : `${JSON.stringify(value)}`,
);

const mutation = fc.constantFrom(...GATEWAY_KINDS).chain((change) =>
  fc
    .record({
      path: fc.constantFrom(...pathsOf(change.object)),
      by: hostile,
    })
    .map(({ path, by }): ObjectChange => {
      const object = structuredClone(change.object) as Record<string, unknown>;
      let place: Record<string | number, unknown> = object;
      for (const field of path.slice(0, -1)) place = place[field] as typeof place;
      const last = path.at(-1) ?? '';
      place[last] = typeof by === 'function' ? (by as (value: unknown) => unknown)(place[last]) : by;
      return { ...change, object } as ObjectChange;
    }),
);

/** Everything that says how the objects nobody touched are served. */
function controlled(compilation: Compilation): unknown {
  const statuses = Object.entries(describeStatuses(compilation)).filter(([key]) => key.includes(' control/'));
  return {
    port: get(compilation.table.ports, PORT),
    host: get(compilation.table.hosts, 'ingress.example'),
    problems: listProblems(compilation).filter(({ object }) => object?.namespace === 'control'),
    statuses: Object.fromEntries(statuses),
  };
}

describe('a malformed object of Gateway API', () => {
  const sound = snapshotOf([...control, ...victims]);
  const before = compile(sound, SETTINGS);

  it('fails nothing, and changes nothing for others', () => {
    expect(get(before.table.ports, PORT)).toBeDefined();
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 3 }), (changes) => {
        const snapshot = applyChanges(sound, changes);
        const after = compile(snapshot, SETTINGS, before);
        expect(after.faults).toEqual([]);
        expect(controlled(after)).toEqual(controlled(before));
        const scratch = compile(snapshot, SETTINGS);
        expect(after.table.ports).toEqual(scratch.table.ports);
        expect(describeStatuses(after)).toEqual(describeStatuses(scratch));
      }),
      { numRuns: examples(38) },
    );
  });

  it.for(['planned', 'attached'] as const)('that we fail on while it is %s is left out', (when) => {
    const change = victims.find(({ kind }) => kind === 'Gateway');
    const { metadata, spec } = asObject(change?.object);
    /** What no object can have, as a bug of ours would throw. */
    const selector = {
      get matchLabels(): never {
        throw new Error('a bug');
      },
    };
    const namespaces = { from: 'Selector', selector };
    const listener = { name: 'plain', port: 80, protocol: 'HTTP', allowedRoutes: { namespaces } };
    const more = when === 'planned' ? { allowedListeners: { namespaces } } : { listeners: [listener] };
    const object = { metadata, spec: { ...asObject(spec), ...more } };
    const broken = { ...change, object } as unknown as ObjectChange;
    const others = victims.filter((each) => each !== change);
    const after = compile(snapshotOf([...control, ...others, broken]), SETTINGS);
    expect(after.faults.map(({ error }) => String(error))).toContain('Error: a bug');
    expect(controlled(after)).toEqual(controlled(before));
  });
});
