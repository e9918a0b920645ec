import { cidrsOf } from '../../src/policies/cidrs.ts';
import { expect, test } from 'vitest';
import { HOSTILE_VALUES, readAnnotationsOf } from '../support/annotations.ts';

const NGINX = 'nginx.ingress.kubernetes.io/';

function read(annotations: Readonly<Record<string, unknown>>) {
  const { policies, problems } = readAnnotationsOf(annotations);
  return {
    config: policies?.configs['source-ranges'] ?? null,
    closed: policies?.closed ?? [],
    problems: problems.map(({ code }) => code),
  };
}

test.each([
  [
    { 'portico.dev/allow-from': '10.0.0.0/8 , 2001:db8::1,' },
    { allow: cidrsOf(['10.0.0.0/8', '2001:db8::1']), deny: null },
  ],
  [{ [`${NGINX}allowlist-source-range`]: '10.0.0.1' }, { allow: cidrsOf(['10.0.0.1']), deny: null }],
  [{ [`${NGINX}whitelist-source-range`]: '10.0.0.1' }, { allow: cidrsOf(['10.0.0.1']), deny: null }],
  [{ [`${NGINX}denylist-source-range`]: '10.0.0.1' }, { allow: null, deny: cidrsOf(['10.0.0.1']) }],
  // Everybody, which is nothing to do.
  [{ 'portico.dev/allow-from': '0.0.0.0/0,::/0' }, null],
  [{ 'portico.dev/allow-from': '0.0.0.0/1,128.0.0.0/1' }, null],
  [{ 'portico.dev/deny-from': ' ' }, null],
  [
    { 'portico.dev/allow-from': '0.0.0.0/0', 'portico.dev/deny-from': '::1' },
    { allow: null, deny: cidrsOf(['::1']) },
  ],
])('%j is read', (annotations, config) => {
  expect(read(annotations)).toEqual({ config, closed: [], problems: [] });
});

test('a deny list of everybody lets nobody in', () => {
  expect(read({ 'portico.dev/deny-from': '0.0.0.0/0,::/0' }).config).toEqual({
    allow: null,
    deny: cidrsOf(['0.0.0.0/0', '::/0']),
  });
});

test.each(['allow-from', 'deny-from'])('%s: what cannot be read closes, whatever it is', (name) => {
  const values = [
    'office',
    '10.0.0.0/33',
    '10.0.0.0/',
    '010.0.0.1',
    '10.0.0.1-10.0.0.9',
    'fe80::1%eth0',
    '10.0.0.0/8;::1',
  ];
  for (const value of [...values, ...HOSTILE_VALUES]) {
    const { config, closed, problems } = read({ [`portico.dev/${name}`]: value });
    const isEmptyList = typeof value === 'string' && /^[ ,]*$/.test(value);
    if (isEmptyList && name === 'deny-from') expect([config, closed, problems]).toEqual([null, [], []]);
    else expect([config, closed, problems]).toEqual([null, ['source-ranges'], ['AnnotationInvalid']]);
  }
});

test('a list has a bound, and one beyond it closes', () => {
  const list = (length: number): string =>
    Array.from({ length }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`).join(',');
  expect(read({ 'portico.dev/allow-from': list(4096) }).config?.allow?.count).toBe(4096);
  expect(read({ 'portico.dev/allow-from': list(4097) }).closed).toEqual(['source-ranges']);
});

test('a typing error in the name closes', () => {
  expect(read({ 'portico.dev/deny-form': '10.0.0.0/8' }).closed).toEqual(['source-ranges']);
  expect(read({ 'portico.dev/allow-ips': '10.0.0.0/8' }).closed).toEqual(['source-ranges']);
});
