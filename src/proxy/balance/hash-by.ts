import type { HashBy } from '../../policies/balance.ts';

/** The parts of a request that a consistent hash can be taken of. */
export interface Hashed {
  readonly clientAddress: string;
  readonly target: string;
  /** The value of a request field by its lower-case name. */
  field(name: string): string | undefined;
}

/** What a request is hashed by. One without the header falls back to its client, so that it still stays in one place. */
export function hashKey(hashBy: HashBy, request: Hashed): string {
  if (hashBy === 'client-ip') return request.clientAddress;
  if (hashBy === 'uri') return request.target;
  return request.field(hashBy.slice('header:'.length)) ?? request.clientAddress;
}
