import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

const FOLDER = '/proc/sys/net/netfilter';
const LOOK_EVERY_MS = 1_000;
/** Connections stay in the table for two minutes after their end. */
const LONGEST_MS = 150_000;

/** Waits until the kernel's table of connections is less than half full: a full one drops packets, of any proxy. */
export async function roomForConnections(): Promise<void> {
  const until = performance.now() + LONGEST_MS;
  while (read('nf_conntrack_count') > read('nf_conntrack_max') / 2) {
    if (performance.now() > until)
      throw new Error('the table of nf_conntrack stays full: something else opens connections');
    await pause(LOOK_EVERY_MS);
  }
}

/** 0 where nothing is tracked. */
function read(name: string): number {
  try {
    return Number(readFileSync(`${FOLDER}/${name}`, 'utf8'));
  } catch {
    return 0;
  }
}

/** Packets that the kernel dropped because its table of connections was full, since it started. */
export function droppedPackets(): number {
  try {
    const [head = '', ...cpus] = readFileSync('/proc/net/stat/nf_conntrack', 'utf8').trim().split('\n');
    const columns = head.split(/\s+/);
    const dropped = ['drop', 'early_drop'].map((name) => columns.indexOf(name));
    return cpus
      .map((line) => line.split(/\s+/))
      .flatMap((cells) => dropped.map((column) => Number.parseInt(cells[column] ?? '0', 16)))
      .reduce((total, each) => total + each, 0);
  } catch {
    return 0;
  }
}
