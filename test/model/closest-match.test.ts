import { expect, test } from 'vitest';
import { closestMatch } from '../../src/model/closest-match.ts';

const ANNOTATIONS = [
  'portico.dev/balance',
  'portico.dev/hash-by',
  'portico.dev/client-ca-secret',
  'portico.dev/read-timeout',
];

test.each([
  ['hosts', ['host', 'http'], 'host'],
  ['tsl', ['rules', 'tls'], 'tls'],
  ['ingressClass', ['ingressClassName', 'rules'], 'ingressClassName'],
  ['ingress', ['Ingress', 'IngressClass'], 'Ingress'],
  ['portico.dev/blance', ANNOTATIONS, 'portico.dev/balance'],
  ['portico.dev/client-ca-secrets', ANNOTATIONS, 'portico.dev/client-ca-secret'],
  ['portico.dev/timeout', ANNOTATIONS, 'portico.dev/read-timeout'],
  ['portco.dev/balance', ANNOTATIONS, 'portico.dev/balance'],
  ['--workerz', ['--http-port', '--workers'], '--workers'],
  ['portico.dev/compression', ANNOTATIONS, null],
  ['portico.dev/timeout', ANNOTATIONS.slice(0, 3), null],
  ['domain', ['host', 'http'], null],
  ['x', [], null],
])('%s: %j', (name, known, meant) => {
  expect(closestMatch(name, known)).toBe(meant);
});
