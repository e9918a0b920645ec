/** More of the field is not looked at. */
const LONGEST_FIELD = 1_024;

/**
 * The coding that a client likes best by its Accept-Encoding field (RFC 9110 12.5.3); of those that it likes equally the
 * first of `offered`, which is in the order of preference. Null where it takes none of them.
 */
export function preferredCoding<C extends string>(
  field: string | undefined,
  offered: readonly C[],
): C | null {
  if (field === undefined) return null;
  const weights = new Map<string, number>();
  for (const item of field.slice(0, LONGEST_FIELD).toLowerCase().split(',')) {
    const [coding = '', ...parameters] = item.split(';').map((part) => part.trim());
    const weight = parameters.find((parameter) => parameter.startsWith('q='));
    if (coding !== '') weights.set(coding, weight === undefined ? 1 : Number(weight.slice(2)) || 0);
  }
  let best: C | null = null;
  let bestWeight = 0;
  for (const coding of offered) {
    const weight =
      weights.get(coding) ?? (coding === 'gzip' ? weights.get('x-gzip') : undefined) ?? weights.get('*') ?? 0;
    if (weight > bestWeight) [best, bestWeight] = [coding, weight];
  }
  return best;
}
