import type { RequestOptions } from 'node:https';
import type { Authenticator } from '@kubernetes/client-node/dist/auth.js';
import type { User } from '@kubernetes/client-node/dist/config_types.js';
import { type ExecPlugin, execAuthenticator } from './exec-plugin.ts';

/** Who we are to the API server. Nothing is kept longer than the plugin behind it keeps it. */
export interface Credentials {
  /** Whether the client certificate comes from a plugin, and may be another one after `renew`. */
  readonly issuesCertificate: boolean;
  /** Headers for one request. Rejects when a plugin fails or a token file cannot be read. */
  headers(): Promise<Readonly<Record<string, string | readonly string[]>>>;
  /** A client certificate that an exec plugin made, in PEM. */
  certificate(): Promise<{ readonly cert?: string; readonly key?: string }>;
  /** Forgets what is cached, after the API server answered 401; false when there is nothing to renew. */
  renew(): boolean;
}

/** A user of a kubeconfig, and what client-node does not read of it. */
export interface KubeconfigUser extends User {
  readonly impersonateGroups?: readonly string[];
  readonly execPlugin?: ExecPlugin;
}

type Applied = Pick<RequestOptions, 'headers' | 'cert' | 'key'>;

export function credentialsOf(user: KubeconfigUser | undefined): Credentials {
  let plugin: Promise<Authenticator | undefined> | undefined;
  let pending: Promise<Applied> | undefined;

  // Five kinds start at once; an exec plugin is run once for all of them.
  const apply = (): Promise<Applied> => {
    pending ??= (async () => {
      const options: Applied = { headers: {} };
      if (!user) return options;
      try {
        await (await (plugin ??= pluginOf(user)))?.applyAuthentication(user, options);
      } catch (error) {
        plugin = undefined;
        const reason = (error as Error).message;
        throw new Error(`cannot get the credentials of user "${user.name}": ${reason}`, { cause: error });
      }
      return options;
    })().finally(() => {
      pending = undefined;
    });
    return pending;
  };

  return {
    issuesCertificate: user?.execPlugin !== undefined,
    async headers() {
      const headers: Record<string, string | readonly string[]> = {};
      if (!user) return headers;
      const { username, password, token, impersonateUser, impersonateGroups } = user;
      if (username)
        headers['authorization'] = `Basic ${Buffer.from(`${username}:${password ?? ''}`).toString('base64')}`;
      if (token) headers['authorization'] = `Bearer ${token.trim()}`;
      for (const [name, value] of Object.entries((await apply()).headers ?? {}))
        headers[name.toLowerCase()] = `${value}`.trim();
      if (impersonateUser) headers['impersonate-user'] = impersonateUser;
      if (impersonateGroups?.length) headers['impersonate-group'] = impersonateGroups;
      return headers;
    },
    async certificate() {
      const { cert, key } = await apply();
      return { ...(cert ? { cert: `${cert}` } : {}), ...(key ? { key: `${key}` } : {}) };
    },
    renew() {
      plugin = undefined;
      return Boolean(user?.execPlugin ?? user?.authProvider);
    },
  };
}

/** A plugin is loaded only when it is used: importing all of client-node costs 80 MiB. */
async function pluginOf(user: KubeconfigUser): Promise<Authenticator | undefined> {
  if (user.execPlugin) return execAuthenticator(user.execPlugin);
  const provider = (user.authProvider as { name?: string } | null)?.name;
  switch (provider) {
    case undefined:
      return undefined;
    case 'tokenFile': {
      const { FileAuth } = await import('@kubernetes/client-node/dist/file_auth.js');
      return new FileAuth();
    }
    case 'oidc': {
      const { OpenIDConnectAuth } = await import('@kubernetes/client-node/dist/oidc_auth.js');
      return new OpenIDConnectAuth();
    }
    default:
      throw new Error(
        `the kubeconfig's auth-provider "${provider}" was removed from Kubernetes: use its exec plugin instead`,
      );
  }
}
