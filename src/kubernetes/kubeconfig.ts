import { access, readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { type Document, LineCounter, parseDocument } from 'yaml';
import {
  type Cluster,
  type Context,
  newClusters,
  newContexts,
  newUsers,
} from '@kubernetes/client-node/dist/config_types.js';
import { type Credentials, type KubeconfigUser, credentialsOf } from './credentials.ts';
import { readExecPlugin } from './exec-plugin.ts';
import { asObject, asArray } from '../model/untyped.ts';

/** How to reach one API server, and as whom. */
export interface ClusterAccess {
  readonly server: URL;
  /** Where this came from, for messages: `context prod of /home/me/.kube/config`. */
  readonly origin: string;
  readonly namespace: string | undefined;
  /** Read again for every connection: certificates rotate. */
  readonly tls: () => Promise<ConnectionOptions>;
  readonly credentials: Credentials;
  readonly proxyUrl: URL | undefined;
}

export type LoadedKubeconfig =
  | { readonly kind: 'ok'; readonly connection: ClusterAccess }
  | { readonly kind: 'failed'; readonly message: string };

export interface KubeconfigOptions {
  /** `--kubeconfig` */
  readonly kubeconfig?: string | undefined;
  /** `--context` */
  readonly context?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly serviceAccountDirectory?: string;
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** Something a user can fix, described in one line. */
class Unusable extends Error {}

/** A cluster of a kubeconfig, and what client-node does not read of it. */
interface KubeconfigCluster extends Cluster {
  /** The extension `client.authentication.k8s.io/exec`. */
  readonly execConfig: unknown;
}

interface Kubeconfig {
  readonly clusters: KubeconfigCluster[];
  readonly users: KubeconfigUser[];
  readonly contexts: Context[];
  readonly currentContext: string | undefined;
}

/**
 * Finds the API server as kubectl does: `--kubeconfig`, then the files of `$KUBECONFIG` merged, then
 * `~/.kube/config`, then the service account of the Pod. Every failure is one line.
 */
export async function loadKubeconfig(options: KubeconfigOptions): Promise<LoadedKubeconfig> {
  try {
    return { kind: 'ok', connection: await find(options) };
  } catch (error) {
    if (error instanceof Unusable) return { kind: 'failed', message: error.message };
    throw error;
  }
}

async function find({ kubeconfig, context, env, serviceAccountDirectory }: KubeconfigOptions) {
  if (kubeconfig) return accessOf(await readKubeconfig(kubeconfig), kubeconfig, context);

  const named = (env['KUBECONFIG'] ?? '').split(delimiter).filter(Boolean);
  const home = env['HOME'] ? join(env['HOME'], '.kube', 'config') : undefined;
  const candidates = named.length > 0 ? named : home ? [home] : [];
  const files = [];
  for (const file of candidates) if (await exists(file)) files.push(file);
  if (files.length > 0) {
    const parts = [];
    for (const file of files) parts.push(await readKubeconfig(file));
    return accessOf(merge(parts), files.join(delimiter), context);
  }
  if (named.length > 0) throw new Unusable(`KUBECONFIG names ${named.join(', ')}, which does not exist`);

  const host = env['KUBERNETES_SERVICE_HOST'];
  const directory = serviceAccountDirectory ?? SERVICE_ACCOUNT;
  if (host && (await exists(join(directory, 'token')))) return serviceAccount(host, env, directory);
  throw new Unusable(
    `no cluster to watch: there is no ${home ?? '~/.kube/config'} and no service account; ` +
      'name a kubeconfig with --kubeconfig, or manifests with --manifests',
  );
}

async function serviceAccount(
  host: string,
  env: KubeconfigOptions['env'],
  directory: string,
): Promise<ClusterAccess> {
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '443';
  const namespace = await readFile(join(directory, 'namespace'), 'utf8').catch(() => undefined);
  const caFile = join(directory, 'ca.crt');
  return checked({
    server: new URL(`https://${isIPv6(host) ? `[${host}]` : host}:${port}`),
    origin: 'the service account of this Pod',
    namespace: namespace?.trim(),
    tls: async () => ({ ca: await readFile(caFile) }),
    credentials: credentialsOf({ name: 'serviceaccount', authProvider: tokenFile(join(directory, 'token')) }),
    proxyUrl: undefined,
  });
}

async function readKubeconfig(file: string): Promise<Kubeconfig> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new Unusable(`cannot read kubeconfig ${file}: ${reasonOf(error)}`);
  });
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [error] = document.errors;
  if (error) {
    const { line } = lines.linePos(error.pos[0]);
    const reason =
      error.code === 'MULTIPLE_DOCS'
        ? 'a second document begins here, and a kubeconfig is one'
        : firstLine(error.message);
    throw new Unusable(`cannot read kubeconfig ${file}: line ${line}: ${reason}`);
  }
  const yaml = plain(document, file);
  if (typeof yaml !== 'object' || yaml === null || Array.isArray(yaml))
    throw new Unusable(`cannot read kubeconfig ${file}: it is not a kubeconfig (kind: Config)`);
  const config = yaml as Record<string, unknown>;
  const directory = dirname(resolve(file));
  try {
    const current = config['current-context'];
    return {
      clusters: newClusters(config['clusters']).map((cluster, index) => ({
        ...cluster,
        ...files(directory, cluster),
        execConfig: execConfigOf(asArray(config['clusters'])[index]),
      })),
      users: newUsers(config['users']).map((user, index) => ({
        ...user,
        ...files(directory, user),
        ...extrasOf(directory, user, (config['users'] as { user?: RawUser }[])[index]?.user ?? {}),
      })),
      contexts: newContexts(config['contexts']),
      currentContext: typeof current === 'string' && current !== '' ? current : undefined,
    };
  } catch (error) {
    throw new Unusable(`cannot read kubeconfig ${file}: ${firstLine((error as Error).message)}`);
  }
}

function plain(document: Document, file: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw new Unusable(`cannot read kubeconfig ${file}: ${firstLine((error as Error).message)}`);
  }
}

interface RawUser {
  readonly tokenFile?: string;
  readonly 'as-groups'?: readonly string[];
}

/** What client-node does not read: `tokenFile` as client-go spells it, `as-groups`. */
function extrasOf(directory: string, user: KubeconfigUser, raw: RawUser): Partial<KubeconfigUser> {
  return {
    ...(raw.tokenFile ? { authProvider: tokenFile(absolute(directory, raw.tokenFile)) } : {}),
    ...(Array.isArray(raw['as-groups']) ? { impersonateGroups: raw['as-groups'] } : {}),
    ...(user.exec ? { exec: besideKubeconfig(directory, user.exec) } : {}),
  };
}

const EXEC_EXTENSION = 'client.authentication.k8s.io/exec';

function execConfigOf(cluster: unknown): unknown {
  const extensions = asArray(asObject(asObject(cluster)['cluster'])['extensions']);
  return asObject(extensions.find((each) => asObject(each)['name'] === EXEC_EXTENSION))['extension'];
}

/** What exec plugins are told of their cluster, under the names that client-go gives it. */
async function execCluster(cluster: KubeconfigCluster): Promise<object> {
  const ca = await pem(cluster.caFile, cluster.caData);
  return {
    server: cluster.server,
    ...(cluster.tlsServerName && { 'tls-server-name': cluster.tlsServerName }),
    ...(cluster.skipTLSVerify && { 'insecure-skip-tls-verify': true }),
    ...(ca && { 'certificate-authority-data': ca.toString('base64') }),
    ...(cluster.proxyUrl && { 'proxy-url': cluster.proxyUrl }),
    ...(cluster.execConfig !== undefined && { config: cluster.execConfig }),
  };
}

/** A relative command is found beside the kubeconfig. */
function besideKubeconfig(directory: string, exec: unknown): object {
  const { command } = asObject(exec);
  const path = typeof command === 'string' && command.includes('/') ? absolute(directory, command) : command;
  return { ...asObject(exec), command: path };
}

function tokenFile(file: string): object {
  return { name: 'tokenFile', config: { tokenFile: file } };
}

function files<T extends { caFile?: string; certFile?: string; keyFile?: string }>(directory: string, of: T) {
  return Object.fromEntries(
    (['caFile', 'certFile', 'keyFile'] as const).flatMap((field) => {
      const file = of[field];
      return file ? [[field, absolute(directory, file)]] : [];
    }),
  );
}

function absolute(directory: string, file: string): string {
  return isAbsolute(file) ? file : join(directory, file);
}

function first<T extends { name: string }>(entries: T[]): T[] {
  return [...new Map(entries.toReversed().map((entry) => [entry.name, entry])).values()];
}

/** The first file that names something wins, as with kubectl. */
function merge(parts: readonly Kubeconfig[]): Kubeconfig {
  return {
    clusters: first(parts.flatMap((part) => part.clusters)),
    users: first(parts.flatMap((part) => part.users)),
    contexts: first(parts.flatMap((part) => part.contexts)),
    currentContext: parts.find((part) => part.currentContext)?.currentContext,
  };
}

async function accessOf(
  config: Kubeconfig,
  file: string,
  wanted: string | undefined,
): Promise<ClusterAccess> {
  const names = config.contexts.map(({ name }) => name).sort();
  const known = names.length > 0 ? `it has ${names.join(', ')}` : 'it has none';
  const name = wanted ?? config.currentContext;
  if (!name)
    throw new Unusable(`kubeconfig ${file} has no current-context: choose one with --context; ${known}`);
  const context = config.contexts.find((context) => context.name === name);
  if (!context) throw new Unusable(`kubeconfig ${file} has no context "${name}"; ${known}`);
  const cluster = config.clusters.find((cluster) => cluster.name === context.cluster);
  if (!cluster)
    throw new Unusable(
      `kubeconfig ${file}: context "${name}" names an unknown cluster: "${context.cluster}"`,
    );
  const user = config.users.find((user) => user.name === context.user);
  if (!user && context.user)
    throw new Unusable(`kubeconfig ${file}: context "${name}" names an unknown user: "${context.user}"`);

  const server = URL.parse(cluster.server);
  if (!server || !['http:', 'https:'].includes(server.protocol))
    throw new Unusable(
      `kubeconfig ${file}: cluster "${cluster.name}": server is not an http(s) URL: ${cluster.server}`,
    );
  const proxyUrl = cluster.proxyUrl ? URL.parse(cluster.proxyUrl) : undefined;
  if (cluster.proxyUrl && !(proxyUrl && ['http:', 'https:'].includes(proxyUrl.protocol)))
    throw new Unusable(
      `kubeconfig ${file}: cluster "${cluster.name}": proxy-url must be an http or https URL`,
    );
  const exec = user?.exec ? readExecPlugin(user.exec, () => execCluster(cluster)) : null;
  if (exec?.kind === 'invalid')
    throw new Unusable(`kubeconfig ${file}: user "${context.user}": its exec plugin ${exec.message}`);
  const credentials = credentialsOf(user && { ...user, ...(exec && { execPlugin: exec.plugin }) });
  const files = (): Promise<ConnectionOptions> => tlsOf(cluster, user);
  const tls = async (): Promise<ConnectionOptions> => ({
    ...(await files()),
    ...(credentials.issuesCertificate ? await credentials.certificate() : {}),
  });
  const origin = `context ${name} of ${file}`;
  const { namespace } = context;
  return checked({ server, origin, namespace, tls, credentials, proxyUrl: proxyUrl ?? undefined }, files);
}

async function tlsOf(cluster: Cluster, user: KubeconfigUser | undefined): Promise<ConnectionOptions> {
  const ca = await pem(cluster.caFile, cluster.caData);
  const cert = await pem(user?.certFile, user?.certData);
  const key = await pem(user?.keyFile, user?.keyData);
  return {
    ...(ca ? { ca } : {}),
    ...(cert ? { cert } : {}),
    ...(key ? { key } : {}),
    ...(cluster.tlsServerName ? { servername: cluster.tlsServerName } : {}),
    ...(cluster.skipTLSVerify ? { rejectUnauthorized: false } : {}),
  };
}

/** Reads every file once, so that a missing certificate is said before anything starts. */
async function checked(access: ClusterAccess, files = access.tls): Promise<ClusterAccess> {
  await files().catch((error: NodeJS.ErrnoException) => {
    throw new Unusable(
      `${access.origin}: ${error.path ? `cannot read ${error.path}: ` : ''}${reasonOf(error)}`,
    );
  });
  return access;
}

async function pem(file: string | undefined, base64: string | undefined): Promise<Buffer | undefined> {
  if (base64) return Buffer.from(base64, 'base64');
  return file ? await readFile(file) : undefined;
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

function reasonOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ENOENT':
      return 'there is no such file';
    case 'EACCES':
      return 'this user may not read it';
    case 'EISDIR':
      return 'it is a folder';
    default:
      return firstLine(error.message);
  }
}

function firstLine(text: string): string {
  return text.trim().split('\n', 1)[0] ?? '';
}
