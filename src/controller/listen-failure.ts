import { EXIT } from '../config/exit-codes.ts';

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
