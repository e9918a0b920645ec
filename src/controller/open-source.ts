import picomatch from 'picomatch';
import type { Logger } from 'pino';
import type { CompileConfig } from '../config/config.ts';
import type { Problem } from '../model/problem.ts';
import type { SourceLocation } from '../model/format-problem.ts';
import type { ApiConnection } from '../kubernetes/api-connection.ts';
import type { Credentials } from '../kubernetes/credentials.ts';
import type { Log } from '../kubernetes/log.ts';
import type { Source, SourceEvent } from '../watch/source.ts';

export interface OpenedCluster {
  readonly api: ApiConnection;
  readonly credentials: Credentials;
  /** The namespace of the kubeconfig's context, or of the Pod. */
  readonly namespace: string | undefined;
}

export type OpenedSource =
  | {
      readonly kind: 'open';
      readonly source: Source;
      /** Where a problem stands, when objects come from files. */
      readonly locate: (problem: Problem) => SourceLocation | null;
      /** `manifests in examples/quickstart`, `https://10.0.0.1:6443 (context prod of …)` */
      readonly description: string;
      /** The API server, when objects come from one. */
      readonly cluster: OpenedCluster | null;
    }
  /** One line that says what is wrong and what to do. */
  | { readonly kind: 'failed'; readonly message: string };

/** Where a cluster is remembered for the time when it is away. */
export interface SnapshotCacheSettings {
  readonly path: string;
  readonly withSecrets: boolean;
}

/** Opens where objects come from. `onDirty` is called whenever the snapshot is another one. */
export async function openSource(
  config: CompileConfig,
  env: NodeJS.ProcessEnv,
  logger: Logger,
  onDirty: (what: SourceEvent) => void,
  cache: SnapshotCacheSettings | null = null,
): Promise<OpenedSource> {
  switch (config.source.kind) {
    case 'manifests':
      return openManifests(config.source.paths, config, logger, onDirty);
    case 'cluster':
      return openCluster(config.source, config, env, logger, onDirty, cache);
  }
}

async function openManifests(
  paths: readonly string[],
  { recursive, watchNamespaces }: CompileConfig,
  logger: Logger,
  onDirty: (what: SourceEvent) => void,
): Promise<OpenedSource> {
  const [{ ManifestSource }, { findFiles }] = await Promise.all([
    import('../watch/manifests.ts'),
    import('../watch/manifests/files.ts'),
  ]);
  for (const path of paths) {
    // A path that is not there is a typing error; one that vanishes later is a problem of the source.
    const root = await findFiles(path, recursive);
    if (root.at === 'files') continue;
    const message = `--manifests ${path}: it ${root.reason}; give files, folders or globs of manifests`;
    return { kind: 'failed', message };
  }
  const log = { info: (text: string) => logger.info(text), warn: (text: string) => logger.warn(text) };
  const source = new ManifestSource({ paths, recursive, watchNamespaces, log }, onDirty);
  const description = `manifests in ${paths.join(', ')}`;
  return { kind: 'open', source, locate: (problem) => source.locate(problem), description, cluster: null };
}

async function openCluster(
  from: { readonly kubeconfig: string | null; readonly context: string | null },
  config: CompileConfig,
  env: NodeJS.ProcessEnv,
  logger: Logger,
  onDirty: (what: SourceEvent) => void,
  cache: SnapshotCacheSettings | null,
): Promise<OpenedSource> {
  const [{ loadKubeconfig }, { connectApi }, { ClusterSource }, { systemClock }, { SnapshotCache }] =
    await Promise.all([
      import('../kubernetes/kubeconfig.ts'),
      import('../kubernetes/api-connection.ts'),
      import('../watch/cluster.ts'),
      import('../kubernetes/clock.ts'),
      import('../watch/snapshot-cache.ts'),
    ]);
  const loaded = await loadKubeconfig({
    kubeconfig: from.kubeconfig ?? undefined,
    context: from.context ?? undefined,
    env,
  });
  if (loaded.kind === 'failed') return { kind: 'failed', message: loaded.message };
  const { connection } = loaded;
  const { watchNamespaces } = config;
  const watched = watchNamespaces.map((glob) => picomatch(glob));
  const literal = watchNamespaces.length > 0 && watchNamespaces.every((glob) => /^[a-z0-9-]+$/.test(glob));
  const api = connectApi(connection, systemClock);
  // A server allows so many streams on a connection: these must not keep the watches of whole kinds waiting.
  const namedApi = connectApi(connection, systemClock);
  const wanted = (namespace: string): boolean =>
    watched.length === 0 || watched.some((matches) => matches(namespace));
  const log: Log = (level, message, fields = {}) => logger[level](fields, message);
  const open = (tell: (what: SourceEvent) => void, onUnreachable?: () => void): Source =>
    new ClusterSource(
      {
        api,
        namedApi,
        naming: config,
        watchNamespaces: wanted,
        namespaces: literal ? watchNamespaces : undefined,
        clock: systemClock,
        random: Math.random,
        log,
        ...(onUnreachable && { onUnreachable }),
      },
      tell,
    );
  const { origin: server } = connection.server;
  const source = cache
    ? new SnapshotCache({ ...cache, server, wanted, clock: systemClock, log }, open, onDirty)
    : open(onDirty);
  return {
    kind: 'open',
    source,
    locate: () => null,
    description: `${connection.server.origin} (${connection.origin})`,
    cluster: { api, credentials: connection.credentials, namespace: connection.namespace },
  };
}
