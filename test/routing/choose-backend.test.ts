import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RequestFacts } from '../../src/http/request-facts.ts';
import type { CanaryConfig } from '../../src/policies/canary.ts';
import { chooseBackend } from '../../src/routing/choose-backend.ts';
import { compile } from '../../src/routing/compile/compile.ts';
import { explain } from '../../src/routing/explanation.ts';
import { snapshotOf } from '../../src/model/snapshot.ts';
import type { WeightedBackend } from '../../src/routing/table.ts';
import { aRoute } from '../proxy/an-exchange.ts';
import { loadCase } from '../support/cases.ts';
import { examples } from '../support/examples.ts';

const REQUEST: RequestFacts = { method: 'GET', target: '/', host: 'app.test' };

function backend(key: string, weight: number, conditions?: Partial<CanaryConfig>): WeightedBackend {
  const { header = null, cookie = null } = conditions ?? {};
  const route = { ...aRoute('shop/web'), backend: key };
  const canary = conditions ? { ingress: `shop/${key}`, conditions: { header, cookie }, route } : null;
  return { key, weight, canary };
}

function withFields(fields: Readonly<Record<string, string>>, random = 0): RequestFacts {
  return { ...REQUEST, random, value: (name) => fields[name] };
}

describe('chooseBackend', () => {
  it('gives each backend its share, whatever their number', () => {
    const weights = fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(weights, (weights) => {
        const backends = weights.map((weight, index) => backend(`${index}`, weight));
        const sum = weights.reduce((a, b) => a + b, 0);
        const counts = weights.map(() => 0);
        // One draw in the middle of each part of the sum.
        for (let part = 0; part < sum; part++) {
          const chosen = chooseBackend(backends, { ...REQUEST, random: (part + 0.5) / sum });
          counts[Number(chosen?.key)]! += 1;
        }
        expect(counts).toEqual(weights);
        if (sum === 0) expect(chooseBackend(backends, REQUEST)).toBeNull();
      }),
      { numRuns: examples(25) },
    );
  });

  const conditions = { header: { name: 'x-canary', takes: { kind: 'always' } }, cookie: 'canary' } as const;

  it.each<[string, Readonly<Record<string, string>>, string]>([
    ['a header field before a cookie', { 'x-canary': 'always', cookie: 'canary=never' }, 'next'],
    ['a header field that keeps away', { 'x-canary': 'never', cookie: 'canary=always' }, 'main'],
    [
      'a cookie after a header field that says neither',
      { 'x-canary': 'Always', cookie: 'canary=always' },
      'next',
    ],
    ['a cookie among others', { cookie: 'a=b;  canary=never; canary=always' }, 'main'],
    ['a cookie of a longer name', { cookie: 'a=canary=always; canary2=never; xcanary=never' }, 'weight'],
    ['neither', {}, 'weight'],
  ])('asks %s', (_, fields, expected) => {
    const backends = [backend('main', 50), backend('next', 50, conditions)];
    const chosen = [0.1, 0.9].map((random) => chooseBackend(backends, withFields(fields, random))?.key);
    expect(chosen).toEqual(expected === 'weight' ? ['main', 'next'] : [expected, expected]);
  });

  it('keeps a request away although the canary has all the weight', () => {
    const backends = [backend('main', 0), backend('next', 100, conditions)];
    expect(chooseBackend(backends, withFields({}))?.key).toBe('next');
    // Nothing is left to choose from; who decides falls back to the main backend.
    expect(chooseBackend(backends, withFields({ cookie: 'canary=never' }))).toBeNull();
  });
});

it('explain says how a route is split', () => {
  const { objects, settings } = loadCase('annotation-canary');
  const { steps, outcome } = explain(compile(snapshotOf(objects), settings), {
    scheme: 'http',
    host: 'shop.example.com',
    path: '/',
  });
  expect(steps.at(-1)).toBe(
    'Canary shop/canary sends requests to shop/next:80: by header x-canary, then cookie canary, and otherwise 0 of 100 at random.',
  );
  expect(outcome).toMatchObject({ kind: 'forward', backend: { key: 'shop/web:80' } });
});
