import { expect, it } from 'vitest';
import { type Compilation } from '../../src/routing/compile/compilation.ts';
import { compile } from '../../src/routing/compile/compile.ts';
import { match } from '../../src/routing/match.ts';
import { entries, get } from '../../src/model/sharded-map.ts';
import { EMPTY_SNAPSHOT, type ObjectChange, type Snapshot, applyChanges } from '../../src/model/snapshot.ts';
import { CASE_SETTINGS, INGRESS_CLASS, parseManifests } from '../support/cases.ts';
import { createAuthority } from '../support/certificates.ts';

const authority = createAuthority();
const pair = authority.issue(['pod.internal']);

const SITE = `${INGRESS_CLASS}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: shop
  annotations: { portico.dev/backend-protocol: HTTPS, portico.dev/backend-ca-secret: pods }
spec:
  ingressClassName: portico
  rules:
    - host: shop.example.com
      http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: web, port: { number: 80 } } } }] }
`;

function secret(authorities: string, type = 'kubernetes.io/tls'): readonly ObjectChange[] {
  const data = { 'ca.crt': authorities, 'tls.crt': pair.certificate, 'tls.key': pair.key };
  const encoded = Object.entries(data).map(
    ([name, value]) => `  ${name}: ${Buffer.from(value).toString('base64')}`,
  );
  return parseManifests(
    `apiVersion: v1\nkind: Secret\ntype: ${type}\nmetadata: { name: pods, namespace: shop }\ndata:\n${encoded.join('\n')}\n`,
  );
}

/** Compiles step by step, and sees that it comes to the same as compiling at once. */
function steps() {
  let snapshot: Snapshot = EMPTY_SNAPSHOT;
  let compilation: Compilation | undefined;
  return (changes: readonly ObjectChange[]) => {
    snapshot = applyChanges(snapshot, changes);
    compilation = compile(snapshot, CASE_SETTINGS, compilation);
    const fresh = compile(snapshot, CASE_SETTINGS);
    expect([...entries(compilation.table.hosts)]).toEqual([...entries(fresh.table.hosts)]);
    expect([...entries(compilation.problems)]).toEqual([...entries(fresh.problems)]);
    const route = match(compilation.table, 'shop.example.com', '/');
    const codes = (get(compilation.problems, 'Ingress shop/web') ?? []).map(({ code }) => code);
    const authority = route?.policies?.configs['backend-transport']?.caCertificates;
    return { closed: route?.policies?.closed, authority, codes };
  };
}

it('nothing is served until there is something to verify pods by, and what changes counts at once', () => {
  const step = steps();
  const missing = { closed: ['backend-transport'], authority: undefined };
  expect(step(parseManifests(SITE))).toMatchObject({
    ...missing,
    codes: ['BackendCaMissing', 'ServiceNotFound'],
  });
  const there = step(secret(authority.certificate));
  expect(there.closed).toEqual([]);
  expect(there.authority?.trim()).toBe(authority.certificate.replaceAll('\r', '').trim());
  expect(there.codes).not.toContain('BackendCaMissing');

  const next = createAuthority();
  expect(
    step(secret(`${authority.certificate}\n${next.certificate}`)).authority?.match(/BEGIN/g),
  ).toHaveLength(2);
  expect(step(secret('nothing'))).toMatchObject(missing);
  // `kubectl create secret generic` makes one of type Opaque.
  expect(step(secret(authority.certificate, 'Opaque')).authority).toContain('BEGIN');
  expect(step([{ kind: 'Secret', key: 'shop/pods', object: undefined }])).toMatchObject(missing);
});

it('of what is not a certificate nothing comes into the table', () => {
  const step = steps();
  step(parseManifests(SITE));
  const { authority: taken } = step(secret(`${pair.key}\nsome words\n${authority.certificate}\n${pair.key}`));
  expect(taken).toContain('BEGIN CERTIFICATE');
  expect(taken).not.toContain('PRIVATE KEY');
  expect(taken).not.toContain('some words');
});
