/**
 * `node scripts/flags.ts` writes docs/reference/flags.md from src/config/flags.ts; a test says when that has been forgotten.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatted } from './formatted.ts';
import {
  CLASS_FLAGS,
  type Flag,
  RUN_FLAGS,
  SOURCE_FLAGS,
  environmentName,
  limitFlagName,
} from '../src/config/flags.ts';
import { DEFAULT_LIMITS, type Limits } from '../src/proxy/limits.ts';

export const FLAGS_PAGE = join(import.meta.dirname, '../docs/reference/flags.md');

/** What each of the limits bounds; a limit without a line here does not compile. */
const LIMITS: Readonly<Record<keyof Limits, string>> = {
  requestLineBytes: 'the request line; then 414',
  headBytes: 'a whole head, of a request or of a response; then 431 or 502',
  fieldCount: 'the number of header fields of a head',
  clientHeadTimeoutMs:
    'from the first byte of a request head (or the start of the connection) to its last; then 408',
  handshakeTimeoutMs:
    'from the start of a connection to the end of its TLS handshake, or of its PROXY protocol header',
  handshakes:
    'TLS handshakes and PROXY headers that one data-plane thread awaits; one more ends the oldest, of a client with more than an eighth if there is one',
  bodyIdleTimeoutMs: 'without a byte of a body that the client is sending',
  bodyMinRate:
    'bytes per second of a body that the client is sending, on average over each `body-idle-timeout`; then 408; 0 turns it off. Not for gRPC, WebSockets, and time in which the Pod does not take them',
  continueTimeoutMs: 'for a Pod to answer Expect: 100-continue; then Portico asks the client for the body',
  keepAliveIdleTimeoutMs: 'an idle connection of a client',
  connectTimeoutMs: 'connecting to an endpoint: all attempts of one request together; then 504',
  upstreamIdleTimeoutMs: 'without a byte from an endpoint while one is awaited; then 504',
  tunnelIdleTimeoutMs: 'without a byte in either direction of a WebSocket or another upgraded connection',
  connections:
    'open client connections of one data-plane thread; one more closes the one that has been idle longest',
  requestsPerConnection: 'requests on one client connection, which is then closed',
  streamsPerConnection: 'requests under way at one time on one HTTP/2 connection of a client',
  bufferBytes: 'bytes held for a slow reader, for each direction of a request',
  connectionHeldBytes:
    'heads of requests under way on one HTTP/2 connection, then streams are refused; at half as many bytes of responses that its client does not take, Pods are not read for it',
  heldBytes:
    'bytes held for all clients by one data-plane thread; beyond that the connections that hold the most are closed',
  attempts: 'endpoints tried for one request',
};

/** The page as it should be. */
export async function flagsPage(): Promise<string> {
  const page = [
    '# Flags',
    '',
    '<!-- Written by `node scripts/flags.ts` from src/config/flags.ts. -->',
    '',
    'Every flag can also be set in the environment, by the name in the second column. The command line wins. A flag',
    'that takes several values takes them one after another (`--manifests a b`) or is repeated; in the environment',
    'they are separated by spaces or commas. A wrong value ends Portico with exit code 64 and one line for each',
    'mistake, before any port is bound.',
    '',
    '`run` has all of these. `check`, `explain` and `audit` have those of _Where objects come from_ and _What is served_, the',
    'ports, `--default-tls-secret` and `--ssl-redirect`. Flags of one command only are in its `--help`; those of `check` are in',
    '[check in CI](../ci.md).',
    '',
    ...[...new Set(RUN_FLAGS.map((flag) => flag.group))].flatMap((group) => [
      `## ${group}`,
      '',
      '| Flag | Environment | Default | |',
      '| --- | --- | --- | --- |',
      ...RUN_FLAGS.filter((flag) => flag.group === group).map(row),
      '',
    ]),
    '## Limits',
    '',
    'The values of `--limit`, such as `--limit head-bytes=16384 client-head-timeout=10s`.',
    '',
    '| Name | Default | Bounds |',
    '| --- | --- | --- |',
    ...(Object.keys(DEFAULT_LIMITS) as (keyof Limits)[]).map(
      (key) => `| \`${limitFlagName(key)}\` | ${limitValue(key)} | ${LIMITS[key]} |`,
    ),
    '',
  ];
  for (const flag of [...SOURCE_FLAGS, ...CLASS_FLAGS]) {
    if (!RUN_FLAGS.includes(flag)) throw new Error(`run has no --${flag.name}, so this page would lack it`);
  }
  return formatted('page.md', page.join('\n'));
}

function row(flag: Flag): string {
  const name = flag.value ? `--${flag.name} ${flag.value}` : `--${flag.name}`;
  const fallback = flag.default === undefined ? '' : `\`${flag.default}\``;
  const cells = [`\`${name}\``, `\`${environmentName(flag)}\``, fallback, flag.description];
  return `| ${cells.map((cell) => cell.replaceAll('|', String.raw`\|`)).join(' | ')} |`;
}

function limitValue(key: keyof Limits): string {
  const value = DEFAULT_LIMITS[key];
  return key.endsWith('Ms') ? `${value / 1000}s` : String(value);
}

if (import.meta.main) await writeFile(FLAGS_PAGE, await flagsPage());
