import { expect, it } from 'vitest';
import type { NameFault } from '../../src/model/name-fault.ts';
import { entries, mapOf } from '../../src/model/sharded-map.ts';
import { snapshotOf } from '../../src/model/snapshot.ts';
import { type Compilation, compile, listProblems } from '../../src/routing/compile/compile.ts';
import { loadCase } from '../support/cases.ts';

it('a name that does not resolve is a problem of its Service, for as long as the Service has the name', () => {
  const { objects, settings } = loadCase('external-name');
  const snapshot = snapshotOf(objects);
  const before = compile(snapshot, settings);
  const withFault = (fault: NameFault): Compilation => {
    const next = { ...snapshot, nameFaults: mapOf([['shop/bare', fault]]) };
    const compiled = compile(next, settings, before);
    expect([...entries(compiled.problems)]).toEqual([...entries(compile(next, settings).problems)]);
    expect(compiled.table).toBe(before.table);
    return compiled;
  };
  const fault = { host: 'api.example.org', reason: 'does not resolve (ENOTFOUND)', keepsAddresses: false };
  const found = withFault(fault);
  expect(listProblems(found)).toEqual([
    expect.objectContaining({
      code: 'ExternalNameUnresolved',
      object: expect.objectContaining({ kind: 'Service', name: 'bare' }) as object,
      field: 'spec.externalName',
      message:
        'The name "api.example.org" does not resolve (ENOTFOUND); requests get 503 until that is fixed.',
    }),
  ]);
  expect(listProblems(withFault({ ...fault, host: 'other.example.org' }))).toEqual([]);
  expect(listProblems(compile(snapshot, settings, found))).toEqual([]);
});
