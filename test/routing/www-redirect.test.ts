import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compile, listProblems } from '../../src/routing/compile/compile.ts';
import { type ObjectChange, applyChanges, snapshotOf } from '../../src/model/snapshot.ts';
import { describeTable } from '../support/table-text.ts';
import { CASES, CASE_SETTINGS, INGRESS_CLASS, parseManifests } from '../support/cases.ts';

const SECRET =
  readFileSync(`${CASES}tls-good.in.yaml`, 'utf8')
    .split('---\n')
    .find((manifest) => manifest.includes('kind: Secret')) ?? '';

function ingress(name: string, host: string, annotations = '{}', tls = ''): readonly ObjectChange[] {
  return parseManifests(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: '${name}', namespace: shop, annotations: ${annotations} }
spec:
  ingressClassName: portico
  ${tls}
  rules:
    - host: '${host}'
      http:
        paths:
          - { path: /, pathType: Prefix, backend: { service: { name: web, port: { number: 80 } } } }
`);
}

const WWW = `{ portico.dev/www-redirect: 'true' }`;
const TLS = 'tls: [{ hosts: [shop.example.com], secretName: good }]';
const start = snapshotOf([
  ...parseManifests([INGRESS_CLASS, SECRET].join('---\n')),
  ...ingress('main', 'shop.example.com', WWW, TLS),
]);

describe('a host that is redirected', () => {
  it.each(['none', 'namespace'] as const)('is given up and had again, with host ownership %s', (owner) => {
    const settings = { ...CASE_SETTINGS, hostOwnership: owner };
    let snapshot = start;
    let compilation = compile(snapshot, settings);
    const redirecting = describeTable(compilation.table);
    expect(redirecting['certificates']).toContain('www.shop.example.com: shop/good by shop/main');
    const steps = [
      ingress('taker', 'www.shop.example.com'),
      ingress('second', 'shop.example.com', WWW),
      ingress('taker', 'www.shop.example.com', WWW),
      ingress('second', 'second.example.com'),
      ingress('taker', 'taker.example.com'),
    ];
    for (const [step, changes] of steps.entries()) {
      snapshot = applyChanges(snapshot, changes);
      compilation = compile(snapshot, settings, compilation);
      const fresh = compile(snapshot, settings);
      expect(describeTable(compilation.table)).toEqual(describeTable(fresh.table));
      expect(listProblems(compilation)).toEqual(listProblems(fresh));
      const certificates = describeTable(fresh.table)['certificates'];
      const isTaken = step < steps.length - 1;
      // What has rules of its own is not given TLS because another host has it.
      expect(certificates).toEqual(
        isTaken ? ['shop.example.com: shop/good by shop/main'] : redirecting['certificates'],
      );
    }
  });
});
