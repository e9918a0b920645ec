import { Cancellation } from '../../src/http/subrequest.ts';
import { NO_CONTENT } from '../../src/http/request-content.ts';
import { expect, test } from 'vitest';
import { directConnection } from '../../src/http/connection-info.ts';
import { fieldsViewOf } from '../../src/http/head-edit.ts';
import { ResponseEdit } from '../../src/http/response-edit.ts';
import { RequestEdit, type RequestView } from '../../src/http/request-view.ts';
import type { ObjectChange } from '../../src/model/snapshot.ts';
import { snapshotOf } from '../../src/model/snapshot.ts';
import { INGRESS_NGINX } from '../../src/policies/annotation-spec.ts';
import { policyBinder } from '../../src/policies/bound-policies.ts';
import { describePolicies } from '../../src/policies/describe-policies.ts';
import { NGINX_KEYS } from '../../src/policies/ingress-nginx/keys.ts';
import type { PolicyThread } from '../../src/policies/policy.ts';
import { compile } from '../../src/routing/compile/compile.ts';
import { decide } from '../../src/routing/decide.ts';
import type { Route } from '../../src/routing/table.ts';
import { ANNOTATIONS } from '../../src/routing/ingress/annotations.ts';
import { HOSTILE_VALUES } from '../support/annotations.ts';
import { policyThread } from '../support/policy-thread.ts';
import { CASE_SETTINGS, INGRESS_CLASS, parseManifests } from '../support/cases.ts';

/** Values that a key which restricts may have without restricting anything, because nobody is meant by them. */
const MEANS_NOBODY: Readonly<Record<string, readonly unknown[]>> = {
  'configuration-snippet': ['', ' '],
  'server-snippet': ['', ' '],
  'stream-snippet': ['', ' '],
  'denylist-source-range': ['', ' ', ',', ','.repeat(100_000), ' '.repeat(100_000)],
};

const names = [
  ...NGINX_KEYS.map(({ name }) => `${INGRESS_NGINX}${name}`),
  ...ANNOTATIONS.flatMap(({ name }) => (name === null ? [] : [`portico.dev/${name}`])),
];
const RESTRICTING = new Set(
  NGINX_KEYS.filter(({ unsupported }) => unsupported.restricts).map(({ name }) => `${INGRESS_NGINX}${name}`),
);

const THREAD: PolicyThread = { ...policyThread(() => 0), send: () => new Promise(() => {}) };

function requestTo(host: string, route: Route): RequestView {
  return {
    ...{ method: 'GET', target: '/a?b=c', host, scheme: 'http', httpVersion: '1.1' },
    ...{ clientAddress: '192.0.2.1', requestId: 'id', loop: '' },
    connectionInfo: directConnection('192.0.2.1', false, 'http', 80),
    rule: { path: route.path, isPattern: false, requestPath: '/a', groups: () => null },
    body: NO_CONTENT,
    cancellation: new Cancellation(),
    noteAuth: () => {},
    value: (name) => (name === 'cookie' ? 'a=b' : undefined),
    values: (name) => (name === 'cookie' ? ['a=b'] : []),
    allFields: () => [['cookie', 'a=b']] as const,
  } as RequestView;
}

test('no value of any annotation fails, or opens what its key restricts', () => {
  const cases = names.flatMap((name, key) =>
    HOSTILE_VALUES.map((value, index) => ({ name, value, host: `k${key}.v${index}.test` })),
  );
  const objects = cases.map(({ name, value, host }): ObjectChange => {
    const paths = [
      { path: '/a', pathType: 'Prefix', backend: { service: { name: 'web', port: { number: 80 } } } },
    ];
    const object = {
      metadata: { name: host, namespace: host.split('.')[1], annotations: { [name]: value } },
      spec: { ingressClassName: 'portico', rules: [{ host, http: { paths } }] },
    };
    const key = `${object.metadata.namespace}/${host}`;
    return { kind: 'Ingress', key, object } as unknown as ObjectChange;
  });
  const snapshot = snapshotOf([...parseManifests(INGRESS_CLASS), ...objects]);
  const { table, faults } = compile(snapshot, CASE_SETTINGS);
  expect(faults).toEqual([]);

  const bind = policyBinder(THREAD);
  const open: string[] = [];
  let routes = 0;
  for (const { name, value, host } of cases) {
    const { route } = decide(table, { method: 'GET', target: '/a?b=c', host });
    // A misspelt canary makes none, for one.
    if (route === null) continue;
    routes++;
    const request = requestTo(host, route);
    describePolicies(route.policies);
    const bound = bind(route.policies);
    for (const policy of bound.onRequest) void policy.onRequest?.(request, new RequestEdit(request));
    for (const policy of bound.onResponse) policy.onResponse?.(new ResponseEdit(fieldsViewOf([])), request);
    const short = name.slice(INGRESS_NGINX.length);
    if (RESTRICTING.has(name) && route.policies === null && !MEANS_NOBODY[short]?.includes(value))
      open.push(`${short}: ${JSON.stringify(value)?.slice(0, 40)}`);
  }
  expect(open).toEqual([]);
  expect(routes).toBeGreaterThan(0.9 * cases.length);
  expect(cases.length).toBeGreaterThan(3_000);
});
