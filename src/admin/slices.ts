import { setImmediate } from 'node:timers/promises';

/** After this long the event loop gets a turn: between two slices, health is answered and changes are compiled. */
const SLICE_MS = 5;
const CHUNK_BYTES = 64 * 1024;
/** Of UTF-16, in UTF-8. */
const MOST_BYTES_OF_UNIT = 3;

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

/** The same for work that yields something now and then, and null where it may be interrupted. */
export async function* itemsInSlices<T>(work: Iterable<T | null>): AsyncGenerator<T> {
  let sliceEndsAt = performance.now() + SLICE_MS;
  for (const item of work) {
    if (item !== null) yield item;
    if (performance.now() < sliceEndsAt) continue;
    await setImmediate();
    sliceEndsAt = performance.now() + SLICE_MS;
  }
}

/** The same for work that yields text and bytes: resolves to chunks of at most some 64 KiB, with text in UTF-8. */
export async function* chunksInSlices(pieces: Iterable<string | Uint8Array>): AsyncGenerator<Buffer> {
  let chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  let used = 0;
  let sliceEndsAt = performance.now() + SLICE_MS;
  for (const piece of pieces) {
    const most = typeof piece === 'string' ? piece.length * MOST_BYTES_OF_UNIT : piece.length;
    if (used > 0 && used + most > CHUNK_BYTES) {
      yield chunk.subarray(0, used);
      chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      used = 0;
    }
    // Written at once: strings that grow by pieces keep the garbage collector busy.
    if (most > CHUNK_BYTES) yield typeof piece === 'string' ? Buffer.from(piece) : Buffer.from(piece);
    else if (typeof piece === 'string') used += chunk.write(piece, used);
    else {
      chunk.set(piece, used);
      used += piece.length;
    }
    if (performance.now() < sliceEndsAt) continue;
    await setImmediate();
    sliceEndsAt = performance.now() + SLICE_MS;
  }
  if (used > 0) yield chunk.subarray(0, used);
}
