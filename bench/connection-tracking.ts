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
