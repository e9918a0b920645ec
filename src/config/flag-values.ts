import { availableParallelism } from 'node:os';
import { BlockList, isIP } from 'node:net';
import { createSecureContext } from 'node:tls';
import picomatch from 'picomatch';
import { normalizePath } from '../http/path.ts';
import { DEFAULT_LIMITS, type Limits } from '../proxy/limits.ts';
import { listed } from '../policies/annotation-reader.ts';
import type { LimitStoreAddress } from '../proxy/limit-store/limit-store.ts';
import { parseLabelSelector } from '../model/label-selector.ts';
import type { UntypedObject } from '../model/untyped.ts';
import { isControllerName, isLabel, isSubdomain } from '../model/names.ts';
import { limitFlagName } from './flags.ts';

/** What the text of a flag means, or one line that says why it means nothing. */
export type Parsed<T> = { readonly value: T } | { readonly error: string };
export type Parse<T> = (nonEmptyText: string) => Parsed<T>;

export const nonEmptyText: Parse<string> = (given) =>
  given.trim() === '' ? { error: 'is empty; give a value or leave the flag out' } : { value: given };

export const boolean: Parse<boolean> = (given) => {
  if (/^(true|1|yes|on)$/i.test(given)) return { value: true };
  if (/^(false|0|no|off)$/i.test(given)) return { value: false };
  return { error: `'${given}' is neither true nor false` };
};

export function oneOf<const T extends string>(choices: readonly T[]): Parse<T> {
  return (given) => {
    const value = choices.find((choice) => choice === given);
    return value === undefined ? { error: `'${given}' is not valid; use ${listed(choices)}` } : { value };
  };
}

export function port(lowest: number): Parse<number> {
  return (given) => {
    const value = Number(given);
    if (/^\d{1,5}$/.test(given) && value >= lowest && value <= 65_535) return { value };
    return { error: `'${given}' is not a port; give a number from ${lowest} to 65535` };
  };
}

/** `auto` is null: the caller resolves it. */
export const httpsPort: Parse<number | null> = (given) =>
  given === 'auto' ? { value: null } : port(0)(given);

/** As the API server takes it in spec.controllerName of a GatewayClass. */
export const controllerName: Parse<string> = (given) =>
  isControllerName(given)
    ? { value: given }
    : {
        error: `'${given}' is not the name of a controller; write domain/path, such as example.com/gateways`,
      };

export const configMapName: Parse<string> = (given) => {
  const [namespace = '', name = '', ...rest] = given.split('/');
  if (isLabel(namespace) && isSubdomain(name) && rest.length === 0) return { value: given };
  return { error: `'${given}' does not name a ConfigMap; write namespace/name` };
};

export const labelSelector: Parse<UntypedObject> = (given) => {
  const value = parseLabelSelector(given);
  return value === null
    ? { error: `'${given}' is not a label selector; write one like team=shop,env in (prod,test)` }
    : { value };
};

export const annotationsPrefix: Parse<string> = (given) =>
  isSubdomain(given)
    ? { value: given }
    : { error: `'${given}' is not the prefix of a name; write one like nginx.example.com` };

/** `off` is null. */
export const healthCheckPath: Parse<string | null> = (given) => {
  if (given === 'off') return { value: null };
  const path = given.startsWith('/') && !/[?#]/.test(given) ? normalizePath(given) : null;
  return path === null
    ? { error: `'${given}' is not a path; write one such as /healthz, or off` }
    : { value: path };
};

export const ipAddress: Parse<string> = (given) =>
  isIP(given) ? { value: given } : { error: `'${given}' is not an IP address; names are not resolved here` };

export const recentRequests: Parse<number> = (given) =>
  /^\d{1,4}$/.test(given) && Number(given) <= 1_000
    ? { value: Number(given) }
    : { error: `'${given}' is not a number from 0 to 1000` };

/** Where the admin API listens: `auto` is for the caller to resolve, `off` is null. */
export type AdminAddress = 'auto' | { readonly host: string; readonly port: number } | null;

export const adminAddress: Parse<AdminAddress> = (given) => {
  if (given === 'auto') return { value: 'auto' };
  if (given === 'off') return { value: null };
  const [, bracketed, plain, number = ''] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(given) ?? [];
  const host = bracketed ?? plain ?? '';
  const isLoopback = host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
  const parsed = port(1)(number);
  if (isLoopback && 'value' in parsed) return { value: { host, port: parsed.value } };
  const why =
    isIP(host) !== 0 && !isLoopback
      ? 'can be reached from other machines, and the admin API asks nobody who they are'
      : 'is not a loopback address with a port';
  return {
    error: `'${given}' ${why}; write one such as 127.0.0.1:10253, and reach it by kubectl port-forward`,
  };
};

export const publishAddress: Parse<string> = (given) => {
  const address = given.toLowerCase();
  if (isIP(address) > 0) {
    const zoned = address.includes('%') || address === '0.0.0.0' || address === '::';
    return zoned ? { error: `'${given}' is not an address that clients can use` } : { value: address };
  }
  if (isSubdomain(address) && !/^[\d.]+$/.test(address)) return { value: address };
  return { error: `'${given}' is neither an IP address nor a host name` };
};

export const namespaceName: Parse<string> = (given) =>
  isLabel(given) ? { value: given } : { error: `'${given}' is not the name of a namespace` };

export const serviceName: Parse<string> = (given) => {
  const [namespace = '', name = '', ...rest] = given.split('/');
  if (isLabel(namespace) && isLabel(name) && rest.length === 0) return { value: given };
  return { error: `'${given}' does not name a Service; write namespace/service` };
};

export const cidr: Parse<string> = (given) => {
  const [address = '', prefix, ...rest] = given.split('/');
  const family = isIP(address);
  const longest = family === 6 ? 128 : 32;
  const length = prefix === undefined ? longest : Number(prefix);
  if (
    family === 0 ||
    rest.length > 0 ||
    (prefix !== undefined && !/^\d{1,3}$/.test(prefix)) ||
    length > longest
  ) {
    return { error: `'${given}' is not a network such as 10.0.0.0/8 or fd00::/8` };
  }
  new BlockList().addSubnet(address, length, family === 6 ? 'ipv6' : 'ipv4');
  return { value: given };
};

export const workers: Parse<number> = (given) => {
  if (given === 'auto') return { value: availableParallelism() };
  const value = Number(given);
  if (/^\d{1,4}$/.test(given) && value >= 1 && value <= 1024) return { value };
  return { error: `'${given}' is not a number of threads; give auto or a number from 1 to 1024` };
};

export const namespaceGlob: Parse<string> = (given) => {
  if (!/^[a-z0-9*?[\]{},!()|-]{1,253}$/.test(given)) {
    return { error: `'${given}' is not a glob over namespace names such as team-* or {web,shop}` };
  }
  try {
    picomatch.makeRe(given);
    return { value: given };
  } catch (error) {
    return { error: `'${given}' is not a glob: ${(error as Error).message}` };
  }
};

export const secretName: Parse<string> = (given) =>
  /^[a-z0-9-]{1,63}\/[a-z0-9.-]{1,253}$/.test(given)
    ? { value: given }
    : { error: `'${given}' does not name a Secret; write namespace/name` };

/** RFC 6797 6.1, and the directive of the browsers' preload list. */
export const hsts: Parse<string | null> = (given) => {
  if (given === 'off') return { value: null };
  if (/^max-age=\d{1,10}(?:; ?(?:includeSubDomains|preload))*$/.test(given)) return { value: given };
  return {
    error: `'${given}' is neither off nor such as 'max-age=31536000; includeSubDomains; preload' (seconds)`,
  };
};

export const ciphers: Parse<string> = (given) => {
  try {
    createSecureContext({ ciphers: given });
    return { value: given };
  } catch {
    return {
      error: `'${given}' names no cipher suite that OpenSSL knows; 'openssl ciphers -v' lists them`,
    };
  }
};

export const servicePort: Parse<{ namespace: string; service: string; port: string }> = (given) => {
  const [, namespace, service, port] =
    /^([a-z0-9-]{1,63})\/([a-z0-9-]{1,63}):([a-z0-9-]{1,15})$/.exec(given) ?? [];
  if (namespace && service && port) return { value: { namespace, service, port } };
  return { error: `'${given}' does not name a Service port; write namespace/service:port` };
};

/** Nothing that was given is repeated: it may have a password. */
export const limitStore: Parse<LimitStoreAddress> = (given) => {
  const url = URL.parse(given);
  const database = /^\/?(\d{0,4})$/.exec(url?.pathname ?? '/x')?.[1];
  const isStore = url?.protocol === 'redis:' || url?.protocol === 'rediss:';
  if (!url || !isStore || url.hostname === '' || database === undefined || url.search + url.hash !== '')
    return { error: 'the value is not the URL of a store; write redis://host:6379, or rediss:// for TLS' };
  try {
    return {
      value: {
        host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
        port: Number(url.port || '6379'),
        tls: url.protocol === 'rediss:',
        username: decodeURIComponent(url.username),
        password: decodeURIComponent(url.password),
        database: Number(database),
      },
    };
  } catch {
    return { error: 'the user or the password of the URL is not percent-encoded' };
  }
};

const DURATION_UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

const HOUR_MS = 3_600_000;

export const duration: Parse<number> = (given) => {
  const [, amount, unit] = /^(\d{1,9})(ms|s|m|h)$/.exec(given) ?? [];
  const value = Number(amount) * (DURATION_UNITS_MS[unit ?? ''] ?? Number.NaN);
  // A timer longer than this fires at once.
  if (value <= 2 ** 31 - 1) return { value };
  return { error: `'${given}' is not a duration; write a number with ms, s, m or h, at most 24 days: 30s` };
};

/** Of a Lease: shorter ones change hands whenever the API server takes a second to answer. */
export const leaseDuration: Parse<number> = (given) => {
  const parsed = duration(given);
  if ('value' in parsed && parsed.value >= 3_000 && parsed.value <= HOUR_MS) return parsed;
  return { error: `'${given}' is not a duration from 3s to 1h; write a number with ms, s, m or h: 15s` };
};

/** Of what is on for a while. */
export const shortDuration: Parse<number> = (given) => {
  const parsed = duration(given);
  if ('value' in parsed && parsed.value >= 1_000 && parsed.value <= HOUR_MS) return parsed;
  return { error: `'${given}' is not a duration from 1s to 1h; write a number with s, m or h: 5m` };
};

export const limit: Parse<readonly [keyof Limits, number]> = (given) => {
  const [, name, value = ''] = /^([a-z-]+)=(.*)$/.exec(given) ?? [];
  const key = (Object.keys(DEFAULT_LIMITS) as (keyof Limits)[]).find((each) => limitFlagName(each) === name);
  if (!key) {
    const names = (Object.keys(DEFAULT_LIMITS) as (keyof Limits)[]).map(limitFlagName).join(', ');
    return { error: `'${given}' sets no limit; write name=value with one of ${names}` };
  }
  const parsed: Parsed<number> = key.endsWith('Ms')
    ? duration(value)
    : key === 'bodyMinRate' && value === '0'
      ? { value: 0 }
      : positive(value);
  return 'value' in parsed ? { value: [key, parsed.value] } : { error: `${name}: ${parsed.error}` };
};

export const positive: Parse<number> = (given) =>
  /^[1-9]\d{0,8}$/.test(given)
    ? { value: Number(given) }
    : { error: `'${given}' is not a positive whole number` };

export function limits(given: readonly (readonly [keyof Limits, number])[]): Limits {
  return { ...DEFAULT_LIMITS, ...Object.fromEntries(given) };
}
