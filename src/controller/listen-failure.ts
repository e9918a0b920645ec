import { MAX_GATEWAY_PORTS } from '../proxy/listener/gateway-ports.ts';
import { TOO_MANY_PORTS } from '../proxy/listener/port-state.ts';
import { EXIT } from '../config/exit-codes.ts';

/** Why a port of the table cannot be listened on, by its key there, in one line with what to do. */
export function portFailureLine(key: string, code: string): string {
  const stream = /^(tcp|udp)\/(.*)$/.exec(key);
  const what = stream
    ? `${stream[1]?.toUpperCase()} port ${stream[2]}`
    : `the Gateway port ${describePort(key)}`;
  const outcome = stream ? 'its service is not served until then' : 'its listeners are not served until then';
  switch (code) {
    case 'EADDRINUSE':
      return `${what}: the port is in use; stop what listens on it or choose another port; ${outcome}`;
    case 'EACCES':
      return `${what}: this user may not listen on it; choose a port of 1024 or higher, or grant NET_BIND_SERVICE; ${outcome}`;
    case 'EADDRNOTAVAIL':
      return `${what}: this node does not have the address; choose one that it has; ${outcome}`;
    case TOO_MANY_PORTS:
      return `${what}: more than ${MAX_GATEWAY_PORTS} ports are listened on; use fewer; ${outcome}`;
    default:
      return `${what}: cannot listen: ${code}; ${outcome}`;
  }
}

/** `80`, or `80 of 192.0.2.1` */
export function describePort(key: string): string {
  const colon = key.lastIndexOf(':');
  const address = key.slice(0, colon);
  return address === '' ? key.slice(colon + 1) : `${key.slice(colon + 1)} of ${address}`;
}

/** Why a port could not be had, in one line with what to do, and the exit code that says the same. */
export function listenFailure(
  flag: string,
  port: number,
  code: string,
  message: string,
): { readonly line: string; readonly exitCode: number } {
  switch (code) {
    case 'EADDRINUSE':
      return {
        line: `${flag} ${port}: the port is in use by another process; stop it or choose another port`,
        exitCode: EXIT.unavailable,
      };
    case 'EACCES':
      return {
        line: `${flag} ${port}: this user may not listen on it; choose a port of 1024 or higher, or grant NET_BIND_SERVICE`,
        exitCode: EXIT.noPermission,
      };
    case 'EADDRNOTAVAIL':
      return {
        line: `${flag} ${port}: this machine does not have the address given with --bind-address; choose one that it has`,
        exitCode: EXIT.unavailable,
      };
    default:
      return { line: `${flag} ${port}: cannot listen: ${message}`, exitCode: EXIT.unavailable };
  }
}
