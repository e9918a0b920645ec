import type { AnnotationReader } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';

/** The least and the most that a duration may be, in milliseconds. */
export interface DurationBounds {
  readonly leastMs: number;
  readonly mostMs: number;
}

const UNITS_MS = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

/** In the largest unit that needs no fraction: `5m`. */
export function durationText(ms: number): string {
  const [unit, unitMs] = Object.entries(UNITS_MS).find(([, unitMs]) => ms % unitMs === 0) ?? ['ms', 1];
  return `${ms / unitMs}${unit}`;
}

type Parsed = { readonly value: number } | { readonly fault: string; readonly advice: string };

/**
 * The value of an annotation. Where it is written and cannot be used, that is reported, and the global option holds that
 * is its default, as in ingress-nginx; null when there is none.
 */
function readQuantity(
  read: AnnotationReader,
  spec: AnnotationSpec,
  parse: (text: string, isOurs: boolean) => Parsed,
): number | null {
  const written = read.text(spec)?.trim();
  if (written === undefined) return null;
  const parsed = parse(written, read.isOurs(spec));
  if ('value' in parsed) return parsed.value;
  const option = read.isWritten(spec) ? read.optionOf(spec)?.trim() : undefined;
  const fallback = option === undefined ? parsed : parse(option, false);
  const isUsed = 'value' in fallback;
  read.invalid(spec, parsed.fault, parsed.advice, isUsed ? option : spec.default);
  return isUsed ? fallback.value : null;
}

/**
 * A time in milliseconds: `30s` under our name, a whole number of seconds under that of ingress-nginx. Null when it is
 * absent or cannot be used.
 */
export function readDuration(
  read: AnnotationReader,
  spec: AnnotationSpec,
  { leastMs, mostMs }: DurationBounds,
): number | null {
  return readQuantity(read, spec, (text, isOurs) => {
    const [, amount, unit = 's'] = (isOurs ? /^(\d{1,9})(ms|s|m|h)$/ : /^(\d{1,9})$/).exec(text) ?? [];
    if (amount === undefined) {
      const form = isOurs
        ? 'a number with ms, s, m or h, such as 30s'
        : 'a whole number of seconds, such as 30';
      return { fault: 'is not a duration', advice: `write ${form}` };
    }
    const value = Number(amount) * UNITS_MS[unit as keyof typeof UNITS_MS];
    if (value >= leastMs && value <= mostMs) return { value };
    const range = isOurs
      ? `a duration from ${durationText(leastMs)} to ${durationText(mostMs)}`
      : `seconds from ${Math.ceil(leastMs / 1_000)} to ${Math.floor(mostMs / 1_000)}`;
    return { fault: 'is out of range', advice: `write ${range}` };
  });
}

const SIZE_UNITS = { Gi: 2 ** 30, Mi: 2 ** 20, Ki: 2 ** 10, '': 1 } as const;
/** As nginx writes them. */
const NGINX_SIZE_UNITS: Readonly<Record<string, number>> = {
  ...{ g: SIZE_UNITS.Gi, m: SIZE_UNITS.Mi, k: SIZE_UNITS.Ki },
  ...{ b: 1, '': 1 },
};

/** In the largest unit that needs no fraction: `10Mi`. */
export function sizeText(bytes: number): string {
  const [unit, size] = Object.entries(SIZE_UNITS).find(([, size]) => bytes % size === 0) ?? ['', 1];
  return bytes === 0 ? '0' : `${bytes / size}${unit}`;
}

/**
 * Bytes: `10Mi` under our name; under that of ingress-nginx `10m`, or a number of `nginxUnit`. Null when it is absent or
 * cannot be used.
 */
export function readSize(read: AnnotationReader, spec: AnnotationSpec, nginxUnit?: 'KiB'): number | null {
  return readQuantity(read, spec, (text, isOurs) => {
    if (!isOurs && nginxUnit !== undefined) {
      if (/^\d{1,9}$/.test(text)) return { value: Number(text) * SIZE_UNITS.Ki };
      return { fault: 'is not a number', advice: `write a number of ${nginxUnit}` };
    }
    const [, amount, unit = ''] =
      (isOurs ? /^(\d{1,12})(Ki|Mi|Gi|)$/ : /^(\d{1,12})([bkmg]?)$/i).exec(text) ?? [];
    if (amount === undefined) {
      const form = isOurs
        ? 'bytes, or a number with Ki, Mi or Gi, such as 10Mi'
        : 'a number with k, m or g, such as 10m';
      return { fault: 'is not a size', advice: `write ${form}` };
    }
    const units: Readonly<Record<string, number>> = isOurs ? SIZE_UNITS : NGINX_SIZE_UNITS;
    return { value: Number(amount) * (units[isOurs ? unit : unit.toLowerCase()] ?? 1) };
  });
}
