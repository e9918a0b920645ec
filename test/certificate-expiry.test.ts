import { expect, it } from 'vitest';
import { type CertificateExpiry, boundedExpiries } from '../src/controller/certificate-expiry.ts';

function bounded(all: readonly CertificateExpiry[]): readonly CertificateExpiry[] {
  const work = boundedExpiries(all);
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

function hosts(namespace: string, count: number): CertificateExpiry[] {
  return Array.from({ length: count }, (_, index) => ({
    host: `h${index}.${namespace}.test`,
    secret: `${namespace}/tls`,
    notAfter: 10_000 - index,
  }));
}

it('hosts beyond the limit of their namespace are one, with the earliest expiry', () => {
  const all = [...hosts('a', 2_010), ...hosts('b', 3)];
  const result = bounded(all);
  expect(result.slice(0, 2_000)).toEqual(all.slice(0, 2_000));
  expect(result.slice(2_000)).toEqual([
    ...all.slice(2_010),
    { host: '_other', secret: 'a/_other', notAfter: 10_000 - 2_009 },
  ]);
});

it('hosts beyond the limit of the cluster are one', () => {
  const all = Array.from({ length: 7 }, (_, index) => hosts(`n${index}`, 1_500)).flat();
  const result = bounded(all);
  expect(result.slice(0, 10_000)).toEqual(all.slice(0, 10_000));
  expect(result.slice(10_000)).toEqual([
    { host: '_other', secret: '_other/_other', notAfter: 10_000 - 1_499 },
  ]);
});
