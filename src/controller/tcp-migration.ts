import { readFileSync } from 'node:fs';

const SYSCTL = '/proc/sys/net/ipv4/tcp_migrate_req';

/**
 * What a rolling restart on one port may lose on this machine, in one line; null when it loses nothing or when the
 * question does not arise (another system than Linux).
 *
 * When a listener closes, connections that the kernel has finished opening but nobody has accepted yet are reset,
 * unless `net.ipv4.tcp_migrate_req` (Linux 5.14) moves them to another listener of the same port.
 */
export function tcpMigrationNotice(): string | null {
  try {
    if (readFileSync(SYSCTL, 'utf8').trim() !== '0') return null;
    return (
      'net.ipv4.tcp_migrate_req is 0: when an old Portico hands its port to a new one, a connection that arrives in ' +
      'that instant can be reset; set it to 1 on the node to lose none'
    );
  } catch {
    return null;
  }
}
