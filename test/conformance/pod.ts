import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { stop } from './control-plane.ts';

/** What runs in a Pod, in a network namespace of its own, as on a node. */
export interface PodProcess extends AsyncDisposable {
  readonly address: string;
  /** Its newest lines, each with when it was written: milliseconds since the epoch. */
  readonly log: readonly { readonly time: number; readonly line: string }[];
}

/** The bridge that Pods are connected to; its own addresses are those of the node. */
const BRIDGE = 'pods';
export const NODE_ADDRESS = '10.244.0.1';
/** Another one of the node, for a Gateway that asks for it. */
export const SECOND_NODE_ADDRESS = '10.244.0.2';

/** Makes the network of the node, in the network namespace of this process. */
export function makeNetwork(): void {
  ip('link set lo up');
  ip(`link add ${BRIDGE} type bridge`);
  for (const address of [NODE_ADDRESS, SECOND_NODE_ADDRESS]) ip(`addr add ${address}/16 dev ${BRIDGE}`);
  ip(`link set ${BRIDGE} up`);
}

/** Starts `file` as the process of a Pod. `number`, from 1 to 65000, gives its address. */
export async function startPod(
  number: number,
  file: string,
  env: Readonly<Record<string, string>>,
): Promise<PodProcess> {
  const address = `10.244.${1 + Math.floor(number / 250)}.${1 + (number % 250)}`;
  // The shell waits until its network is there.
  const script = `read ready && exec "$0"`;
  const child = spawn('unshare', ['--net', 'sh', '-c', script, file], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  await once(child, 'spawn');
  const log: { time: number; line: string }[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.split('\n')) if (line !== '') log.push({ time: Date.now(), line });
      log.splice(0, log.length - 10_000);
    });
  }
  await connect(child, `pod${number}`, address);
  child.stdin.end('\n');
  return { address, log, [Symbol.asyncDispose]: () => stop(child) };
}

async function connect(child: ChildProcess, name: string, address: string): Promise<void> {
  const within = ['-t', String(child.pid), '-n'];
  // `unshare` is in the namespace of this process until it has made its own.
  while (sameNetwork(child.pid)) await new Promise((resolve) => setTimeout(resolve, 5));
  ip(`link add ${name} type veth peer name eth0 netns ${child.pid}`);
  ip(`link set ${name} master ${BRIDGE} up`);
  for (const command of ['link set lo up', `addr add ${address}/16 dev eth0`, 'link set eth0 up']) {
    execFileSync('nsenter', [...within, 'ip', ...command.split(' ')]);
  }
}

function sameNetwork(pid: number | undefined): boolean {
  const of = (id: string): string => execFileSync('readlink', [`/proc/${id}/ns/net`], { encoding: 'utf8' });
  return of(String(pid)) === of('self');
}

function ip(command: string): void {
  execFileSync('ip', command.split(' '));
}
