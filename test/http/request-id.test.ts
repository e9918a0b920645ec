import { expect, it } from 'vitest';
import { newRequestId } from '../../src/http/request-id.ts';

it('is a random UUID of version 4, and never the same twice', () => {
  const ids = Array.from({ length: 1_000 }, newRequestId);
  for (const id of ids) {
    expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  }
  expect(new Set(ids).size).toBe(ids.length);
  for (let place = 0; place < 36; place++) {
    // Each of the 16 digits comes at each place that is free, and four at the variant's.
    const digits = new Set(ids.map((id) => id[place]));
    const expected = [8, 13, 14, 18, 23].includes(place) ? 1 : place === 19 ? 4 : 16;
    expect([place, digits.size]).toEqual([place, expected]);
  }
});
