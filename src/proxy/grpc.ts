/** What Portico reads of gRPC over HTTP/2. */

/** Whether a response is of a gRPC call: `application/grpc`, with a suffix or without. `fields` are names and values in turns. */
export function isGrpc(fields: readonly string[]): boolean {
  for (let i = 0; i < fields.length; i += 2)
    if (fields[i] === 'content-type' && GRPC.test(fields[i + 1] ?? '')) return true;
  return false;
}

const GRPC = /^application\/grpc/i;

const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};
/** A timer that is set for longer fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The time that a call has from its beginning, in milliseconds: of the value of `grpc-timeout`; null when it has none. */
export function callTimeoutMs(timeout: string | undefined): number | null {
  const written = /^(\d{1,8})([HMSmun])$/.exec(timeout ?? '');
  const unit = UNIT_MS[written?.[2] ?? ''];
  if (!written || unit === undefined) return null;
  return Math.min(Math.ceil(Number(written[1]) * unit), LONGEST_TIMER_MS);
}
