import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ObjectReader } from '../../src/model/object-reader.ts';
import type { Secret } from '../../src/model/objects.ts';
import { EMPTY_SNAPSHOT, applyChanges } from '../../src/model/snapshot.ts';
import { namesOf } from '../../src/policies/annotation-spec.ts';
import { balanceOf } from '../../src/policies/balance.ts';
import type { PolicyModule } from '../../src/policies/policy.ts';
import { samePolicies } from '../../src/policies/policy-set.ts';
import { POLICIES } from '../../src/policies/registry.ts';
import { ANNOTATIONS, type Annotations, readAnnotations } from '../../src/routing/ingress/annotations.ts';

const [, ca = ''] =
  /ca\.crt: (\S+)/.exec(
    readFileSync(join(import.meta.dirname, '../cases/client-certificate.in.yaml'), 'utf8'),
  ) ?? [];
const object = { type: 'kubernetes.io/tls', data: { 'ca.crt': ca } } as unknown as Secret;
/** Users in either form of a password file. */
const users = {
  data: { auth: Buffer.from('{PLAIN}a:{PLAIN}b').toString('base64') },
} as unknown as Secret;
const snapshot = applyChanges(EMPTY_SNAPSHOT, [
  { kind: 'Secret', key: 'shop/clients', object },
  { kind: 'Secret', key: 'shop/users', object: users },
]);

function read(annotations: Readonly<Record<string, unknown>>): Annotations {
  const reference = { kind: 'Ingress', namespace: 'shop', name: 'web' };
  return readAnnotations({ metadata: { annotations } }, reference, new ObjectReader(snapshot));
}

/** What must stand beside an annotation for it to mean something. */
function beside(name: string): Record<string, string> {
  if (name.startsWith('portico.dev/client-')) return { 'portico.dev/client-ca-secret': 'clients' };
  if (/^portico.dev\/(?:affinity-|session-cookie-)/.test(name)) return { 'portico.dev/affinity': 'cookie' };
  if (/^portico.dev\/(?:auth-(?!url)|global-auth)|auth-always/.test(name))
    return { 'portico.dev/auth-url': 'http://auth.test/' };
  if (/\/backend-tls-(?!secret)/.test(name)) return { 'portico.dev/backend-tls-secret': 'clients' };
  if (/\/(?:basic-auth|auth-type)/.test(name)) return { 'portico.dev/basic-auth-secret': 'users' };
  if (name === 'portico.dev/www-redirect-status') return { 'portico.dev/www-redirect': 'true' };
  return name === 'portico.dev/location-to' ? { 'portico.dev/location-from': '/' } : {};
}

const literals = ANNOTATIONS.flatMap((spec) =>
  [...spec.values.matchAll(/`([^`]+)`/g)].map(([, value = '']) => [namesOf(spec)[0] ?? '', value] as const),
);

test.each(literals)('%s takes %s, as the reference says', (name, value) => {
  expect(read({ ...beside(name), [name]: value }).problems).toEqual([]);
});

test.each(
  ANNOTATIONS.filter(({ name }) => name !== null).map((spec) => [namesOf(spec)[0] ?? '', spec] as const),
)('%s: a value that is not valid is said, and closes where the policy closes', (name, spec) => {
  for (const value of ['\u0000', '"../..', 7, null, { a: 1 }]) {
    const { policies, problems } = read({ ...beside(name), [name]: value });
    expect(problems.map(({ field }) => field)).toContain(`metadata.annotations[${name}]`);
    const policy = POLICIES.find(({ annotations }) => annotations.includes(spec));
    const severities = new Set(problems.map(({ severity }) => severity));
    if (policies?.closed.length) expect([policy?.whenInvalid, ...severities]).toContain('close');
    // What a policy that closes only warns of costs nothing but itself.
    else if (policy?.whenInvalid === 'close') expect([...severities]).toEqual(['warning']);
  }
});

test('without annotations there is no policy set, and balance is as the Service says', () => {
  expect(read({}).policies).toBeNull();
  expect([balanceOf(undefined, false), balanceOf(undefined, true)]).toEqual([
    'round-robin',
    'consistent-hash',
  ]);
  const hashed = read({ 'portico.dev/hash-by': 'header:Cookie' }).policies?.configs.balance;
  expect(hashed?.hashBy).toBe('header:cookie');
  expect([balanceOf(hashed, false), balanceOf(hashed, true)]).toEqual(['round-robin', 'consistent-hash']);
  const chosen = read({ 'portico.dev/balance': 'round-robin' }).policies?.configs.balance;
  expect(balanceOf(chosen, true)).toBe('round-robin');
});

test('sets that ask for the same have the same id, whatever the order, and no others', () => {
  const a = { 'portico.dev/balance': 'ewma', 'portico.dev/backend-protocol': 'HTTPS' };
  const b = { 'portico.dev/backend-protocol': 'https', 'portico.dev/balance': 'EWMA' };
  expect(samePolicies(read(a).policies, read(b).policies)).toBe(true);
  expect(
    samePolicies(read(a).policies, read({ ...a, 'portico.dev/backend-protocol': 'HTTP' }).policies),
  ).toBe(false);
  expect(samePolicies(read({}).policies, null)).toBe(true);
});

test('what is read for a policy is recorded, whether it is there or not', () => {
  const objects = new ObjectReader(snapshot);
  const annotations = { 'portico.dev/client-ca-secret': 'clients', 'portico.dev/backend-ca-secret': 'none' };
  readAnnotations(
    { metadata: { annotations } },
    { kind: 'Ingress', namespace: 'shop', name: 'web' },
    objects,
  );
  expect(objects.dependencies()).toEqual(['Secret shop/clients', 'Secret shop/none']);
});

test('a route of Gateway API can have each policy that is not of Ingresses alone', () => {
  const golden = readFileSync(join(import.meta.dirname, '../cases/gateway-annotations.out.yaml'), 'utf8');
  const missing = (POLICIES as readonly PolicyModule[]).filter(
    ({ name, annotations, ofIngressesOnly }) =>
      annotations.some((spec) => spec.name !== null) &&
      !ofIngressesOnly &&
      !golden.includes(` ${name}: `) &&
      !golden.includes(`[${name}: `),
  );
  expect(missing.map(({ name }) => name)).toEqual([]);
});
