import { setImmediate } from 'node:timers/promises';

/** After this long the event loop gets a turn: between two slices, health is answered and changes are compiled. */
const SLICE_MS = 5;
const CHUNK_CHARACTERS = 64 * 1024;

/** Runs `work` to its end in slices; a slice ends where it yields. Resolves with what it returns. */
export async function runInSlices<T>(work: Generator<unknown, T>): Promise<T> {
  let sliceEndsAt = performance.now() + SLICE_MS;
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    if (performance.now() < sliceEndsAt) continue;
    await setImmediate();
    sliceEndsAt = performance.now() + SLICE_MS;
  }
}

/** The same for work that yields text: resolves to UTF-8 chunks of some 64 KiB. */
export async function* chunksInSlices(pieces: Iterable<string>): AsyncGenerator<Buffer> {
  let text = '';
  let sliceEndsAt = performance.now() + SLICE_MS;
  for (const piece of pieces) {
    text += piece;
    if (text.length >= CHUNK_CHARACTERS) {
      yield Buffer.from(text);
      text = '';
    }
    if (performance.now() < sliceEndsAt) continue;
    await setImmediate();
    sliceEndsAt = performance.now() + SLICE_MS;
  }
  if (text !== '') yield Buffer.from(text);
}
