import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { type Folder, createFolder } from '../e2e/folder.ts';
import { type Pod, startPod } from '../e2e/pod.ts';
import { INGRESS_CLASS, siteObjects } from '../e2e/site.ts';
import type { ApiObject } from '../support/api-server.ts';
import { type Daemon, HTTP_PORT, eventually, startDaemon } from '../support/daemon.ts';
import { type RawClient, rawClient } from '../support/raw-client.ts';
import { type Upstream, ok, scriptedUpstream } from '../support/upstream.ts';
import { type Wire, type WireMessage, wire } from '../support/wire.ts';
import type { Family } from './scene.ts';

/** Far beyond what anything here takes on a busy machine. */
const PATIENCE_MS = 15_000;
/**
 * What all scenes against a process together may make the process hold, beyond what it held before the first. To read
 * manifests of megabytes as YAML takes most of it, which a cluster's objects do not.
 */
const MOST_GROWTH_MIB = 512;
/** A file is read once it was left alone for 50 ms: to ask earlier is in vain. */
const ASK_EVERY_MS = 70;
/** A path that no request of a scene may have by the time it is at a Pod. */
export const POISON = '/poison';
/** What an attacker wants to be read as a request of its own. */
export const POISON_REQUEST = `GET ${POISON} HTTP/1.1\r\nHost: attacked.test\r\n\r\n`;

/** Hosts that all lead to the attacked Pod. */
const ATTACKED_HOSTS = ['attacked.test', 'a.test', 'a'];

/** A running Portico with an attacked host, and an innocent tenant and client beside it. */
export interface Site extends AsyncDisposable {
  readonly daemon: Daemon;
  /** The Pod behind the attacked hosts; every byte that came to it is kept. */
  readonly pod: Upstream;
  /** `address:port` of the attacked Pod. */
  readonly endpoint: string;
  /** A connection to the HTTP port, from `localAddress` if it is given. */
  connect(localAddress?: string): Promise<RawClient>;
  /** A request on a connection of its own. */
  get(host: string, path?: string): Promise<{ readonly status: number; readonly pod: string | undefined }>;
  /** Replaces the objects of the attacker; resolves when a change of somebody else made at the same time is served. */
  apply(objects: readonly ApiObject[]): Promise<void>;
  /** What the process holds in memory now. */
  residentMiB(): number;
  /** Whether a poisoned request has come to the attacked Pod. */
  poisoned(): boolean;
  /** What an innocent tenant and an innocent client suffer now; null when nothing. */
  suffering(): Promise<string | null>;
}

export async function openSite(families: readonly Family[]): Promise<Site> {
  const responseTo = (request: WireMessage): string | Uint8Array | null => {
    for (const { respond } of families) {
      const response = respond?.(request);
      if (response !== undefined) return response;
    }
    return ok('attacked', 'X-Pod: attacked');
  };
  const pod = await scriptedUpstream(async (connection) => {
    for (;;) {
      const request = await connection.message();
      const response = responseTo(request);
      if (response === null) await connection.ended;
      else connection.send(response);
    }
  });
  const innocent = await startPod('innocent');
  const folder = createFolder();
  await folder.put('class.yaml', text([INGRESS_CLASS]));
  await folder.put('attacked.yaml', text(attackedObjects(pod.address)));
  const objects = families.flatMap((family) => family.objects?.(pod.address) ?? []);
  await folder.put('families.yaml', text(objects));
  await folder.put('innocent.yaml', text(innocentObjects('innocent.test', innocent)));
  const args = ['--manifests', folder.path, '--access-log', 'off', '--workers', '1'];
  args.push(...families.flatMap(({ flags }) => flags));
  const daemon = startDaemon({ args });
  await daemon.ready();
  return site(daemon, folder, pod, innocent);
}

function site(daemon: Daemon, folder: Folder, pod: Upstream, innocent: Pod): Site {
  let over = '';
  void daemon.exited.then((code) => (over = `the process ended with ${code}`));
  const firstMiB = residentMiB(daemon.pid);
  let changes = 0;
  /** Open through all scenes. */
  let bystander: RawClient | null = null;

  async function innocentIsServed(client: Wire): Promise<boolean> {
    client.send('GET / HTTP/1.1\r\nHost: innocent.test\r\n\r\n');
    return (await client.message()).body === 'innocent';
  }

  async function innocentClient(): Promise<boolean> {
    // An idle connection may be closed for others; then its client opens another one.
    const kept = bystander && !bystander.socket.destroyed && !bystander.socket.readableEnded;
    if (kept && bystander && (await innocentIsServed(bystander).catch(() => false))) return true;
    bystander?.[Symbol.dispose]();
    bystander = await rawClient(HTTP_PORT, daemon.address);
    return await innocentIsServed(bystander);
  }

  async function newcomer(): Promise<boolean> {
    using client = await rawClient(HTTP_PORT, daemon.address);
    return await innocentIsServed(client);
  }

  const self: Site = {
    daemon,
    pod,
    endpoint: pod.address,
    async connect(localAddress) {
      if (localAddress === undefined) return await rawClient(HTTP_PORT, daemon.address);
      const socket = connect({ host: daemon.address, port: HTTP_PORT, localAddress, allowHalfOpen: true });
      await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
      return Object.defineProperties({} as RawClient, {
        ...Object.getOwnPropertyDescriptors(wire(socket)),
        [Symbol.dispose]: { value: () => void socket.destroy() },
      });
    },
    async get(host, path = '/') {
      const { status, field } = await daemon.request(host, path);
      return { status, pod: field('x-pod') };
    },
    async apply(objects) {
      const host = `change-${++changes}.test`;
      await folder.put('attacker.yaml', text(objects));
      await folder.put('change.yaml', text(innocentObjects(host, innocent, 'change')));
      const isServed = async (): Promise<boolean> => (await daemon.request(host)).body === 'innocent';
      const served = eventually(isServed, daemon.exited, ASK_EVERY_MS);
      await inTime(served, 'a change of another tenant was not served');
    },
    residentMiB: () => residentMiB(daemon.pid),
    poisoned: () => pod.connections.some((connection) => connection.text.includes(POISON)),
    async suffering() {
      if (over) return over;
      try {
        if (!(await inTime(innocentClient(), 'the innocent client got no answer'))) return 'a wrong answer';
        if (!(await inTime(newcomer(), 'a new client got no answer'))) return 'a wrong answer';
      } catch (error) {
        return over || (error as Error).message;
      }
      const grown = residentMiB(daemon.pid) - firstMiB;
      return grown > MOST_GROWTH_MIB ? `the process has grown by ${Math.round(grown)} MiB` : null;
    },
    async [Symbol.asyncDispose]() {
      bystander?.[Symbol.dispose]();
      await daemon[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
      await pod[Symbol.asyncDispose]();
      await innocent.stop();
    },
  };
  return self;
}

/** Rejects with the complaint when the promise is not settled in time. */
export async function inTime<T>(promise: Promise<T>, complaint: string, ms = PATIENCE_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${complaint} within ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function attackedObjects(endpoint: string): ApiObject[] {
  const shared = { namespace: 'attacked', endpoints: [endpoint] };
  return ATTACKED_HOSTS.flatMap((host, index) => siteObjects({ host, name: `web-${index}`, ...shared }));
}

function innocentObjects(host: string, { endpoint }: Pod, name = 'web'): ApiObject[] {
  return siteObjects({ host, name, namespace: 'innocent', endpoints: [endpoint] });
}

function text(objects: readonly ApiObject[]): string {
  // JSON is YAML, and quick to write.
  return objects.map((object) => JSON.stringify(object)).join('\n---\n');
}

function residentMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
}
