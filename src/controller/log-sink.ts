import { constants, fstatSync, openSync } from 'node:fs';
import { type DestinationStream, type LevelWithSilent, type Logger, pino } from 'pino';
import { printable } from '../http/log-text.ts';

export interface LogOptions {
  readonly level: LevelWithSilent;
  readonly format: 'auto' | 'json' | 'text';
  /** 1 for standard output, 2 for standard error. */
  readonly fd: 1 | 2;
}

/** The one writer of a standard stream. A stream that nobody reads, or a full disk, costs lines and nothing else. */
export interface LogSink {
  readonly logger: Logger;
  /** Whole lines that are formatted already: the access log. `dropped` bytes of others were thrown away before. */
  lines(text: string, dropped?: number): void;
  /** Bytes that were thrown away because the stream did not take them in time. */
  droppedBytes(): number;
  /** Writes what is left, for at most `timeoutMs`. */
  end(timeoutMs: number): Promise<void>;
}

/** `"level":"warn"` rather than pino's number. */
const LEVELS_AS_WORDS = { level: (level: string) => ({ level }) };

/** What may wait for a slow reader before lines are dropped. */
const BUFFER_BYTES = 1024 * 1024;

export function openLog(options: LogOptions): LogSink {
  const opened = openWithoutBlocking(options.fd);
  const destination = pino.destination({
    fd: opened,
    sync: false,
    // Nothing is held back, and `flush` waits for the last byte only when this is not 0.
    minLength: 1,
    maxLength: BUFFER_BYTES,
    maxWrite: 64 * 1024,
  });
  let droppedBytes = 0;
  destination.on('drop', (dropped: unknown) => (droppedBytes += Buffer.byteLength(String(dropped))));
  // ENOSPC, EPIPE, EIO: there is nowhere left to say it, and serving continues.
  destination.on('error', () => {});

  const text =
    options.format === 'text' || (options.format === 'auto' && process.stdout.isTTY && process.stderr.isTTY);
  const stream: DestinationStream = text
    ? { write: (line) => void destination.write(textLine(line)) }
    : destination;
  const base = { stream: 'control' };
  const timestamp = pino.stdTimeFunctions.isoTime;
  const logger = pino({ level: options.level, base, timestamp, formatters: LEVELS_AS_WORDS }, stream);

  return {
    logger,
    lines(lines, dropped = 0) {
      droppedBytes += dropped;
      if (lines !== '') destination.write(lines);
    },
    droppedBytes: () => droppedBytes,
    async end(timeoutMs) {
      await within(timeoutMs, (done) => destination.flush(done));
      // Without this the exit hook of the library would try to write the rest, for as long as nobody reads.
      await within(timeoutMs, (done) => destination.once('close', done).destroy());
    },
  };
}

async function within(timeoutMs: number, start: (done: () => void) => void): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  start(resolve);
  await promise;
  clearTimeout(timer);
}

/**
 * The same stream by a descriptor of its own that does not block: a write to a pipe that nobody reads returns EAGAIN
 * instead of holding a thread of the pool, which would also hold the exit of the process. A file never blocks, and
 * a second descriptor would write over what the first one wrote.
 */
function openWithoutBlocking(fd: number): number {
  const stat = fstatSync(fd);
  if (!stat.isFIFO() && !stat.isCharacterDevice()) return fd;
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch {
    // Not Linux, or not ours to open.
    return fd;
  }
}

/** `12:00:00.123 WARN  message key=value …`; a line of the access log has `access` in place of the level. */
function textLine(json: string): string {
  const { level, time, stream: _, msg, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const label = String(level).toUpperCase().padEnd(5);
  const rest = Object.entries(fields).map(
    ([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return `${printable(`${String(time).slice(11, 23)} ${label} ${String(msg)}${rest.join('')}`)}\n`;
}
