import { expect, test } from 'vitest';
import { preferredCoding } from '../../src/http/accept-encoding.ts';
import { ObjectReader } from '../../src/model/object-reader.ts';
import { EMPTY_SNAPSHOT } from '../../src/model/snapshot.ts';
import type { GlobalDefaults } from '../../src/policies/global-defaults.ts';
import { readAnnotations } from '../../src/routing/ingress/annotations.ts';

const USUAL = { minLength: 1024, types: null };

function codings(annotations: Readonly<Record<string, string>>, defaults: GlobalDefaults = {}): unknown {
  const reference = { kind: 'Ingress', namespace: 'shop', name: 'web' };
  const objects = new ObjectReader(EMPTY_SNAPSHOT);
  const { policies } = readAnnotations({ metadata: { annotations } }, reference, objects, defaults);
  return policies?.configs.compression?.codings ?? null;
}

test('an Ingress says what it is compressed with, and wins over the options of the ConfigMap', () => {
  const options = { 'use-gzip': 'true', 'enable-brotli': 'true', 'gzip-types': 'text/css application/json' };
  expect(codings({})).toBeNull();
  expect(codings({ 'portico.dev/compress': 'br' }, options)).toEqual([{ coding: 'br', level: 4, ...USUAL }]);
  expect(codings({ 'portico.dev/compress': 'off' }, options)).toBeNull();
  expect(codings({}, options)).toEqual([
    { coding: 'br', level: 4, minLength: 20, types: null },
    { coding: 'gzip', level: 1, minLength: 256, types: ['text/html', 'text/css', 'application/json'] },
  ]);
  expect(codings({}, { 'use-gzip': 'true', 'gzip-level': '9', 'gzip-min-length': '0' })).toEqual([
    { coding: 'gzip', level: 9, minLength: 0, types: null },
  ]);
  expect(codings({}, { 'use-gzip': 'false', 'gzip-level': '9' })).toBeNull();
});

test.each([
  [undefined, null],
  ['gzip', 'gzip'],
  ['x-gzip', 'gzip'],
  ['GZIP;Q=1, Br', 'br'],
  ['*', 'zstd'],
  ['*;q=0, gzip', 'gzip'],
  ['identity, zstd;q=0.001', 'zstd'],
  ['zstd;q=nonsense, br;q=', null],
  [`${'a,'.repeat(1_000)}gzip`, null],
])('of %s the coding is %s', (field, coding) => {
  expect(preferredCoding(field, ['zstd', 'br', 'gzip'])).toBe(coding);
});
