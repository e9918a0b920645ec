import { setImmediate } from 'node:timers/promises';

/** After this long the event loop has a turn: health is answered and changes are compiled between two slices. */
const SLICE_MS = 5;
const CHUNK_CHARACTERS = 64 * 1024;

/** Runs `work` to its end. It may be interrupted wherever it yields. */
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

/** The same for work that writes text: each piece may be followed by an interruption. */
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
