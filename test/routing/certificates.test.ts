import { describe, expect, it } from 'vitest';
import { type Compilation, compile, listProblems } from '../../src/routing/compile/compile.ts';
import { entries, get } from '../../src/model/sharded-map.ts';
import { type ObjectChange, applyChanges, snapshotOf } from '../../src/model/snapshot.ts';
import { CASE_SETTINGS, loadCase, loadCases } from '../support/cases.ts';

function caseNamed(name: string): {
  objects: readonly ObjectChange[];
  compiledAt: (now: string) => Compilation;
} {
  const { objects, settings } = loadCase(name);
  return {
    objects,
    compiledAt: (now) => compile(snapshotOf(objects), { ...settings, now: Date.parse(now) }),
  };
}

function codes(compilation: Compilation): readonly string[] {
  return listProblems(compilation).map(({ code }) => code);
}

describe('certificates', () => {
  it('become a problem when their time has passed, without any change in the cluster', () => {
    const { compiledAt } = caseNamed('tls-expired');
    const fresh = compiledAt('2026-02-01T00:00:00Z');
    expect(codes(fresh)).toEqual([]);
    const at = (now: string): Compilation =>
      compile(fresh.snapshot, { ...fresh.settings, now: Date.parse(now) }, fresh);
    expect(codes(at('2026-02-28T00:00:00Z'))).toEqual([]);
    expect(codes(at('2026-03-02T00:00:00Z'))).toEqual(['CertificateNotValid']);
    expect(at('2026-03-02T00:00:00Z').table).toBe(fresh.table);
    expect(codes(at('2024-01-01T00:00:00Z'))).toEqual(['CertificateNotValid']);
  });

  it('are not said to be missing where the right to read them is', () => {
    const ingress = {
      metadata: { namespace: 'shop', name: 'web', annotations: { 'portico.dev/client-ca-secret': 'ca' } },
      spec: {
        ingressClassName: 'portico',
        tls: [{ hosts: ['shop.test'], secretName: 'tls' }],
        rules: [{ host: 'shop.test' }],
      },
    };
    const ingressClass = { spec: { controller: CASE_SETTINGS.controllerName } };
    const snapshot = snapshotOf([
      { kind: 'Ingress', key: 'shop/web', object: ingress as never },
      { kind: 'IngressClass', key: 'portico', object: ingressClass as never },
    ]);
    const said = (forbiddenSecrets: readonly string[], previous?: Compilation): Compilation =>
      compile(snapshot, { ...CASE_SETTINGS, forbiddenSecrets }, previous);
    const reasons = (compilation: Compilation): readonly string[] =>
      listProblems(compilation)
        .filter(({ code }) => code === 'SecretNotFound' || code === 'ClientCaMissing')
        .map(({ message }) => message.slice(0, message.indexOf(':')))
        .toSorted();
    const forbidden = ['Portico may not read Secret shop/ca', 'Portico may not read Secret shop/tls'];
    expect(reasons(said(['*']))).toEqual(forbidden);
    expect(reasons(said(['shop'], said([])))).toEqual(forbidden);
    expect(reasons(said(['other']))).toEqual([
      expect.stringMatching(/^There is no Secret shop\/ca with a certificate/),
      'There is no Secret shop/tls of type kubernetes.io/tls',
    ]);
  });

  it('follow their Secret as it comes, changes and goes', () => {
    const { objects, compiledAt } = caseNamed('tls-good');
    const served = compiledAt('2026-06-01T00:00:00Z');
    const secret = objects.find((change) => change.kind === 'Secret');
    if (secret?.kind !== 'Secret') throw new Error('the case has no Secret');
    const step = (from: Compilation, object: typeof secret.object): Compilation => {
      return compile(applyChanges(from.snapshot, [{ ...secret, object }]), from.settings, from);
    };
    expect(get(served.table.certificates, 'shop.example.com')?.secret).toBe('shop/good');

    const gone = step(served, undefined);
    expect(get(gone.table.certificates, 'shop.example.com')).toMatchObject({
      secret: null,
      ingress: 'shop/web',
    });
    expect(gone.keys.size).toBe(0);
    expect(codes(gone)).toEqual(['SecretNotFound', 'SecretNotFound']);
    expect(gone.table.hosts).toBe(served.table.hosts);

    const back = step(gone, secret.object);
    expect(codes(back)).toEqual([]);
    expect(back.table.certificates).toEqual(served.table.certificates);
    expect(back.keys).toEqual(served.keys);

    const { object } = secret;
    const labelled = step(served, { ...object, metadata: { ...object?.metadata, labels: { a: 'b' } } });
    expect(labelled.keys).toBe(served.keys);
  });

  it('bring the keys of the Secrets that serve a host, and of no others', () => {
    const { objects, compiledAt } = caseNamed('tls-good');
    const { keys } = compiledAt('2026-06-01T00:00:00Z');
    expect([...entries(keys)].map(([secret]) => secret)).toEqual(['shop/good']);
    expect(get(keys, 'shop/good')?.key).toMatch(/^-----BEGIN [A-Z ]*PRIVATE KEY-----/);
    expect(get(keys, 'shop/good')?.certificate).toMatch(/^-----BEGIN CERTIFICATE-----/);

    const withoutIngress = objects.filter(({ kind }) => kind !== 'Ingress');
    expect(compile(snapshotOf(withoutIngress), CASE_SETTINGS).keys.size).toBe(0);
    for (const name of ['tls-key-mismatch', 'tls-not-covering', 'tls-secret-malformed'])
      expect(caseNamed(name).compiledAt('2026-06-01T00:00:00Z').keys.size, name).toBe(0);
  });

  it('may come from a default Secret that no Ingress names', () => {
    const { objects } = caseNamed('tls-good');
    const withoutIngress = objects.filter(({ kind }) => kind !== 'Ingress');
    const settings = { ...CASE_SETTINGS, defaultTlsSecret: 'shop/good' };
    const served = compile(snapshotOf(withoutIngress), settings);
    expect(get(served.table.certificates, '')).toMatchObject({ host: '', secret: 'shop/good', ingress: '' });
    expect(served.keys.size).toBe(1);
    expect(codes(served)).toEqual([]);

    const missing = compile(snapshotOf([]), settings);
    expect(missing.table.certificates.size).toBe(0);
    expect(listProblems(missing)).toMatchObject([
      { code: 'SecretNotFound', object: { kind: 'Secret', namespace: 'shop', name: 'good' } },
    ]);
    const come = compile(applyChanges(missing.snapshot, withoutIngress), settings, missing);
    expect(codes(come)).toEqual([]);
    expect(come.table.certificates).toEqual(served.table.certificates);
  });

  it('are asked for by an entry without a Secret, with whatever certificate there is', () => {
    const { objects } = caseNamed('tls-good');
    const bare = objects.map((change) => {
      if (change.kind !== 'Ingress' || !change.object?.spec) return change;
      const tls = [{ hosts: ['shop.example.com'] }];
      return { ...change, object: { ...change.object, spec: { ...change.object.spec, tls } } };
    });
    const compilation = compile(snapshotOf(bare), CASE_SETTINGS);
    expect(get(compilation.table.certificates, 'shop.example.com')?.secret).toBe(null);
    expect(codes(compilation)).toEqual([]);
    expect(compilation.keys.size).toBe(0);
  });

  it('keep their keys out of the table and out of every problem', () => {
    for (const { objects, settings } of loadCases().filter(({ name }) => name.startsWith('tls-'))) {
      const compilation = compile(snapshotOf(objects), settings);
      const said = JSON.stringify([listProblems(compilation), [...entries(compilation.table.certificates)]]);
      for (const change of objects) {
        if (change.kind !== 'Secret') continue;
        const key = change.object?.data?.['tls.key'];
        if (key) expect(said).not.toContain(key.slice(0, 20));
      }
      expect(said).not.toMatch(/PRIVATE KEY|LS0tLS1/);
    }
  });
});
