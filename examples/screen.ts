/** A route that is served, and by how many endpoints. */
export interface ServedRoute {
  /** Empty for every host. */
  readonly host: string;
  /** Of a Gateway; undefined for the port of Portico. */
  readonly port: number | undefined;
  readonly path: string;
  readonly pathType: string;
  readonly backend: string;
  readonly endpoints: number;
}

export interface Serving {
  readonly folder: string;
  readonly httpPort: number;
  /** The port it would have been, were it free. */
  readonly preferredPort: number;
  readonly statusPort: number;
  readonly routes: readonly ServedRoute[];
}

const MAX_ROUTES = 5;

/** What is served where and how to see it, in one screen of 24 lines and 80 columns. */
export function screen({ folder, httpPort, preferredPort, statusPort, routes }: Serving): string {
  const shown = routes.slice(0, MAX_ROUTES);
  const url = `http://localhost:${httpPort}`;
  const moved = httpPort === preferredPort ? '' : ` (${preferredPort} is in use)`;
  const more = routes.length > shown.length ? [`  ... and ${routes.length - shown.length} more`] : [];
  return [
    '',
    `Portico serves ${folder} at ${url}${moved}`,
    '',
    ...table(shown.map(rowOf)),
    ...more,
    '',
    'Paste into another terminal (nobody serves nobody.localhost: 404):',
    // Routes with other conditions may have one URL.
    ...new Set(shown.map((route) => `  ${curl(url, route)}`)),
    `  curl -H 'Host: nobody.localhost' ${url}/`,
    `  curl http://localhost:${statusPort}/metrics`,
    '',
    `Now edit a file in ${folder} and curl again: no restart.`,
    'Make a mistake in it: you get its line, and the last good routes stay.',
    'Requests show below. Ctrl-C stops everything.',
    '',
  ].join('\n');
}

function rowOf({ host, port, path, pathType, backend, endpoints }: ServedRoute): readonly string[] {
  const places = endpoints === 1 ? '1 endpoint' : `${endpoints} endpoints`;
  const at = port === undefined ? '' : `:${port}`;
  return [`${host || '(any host)'}${at}`, path || '/', pathType, backend, places];
}

/** Columns as wide as their widest cell. */
function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
}

function curl(ownUrl: string, { host, port, path }: ServedRoute): string {
  const url = port === undefined ? ownUrl : `http://localhost:${port}`;
  const name = host.replace('*', 'pr-7');
  const header = name === '' ? '' : ` -H ${quote(`Host: ${name}`)}`;
  // -N shows a stream as it comes.
  return `curl${path === '/events' ? ' -N' : ''}${header} ${quote(url + encodeURI(path || '/'))}`;
}

/** Whatever a manifest says, pasted into a shell it is one word. */
function quote(word: string): string {
  return /^[\w./:-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
