import { describe, expect, it } from 'vitest';
import { clientPolicies } from '../../src/proxy/tls/client-policies.ts';
import { compile } from '../../src/routing/compile/compile.ts';
import { snapshotOf } from '../../src/model/snapshot.ts';
import { EMPTY_TABLE } from '../../src/routing/table-update.ts';
import type { ClientAuth } from '../../src/policies/client-certificate.ts';
import { loadCase } from '../support/cases.ts';

describe('what a client is asked for, by the name it gives', () => {
  const { objects, settings } = loadCase('client-certificate');
  const { table } = compile(snapshotOf(objects), settings);
  const policies = clientPolicies(() => table);
  const of = (name: string | null): ClientAuth | null => policies.of(name);
  const ours = of('ours.example.com');
  const hostless = of(null);

  it('is what its host asks for', () => {
    expect(ours).toMatchObject({ required: true, passCertificate: false });
    expect(of('nginx.example.com')).toMatchObject({ required: false, passCertificate: true });
    expect(of('OURS.example.com.')).toBe(ours);
    expect(of('a.wild.example.com')).toBe(of('b.wild.example.com'));
    expect(of('a.wild.example.com')?.policyId).not.toBe(ours?.policyId);
    expect(of('pr-7.example.com')).toBe(of('a.wild.example.com'));
    expect(of('open.wild.example.com')).toBeNull();
    expect(of('off.example.com')).toBeNull();
  });

  it('is what rules without a host ask for where no name says more', () => {
    expect(hostless).toBe(ours);
    for (const name of ['unknown.org', 'x', '', '..', '-', 'a'.repeat(300)]) expect(of(name)).toBe(hostless);
  });

  it('is nothing where no host asks', () => {
    expect(policies.any()).toBe(true);
    const nobody = clientPolicies(() => EMPTY_TABLE);
    expect([nobody.any(), nobody.of('ours.example.com')]).toEqual([false, null]);
  });
});
