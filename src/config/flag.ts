/** One flag of `portico run`, as `--help`, the reference page and the environment know it. */
export interface Flag {
  readonly name: string;
  /** What stands after the flag in the help; a flag without it is a switch. */
  readonly value?: string;
  readonly many?: true;
  readonly default?: string;
  readonly description: string;
  /** The same for `check`, `explain` and `audit`, where it differs. */
  readonly whenReading?: string;
  readonly group:
    | 'Where objects come from'
    | 'When the API server is away'
    | 'What is served'
    | 'What is published'
    | 'Listening'
    | 'TLS'
    | 'Data plane'
    | 'Logs'
    | 'Stopping';
}

/** `--http-port` is `PORTICO_HTTP_PORT`. */
export function environmentName(flag: Flag): string {
  return `PORTICO_${flag.name.toUpperCase().replaceAll('-', '_')}`;
}
