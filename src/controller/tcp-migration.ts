import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

const SYSCTL = '/proc/sys/net/ipv4/tcp_migrate_req';

/**
 * What a rolling restart on one port may lose on this machine, in one line; null when it loses nothing or when the
 * question does not arise: on another system than Linux, and in a Pod that has its network, and so its ports, to itself.
 *
 * When a listener closes, connections that the kernel has finished opening but nobody has accepted yet are reset,
 * unless `net.ipv4.tcp_migrate_req` (Linux 5.14) moves them to another listener of the same port.
 */
export function tcpMigrationNotice(env: NodeJS.ProcessEnv): string | null {
  if (hasNetworkOfItsOwn(env['POD_NAME'], hostname())) return null;
  try {
    if (readFileSync(SYSCTL, 'utf8').trim() !== '0') return null;
    return (
      'net.ipv4.tcp_migrate_req is 0: when a new Portico takes over the port of an old one, a connection that arrives at ' +
      'that moment can be reset; set it to 1 on the node to avoid this'
    );
  } catch {
    return null;
  }
}

/** A Pod is called by its own name, cut to 63 characters, unless it is on the network of the node: then by the node's. */
export function hasNetworkOfItsOwn(podName: string | undefined, host: string): boolean {
  return podName !== undefined && host === podName.slice(0, 63).replace(/[-.]+$/, '');
}
