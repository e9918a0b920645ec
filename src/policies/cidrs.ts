import { type RangeList, rangeList } from '../http/address-ranges.ts';
import { listed } from './annotation-reader.ts';

/** The addresses that a list of ranges names, ready to be looked up; of its text only the beginning is kept. */
export interface Cidrs {
  readonly count: number;
  /** The first ones as they are written. */
  readonly shown: readonly string[];
  readonly ranges: RangeList;
}

const SHOWN = 3;

/** Of ranges that are valid; null for none at all. */
export function cidrsOf<T extends readonly string[] | null>(cidrs: T): T extends null ? null : Cidrs;
export function cidrsOf(cidrs: readonly string[] | null): Cidrs | null {
  return cidrs && { count: cidrs.length, shown: cidrs.slice(0, SHOWN), ranges: rangeList(cidrs) };
}

/** `10.0.0.0/8, 192.0.2.1, 192.0.2.2 and 7 more` */
export function cidrsText({ count, shown }: Cidrs): string {
  const more = count - shown.length;
  return listed([...shown, ...(more > 0 ? [`${more} more`] : [])]);
}
