/** `2026-01-02T03:04:05.678Z` */
export function isoTime(at: number): string {
  const ms = Math.trunc(at) % 1000;
  return `${isoSecond(at)}.${ms < 100 ? String(ms).padStart(3, '0') : ms}Z`;
}

/** `2026-01-02T03:04:05` */
export const isoSecond = ofSecond((at) => new Date(at).toISOString().slice(0, 19));

/** `02/Jan/2026:03:04:05 +0000`, as nginx has it. */
export const localTime = ofSecond((at) => {
  const [, day, month, year, time] =
    /^\w+, (\d+) (\w+) (\d+) ([\d:]+)/.exec(new Date(at).toUTCString()) ?? [];
  return `${day}/${month}/${year}:${time} +0000`;
});

/** Remembers the text of the last second: many requests share it. */
function ofSecond(write: (at: number) => string): (at: number) => string {
  let second = -1;
  let text = '';
  return (at) => {
    const now = Math.floor(at / 1000);
    if (now !== second) {
      second = now;
      text = write(now * 1000);
    }
    return text;
  };
}
