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

/**
 * A time in milliseconds: `30s` under our name, a whole number of seconds under that of ingress-nginx. Null when it is
 * absent or cannot be used.
 */
export function readDuration(
  read: AnnotationReader,
  spec: AnnotationSpec,
  { leastMs, mostMs }: DurationBounds,
): number | null {
  const written = read.text(spec)?.trim();
  if (written === undefined) return null;
  const isOurs = read.isOurs(spec);
  const [, amount, unit = 's'] = (isOurs ? /^(\d{1,9})(ms|s|m|h)$/ : /^(\d{1,9})$/).exec(written) ?? [];
  if (amount === undefined) {
    const form = isOurs
      ? 'a number with ms, s, m or h, such as 30s'
      : 'a whole number of seconds, such as 30';
    read.invalid(spec, 'is not a duration', `write ${form}`);
    return null;
  }
  const ms = Number(amount) * UNITS_MS[unit as keyof typeof UNITS_MS];
  if (ms >= leastMs && ms <= mostMs) return ms;
  const range = isOurs
    ? `a duration from ${durationText(leastMs)} to ${durationText(mostMs)}`
    : `seconds from ${Math.ceil(leastMs / 1_000)} to ${Math.floor(mostMs / 1_000)}`;
  read.invalid(spec, 'is out of range', `write ${range}`);
  return null;
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
  const written = read.text(spec)?.trim();
  if (written === undefined) return null;
  const isOurs = read.isOurs(spec);
  if (!isOurs && nginxUnit !== undefined) {
    if (/^\d{1,9}$/.test(written)) return Number(written) * SIZE_UNITS.Ki;
    read.invalid(spec, 'is not a number', `write a number of ${nginxUnit}`);
    return null;
  }
  const [, amount, unit = ''] =
    (isOurs ? /^(\d{1,12})(Ki|Mi|Gi|)$/ : /^(\d{1,12})([bkmg]?)$/i).exec(written) ?? [];
  if (amount === undefined) {
    const form = isOurs
      ? 'bytes, or a number with Ki, Mi or Gi, such as 10Mi'
      : 'a number with k, m or g, such as 10m';
    read.invalid(spec, 'is not a size', `write ${form}`);
    return null;
  }
  const units: Readonly<Record<string, number>> = isOurs ? SIZE_UNITS : NGINX_SIZE_UNITS;
  return Number(amount) * (units[isOurs ? unit : unit.toLowerCase()] ?? 1);
}

/** A whole number; null when it is absent or cannot be used. */
export function readCount(
  read: AnnotationReader,
  spec: AnnotationSpec,
  { least, most }: { readonly least: number; readonly most: number },
): number | null {
  const written = read.text(spec)?.trim();
  if (written === undefined) return null;
  const value = /^\d{1,9}$/.test(written) ? Number(written) : Number.NaN;
  if (value >= least && value <= most) return value;
  read.invalid(spec, 'is not valid', `write a whole number from ${least} to ${most}`);
  return null;
}
