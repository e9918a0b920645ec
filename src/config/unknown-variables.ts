import { closestMatch } from '../model/closest-match.ts';
import type { Environment } from './flag-reader.ts';
import { CLEANUP_FLAGS, RUN_FLAGS, environmentName } from './flags.ts';

const KNOWN = [...new Set([...RUN_FLAGS, ...CLEANUP_FLAGS].map(environmentName))];
/** What the kubelet sets for a Service whose name begins with `portico`. */
const SERVICE_LINK = /_SERVICE_HOST$|_SERVICE_PORT(?:_\w+)?$|_PORT_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?$/;

/** A line for each variable of the environment that looks like a flag of Portico and is none. */
export function unknownVariables(env: Environment): readonly string[] {
  return Object.entries(env)
    .filter(([name]) => name.startsWith('PORTICO_') && !KNOWN.includes(name))
    .filter(([name, value = '']) => !SERVICE_LINK.test(name) && !/^(?:tcp|udp|sctp):\/\//.test(value))
    .map(([name]) => {
      const match = closestMatch(name, KNOWN);
      return `${name} sets no flag and is ignored${match === null ? '' : `; did you mean ${match}?`}`;
    });
}
