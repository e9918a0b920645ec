import { expect, it } from 'vitest';
import { withAffinity } from '../../src/proxy/balance/affinity.ts';
import { get } from '../../src/model/sharded-map.ts';
import { type Backend, DEFAULT_POLICY, type Route } from '../../src/routing/table.ts';
import { tableOf } from '../support/proxy.ts';

const backend = get(tableOf([{ ports: [1, 2] }]).backends, 'default/app.test:80')!;
const stickyBackend: Backend = { ...backend, affinity: 'client-ip' };

function route(policy: Route['policy']): Route {
  const where = { host: 'app.test', path: '/', pathType: 'Prefix', field: 'spec.rules[0]' } as const;
  return { ...where, ingress: 'default/app', backend: backend.key, policy };
}

it('a Service without session affinity leaves the route as it is', () => {
  const plain = route(DEFAULT_POLICY);
  expect(withAffinity(plain, backend)).toBe(plain);
});

it('a Service with session affinity has a client hashed, by the same route every time', () => {
  const plain = route(DEFAULT_POLICY);
  const made = withAffinity(plain, stickyBackend);
  expect(made).toEqual({ ...plain, policy: { balance: 'consistent-hash', hashBy: 'client-ip' } });
  expect(withAffinity(plain, stickyBackend)).toBe(made);
});

it('an annotation that says what to hash by is heard, and one that names the balance wins', () => {
  const byCookie = route({ ...DEFAULT_POLICY, hashBy: 'header:cookie' });
  expect(withAffinity(byCookie, stickyBackend).policy.hashBy).toBe('header:cookie');
  const chosen = route({ ...DEFAULT_POLICY, overridesAffinity: true });
  expect(withAffinity(chosen, stickyBackend)).toBe(chosen);
});
