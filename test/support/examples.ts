/** So many times as many examples of each property: `npm run test:stress` asks for more than a run that somebody waits for. */
const FACTOR = Number(process.env['PORTICO_TEST_EXAMPLES'] ?? 1);

/** How many examples of a property are tried. */
export function examples(count: number): number {
  return Math.ceil(count * FACTOR);
}
