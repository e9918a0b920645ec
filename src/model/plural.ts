/** A number with its noun, as a sentence has it: `1 route`, `2 routes`; `many` for a plural without a plain "s". */
export function plural(count: number, noun: string, many = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : many}`;
}
