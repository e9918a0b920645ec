import { type ExecFileException, execFile } from 'node:child_process';
import type { Authenticator } from '@kubernetes/client-node/dist/auth.js';
import { asObject, isObject, asArray, quote, asString } from '../model/untyped.ts';

/** A program that gets the credentials of a kubeconfig's user (client.authentication.k8s.io). */
export interface ExecPlugin {
  readonly command: string;
  readonly args: readonly string[];
  /** Beside the environment of this process. */
  readonly env: Readonly<Record<string, string>>;
  readonly apiVersion: string;
  readonly installHint: string;
  /** `ExecCredential.spec.cluster`, read again for every run; null unless the plugin asks for it. */
  readonly cluster: (() => Promise<object>) | null;
}

export type ReadExecPlugin =
  | { readonly kind: 'plugin'; readonly plugin: ExecPlugin }
  /** What is wrong with it and what to do, to follow "its exec plugin". */
  | { readonly kind: 'invalid'; readonly message: string };

const API_VERSIONS: readonly string[] = [
  'client.authentication.k8s.io/v1',
  'client.authentication.k8s.io/v1beta1',
];
const TIMEOUT_MS = 30_000;
const MAX_OUTPUT_BYTES = 1024 * 1024;
const MAX_QUOTED_CHARACTERS = 300;

/** Reads the `exec` of a user; `cluster` is what a plugin with `provideClusterInfo` is told. */
export function readExecPlugin(exec: unknown, cluster: () => Promise<object>): ReadExecPlugin {
  const { command, args, env, apiVersion, installHint, interactiveMode, provideClusterInfo } = asObject(exec);
  const invalid = (message: string): ReadExecPlugin => ({ kind: 'invalid', message });
  if (typeof command !== 'string' || command === '') return invalid('has no command');
  const version = apiVersion ?? API_VERSIONS[0];
  if (typeof version !== 'string' || !API_VERSIONS.includes(version))
    return invalid(`has apiVersion ${quote(version)}: use ${API_VERSIONS.join(' or ')}`);
  switch (interactiveMode ?? 'IfAvailable') {
    case 'Never':
    case 'IfAvailable':
      break;
    case 'Always':
      return invalid(
        'needs a terminal (interactiveMode: Always), which Portico does not give it: use credentials that need no input',
      );
    default:
      return invalid(`has interactiveMode ${quote(interactiveMode)}: use Never or IfAvailable`);
  }
  const variables = asArray(env).flatMap((entry) => {
    const { name, value } = asObject(entry);
    return typeof name === 'string' ? [[name, String(value ?? '')] as const] : [];
  });
  return {
    kind: 'plugin',
    plugin: {
      command,
      args: asArray(args).map(String),
      env: Object.fromEntries(variables),
      apiVersion: version,
      installHint: asString(installHint) ?? '',
      cluster: provideClusterInfo === true ? cluster : null,
    },
  };
}

/** Runs the plugin when credentials are needed, and keeps what it answered until that expires. */
export function execAuthenticator(plugin: ExecPlugin, timeoutMs: number = TIMEOUT_MS): Authenticator {
  let issued: ExecCredential | null = null;
  return {
    isAuthProvider: () => true,
    async applyAuthentication(_user, options) {
      if (!issued || issued.expiresAtMs <= Date.now()) issued = await runExecPlugin(plugin, timeoutMs);
      const { token, certificate, key } = issued;
      if (token !== '') options.headers = { ...options.headers, Authorization: `Bearer ${token}` };
      if (certificate !== '') options.cert = certificate;
      if (key !== '') options.key = key;
    },
  };
}

interface ExecCredential {
  readonly token: string;
  /** PEM; both or neither. */
  readonly certificate: string;
  readonly key: string;
  /** Milliseconds since the epoch; Infinity when the plugin does not say. */
  readonly expiresAtMs: number;
}

/** Rejects with one line that names the plugin, what happened and, where that is known, what to do. */
async function runExecPlugin(plugin: ExecPlugin, timeoutMs: number): Promise<ExecCredential> {
  const { command, args, env, apiVersion, cluster } = plugin;
  const spec = { interactive: false, ...(cluster && { cluster: await cluster() }) };
  const wanted = JSON.stringify({ apiVersion, kind: 'ExecCredential', spec });
  const output = await new Promise<string>((resolve, reject) => {
    const options = {
      env: { ...process.env, ...env, KUBERNETES_EXEC_INFO: wanted },
      timeout: timeoutMs,
      maxBuffer: MAX_OUTPUT_BYTES,
      killSignal: 'SIGKILL',
    } as const;
    const child = execFile(command, args, options, (error, stdout, stderr) => {
      if (error) reject(new Error(failureOf(plugin, error, stderr), { cause: error }));
      else resolve(stdout);
    });
    // One that asks for a password gets none, instead of waiting for it.
    child.stdin?.on('error', () => undefined).end();
  });
  return readCredential(plugin, output);
}

function failureOf({ command, installHint }: ExecPlugin, error: ExecFileException, stderr: string): string {
  const said = lastLine(stderr);
  const because = said === '' ? '' : `: ${said}`;
  switch (error.code) {
    case 'ENOENT': {
      const hint = plain(installHint);
      return `exec plugin "${command}" was not found: install it or correct PATH${hint === '' ? '' : ` (${hint})`}`;
    }
    case 'EACCES':
      return `exec plugin "${command}" may not be executed by this user`;
    case 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER':
      return `exec plugin "${command}" wrote more than ${MAX_OUTPUT_BYTES} bytes`;
  }
  if (error.killed) return `exec plugin "${command}" did not end in time${because}`;
  if (error.signal) return `exec plugin "${command}" was ended by ${error.signal}${because}`;
  return typeof error.code === 'number'
    ? `exec plugin "${command}" failed with exit code ${error.code}${because}`
    : `exec plugin "${command}" cannot be run: ${plain(error.message)}`;
}

/** Nothing of the answer itself is repeated in a message: it may hold a token. */
function readCredential({ command, apiVersion }: ExecPlugin, output: string): ExecCredential {
  const refuse = (what: string): Error => new Error(`exec plugin "${command}" ${what}`);
  let answer: unknown;
  try {
    answer = JSON.parse(output);
  } catch {
    throw refuse('did not answer with JSON');
  }
  const { apiVersion: version, kind, status } = asObject(answer);
  if (kind !== 'ExecCredential' || version !== apiVersion) {
    throw refuse(`did not answer with an ExecCredential of ${apiVersion}, as the kubeconfig requires`);
  }
  if (!isObject(status)) throw refuse('answered without a status');
  const token = asString(status['token']) ?? '';
  const certificate = asString(status['clientCertificateData']) ?? '';
  const key = asString(status['clientKeyData']) ?? '';
  if ((certificate === '') !== (key === ''))
    throw refuse('answered with only one of clientCertificateData and clientKeyData');
  if (token === '' && certificate === '') throw refuse('answered with neither a token nor a certificate');
  const expires = status['expirationTimestamp'] ?? null;
  const expiresAtMs = expires === null ? Infinity : Date.parse(asString(expires) ?? '');
  if (Number.isNaN(expiresAtMs))
    throw refuse('answered with an expirationTimestamp that is not an RFC 3339 time');
  if (expiresAtMs <= Date.now()) {
    const at = new Date(expiresAtMs).toISOString();
    throw refuse(
      `answered with credentials that expired at ${at}: log in again, or check the clock of this machine`,
    );
  }
  return { token, certificate, key, expiresAtMs };
}

function lastLine(output: string): string {
  return plain(output.trimEnd().slice(-MAX_OUTPUT_BYTES).split('\n').at(-1) ?? '');
}

/** Without line breaks, colours and other control characters. */
function plain(said: string): string {
  const line = said
    .replace(/\u001b\[[\d;]*[A-Za-z]/g, '')
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim();
  return line.length > MAX_QUOTED_CHARACTERS ? `${line.slice(0, MAX_QUOTED_CHARACTERS)}…` : line;
}
