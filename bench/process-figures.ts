import { readFileSync, readdirSync } from 'node:fs';

/** CPU time of a process and its descendants, threads included, by the scheduler's own clock; milliseconds. */
export function cpuMs(pid: number): number {
  let ns = 0;
  for (const each of family(pid)) {
    for (const task of list(`/proc/${each}/task`)) {
      ns += Number(read(`/proc/${each}/task/${task}/schedstat`).split(' ')[0] ?? 0);
    }
  }
  return ns / 1e6;
}

/** Resident memory of a process and its descendants; MB. */
export function rssMb(pid: number): number {
  let kb = 0;
  for (const each of family(pid)) kb += Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${each}/status`))?.[1] ?? 0);
  return kb / 1024;
}

function family(pid: number): number[] {
  const children = list(`/proc/${pid}/task`).flatMap((task) =>
    read(`/proc/${pid}/task/${task}/children`).split(' ').filter(Boolean).map(Number),
  );
  return [pid, ...children.flatMap(family)];
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
