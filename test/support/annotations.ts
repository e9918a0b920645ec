import { ObjectReader } from '../../src/model/object-reader.ts';
import { EMPTY_SNAPSHOT, type Snapshot } from '../../src/model/snapshot.ts';
import { type Annotations, readAnnotations } from '../../src/routing/ingress/annotations.ts';

/** What the annotations of Ingress shop/web ask for. */
export function readAnnotationsOf(
  annotations: Readonly<Record<string, unknown>>,
  snapshot: Snapshot = EMPTY_SNAPSHOT,
): Annotations {
  const reference = { kind: 'Ingress', namespace: 'shop', name: 'web' };
  return readAnnotations({ metadata: { annotations } }, reference, new ObjectReader(snapshot));
}

/** Values that no annotation may fail, throw or take long for. */
export const HOSTILE_VALUES: readonly unknown[] = [
  ...[
    '',
    ' ',
    ',',
    '\u0000',
    '\r\nX-Evil: 1',
    '__proto__',
    'é',
    '\ud800',
    '$1',
    '%',
    '%zz',
    '{{',
    '*',
    '(a+)+$',
  ],
  ...['a', '/', ',', '(', '*.', ' ', ':', 'http://'].map((text) => text.repeat(100_000)),
  ...[7, 0, -1, Number.NaN, true, null, [], {}, { toString: 'no' }],
];
