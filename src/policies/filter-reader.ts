import { isSubdomain } from '../model/names.ts';
import { asString, isAbsent, quote } from '../model/untyped.ts';

/** One filter of a rule of a route, and where it stands. */
export class FilterReader {
  /** `spec.rules[0].filters[1]` */
  readonly field: string;
  readonly type: string;
  /** The prefix of the one path that the rule has; null where there is none, or several. */
  readonly prefix: string | null;

  constructor(type: string, field: string, prefix: string | null) {
    this.type = type;
    this.field = field;
    this.prefix = prefix;
  }

  /** Ends the reading of the filter, and of all those of its rule: what is left would not be what its author asked for. */
  fail(what: string, advice: string): never {
    throw new FilterFault(`The filter ${this.field} ${what}, so requests of this rule get 500: ${advice}.`);
  }

  /** Null where there is none. */
  hostname(written: unknown): string | null {
    if (isAbsent(written) || written === '') return null;
    const hostname = asString(written) ?? '';
    return isSubdomain(hostname)
      ? hostname
      : this.fail(`has the hostname ${quote(written)}`, 'use a DNS name');
  }
}

/** Why a filter cannot be kept to. */
export class FilterFault extends Error {}
