import { expect, it } from 'vitest';
import { firstTaking } from '../../src/routing/request-match.ts';
import type { RequestMatch, Route } from '../../src/routing/table.ts';

function chain(...matches: (RequestMatch | undefined)[]): readonly Route[] {
  return matches.map((match, index) => ({
    path: `/${index}`,
    pathType: 'Prefix',
    ingress: 'a/r',
    field: '',
    backend: '',
    policies: null,
    ...(match && { matches: match }),
    ...(index < matches.length - 1 && { next: index + 1 }),
  }));
}

interface Asked {
  readonly method?: string;
  readonly target?: string;
  readonly fields?: Readonly<Record<string, string>>;
}

const linked = chain(
  { method: 'POST', headers: [{ name: 'x-version', value: '2' }] },
  {
    query: [
      { name: 'a', value: '1' },
      { name: 'b', value: 'x y' },
    ],
  },
  { headers: [{ name: 'x-name', value: 'v[0-9]+', isPattern: true }] },
  { isGrpc: true },
);

it.for<[what: string, asked: Asked, taken: string | undefined]>([
  ['method and header', { method: 'POST', fields: { 'x-version': '2' } }, '/0'],
  ['a header without the method', { fields: { 'x-version': '2' } }, undefined],
  ['all parameters, decoded', { target: '/?b=x%20y&a=1' }, '/1'],
  ['the first of a repeated parameter', { target: '/?a=2&a=1&b=x+y' }, undefined],
  ['a value that the whole pattern matches', { fields: { 'x-name': 'v12' } }, '/2'],
  ['a value that holds the pattern', { fields: { 'x-name': 'v12-beta' } }, undefined],
  ['an empty value', { fields: { 'x-version': '' } }, undefined],
  ['gRPC', { fields: { 'content-type': 'application/grpc+proto' } }, '/3'],
])('finds the first route that takes %s', ([, { method = 'GET', target = '/', fields = {} }, taken]) => {
  const request = { method, target, host: '', value: (name: string) => fields[name] };
  expect(firstTaking(linked[0] ?? null, linked, request)?.path).toBe(taken);
});

it('takes everything where nothing is asked for, and nothing where there is no route', () => {
  const get = { method: 'GET', target: '/', host: '' };
  const open = chain({ method: 'PUT' }, undefined);
  expect(firstTaking(open[0] ?? null, open, get)?.path).toBe('/1');
  expect(firstTaking(null, open, get)).toBeNull();
});
