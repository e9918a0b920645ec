import { expect, test } from 'vitest';
import { HOSTILE_VALUES, readAnnotationsOf } from '../support/annotations.ts';

const NGINX = 'nginx.ingress.kubernetes.io/';

function read(annotations: Readonly<Record<string, unknown>>) {
  const { policies, problems } = readAnnotationsOf(annotations);
  return [policies?.configs['ssl-redirect']?.when, problems.map(({ code }) => code)];
}

test('an Ingress says always or never, or leaves it to the host', () => {
  expect(read({ 'portico.dev/ssl-redirect': 'true' })).toEqual([undefined, []]);
  expect(read({ 'portico.dev/ssl-redirect': 'false', [`${NGINX}force-ssl-redirect`]: 'true' })).toEqual([
    'never',
    [],
  ]);
  expect(read({ 'portico.dev/ssl-redirect': 'always', [`${NGINX}ssl-redirect`]: 'false' })).toEqual([
    'always',
    [],
  ]);
  expect(read({ [`${NGINX}ssl-redirect`]: 'F' })).toEqual(['never', []]);
  expect(read({ [`${NGINX}ssl-redirect`]: 'f', [`${NGINX}force-ssl-redirect`]: '1' })).toEqual([
    'always',
    [],
  ]);
});

test.each(['portico.dev/ssl-redirect', `${NGINX}ssl-redirect`, `${NGINX}force-ssl-redirect`])(
  '%s: what cannot be read is said, and leaves it to the host',
  (name) => {
    for (const value of ['yes', 'no', 'never', 'off', ...HOSTILE_VALUES]) {
      expect(read({ [name]: value })).toEqual([undefined, ['AnnotationInvalid']]);
    }
  },
);
