import type { Rates } from '../src/admin/api/answers.ts';

export function count(value: number): string {
  return value.toLocaleString('en-US');
}

export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`;
}

/** A figure with as many digits as it deserves. */
export function figure(value: number): string {
  if (value >= 1_000) return Math.round(value).toLocaleString('en-US');
  if (value >= 100 || value === 0) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function ms(value: number | null): string {
  if (value === null) return '–';
  return value >= 1_000 ? `${(value / 1_000).toFixed(2)} s` : `${figure(value)} ms`;
}

/** The part of all requests that failed, as a percentage. */
export function share(part: number, rates: Rates): string {
  if (rates.requestsPerSecond === 0) return '–';
  const percent = (part / rates.requestsPerSecond) * 100;
  return percent === 0 ? '0 %' : `${percent < 1 ? percent.toFixed(2) : percent.toFixed(1)} %`;
}

const DAY_MS = 86_400_000;

/** How many days are left until a time; negative after it. */
export function daysUntil(time: string): number {
  return Math.floor((Date.parse(time) - Date.now()) / DAY_MS);
}

export function expiryText(time: string): string {
  const days = daysUntil(time);
  if (days < 0) return `expired ${plural(-days, 'day')} ago`;
  return days === 0 ? 'expires today' : `in ${plural(days, 'day')}`;
}

/** How urgent an expiry is. */
export function expiryTone(time: string): 'bad' | 'warn' | 'good' {
  const days = daysUntil(time);
  if (days < 3) return 'bad';
  return days < 21 ? 'warn' : 'good';
}

export function ago(time: string): string {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(time)) / 1_000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h ago`;
  return `${Math.floor(seconds / 86_400)} days ago`;
}

export function mib(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MiB`;
}
