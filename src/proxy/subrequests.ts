import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { type LookupFunction, isIP } from 'node:net';
import type { HeaderField } from '../http/head-edit.ts';
import type { Subrequest, SubrequestFailure, SubrequestOutcome } from '../http/subrequest.ts';
import { type NameRules, refusedName } from '../model/refused-addresses.ts';
import type { ExternalNames } from './balance/external-names.ts';

export interface SubrequestsSettings {
  readonly names: ExternalNames;
  readonly rules: NameRules;
  /** Milliseconds, from any moment on. */
  readonly now: () => number;
  readonly limits?: Partial<SubrequestLimits>;
}

/** Of one data-plane thread. */
export interface SubrequestLimits {
  /** Under way at a time. */
  readonly perNamespace: number;
  readonly total: number;
  /** Under way at a time for a namespace while half of `total` is taken, so that others find room. */
  readonly perNamespaceWhenCrowded: number;
  /** Of those that nobody waits for: to one server, of a namespace, and in sum. */
  readonly background: { readonly perServer: number; readonly perNamespace: number; readonly total: number };
  /** Kept open by a namespace while it asks nothing. */
  readonly idleConnections: number;
  readonly idleMs: number;
  /** A namespace that has asked nothing for so long is forgotten, with its names. */
  readonly forgetMs: number;
  readonly names: number;
}

const DEFAULT_LIMITS: SubrequestLimits = {
  perNamespace: 256,
  total: 1_024,
  perNamespaceWhenCrowded: 32,
  background: { perServer: 32, perNamespace: 64, total: 256 },
  idleConnections: 16,
  idleMs: 60_000,
  forgetMs: 600_000,
  names: 100,
};

/** Authentication servers answer with cookies of 16 KiB and more. */
const HEAD_BYTES = 64 * 1024;
/** A longer body costs its connection. */
const BODY_BYTES = 64 * 1024;
const WITH_BODY: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

interface Tenant {
  readonly http: http.Agent;
  readonly https: https.Agent;
  /** The names in use, and when each was last asked for. */
  readonly hosts: Map<string, number>;
  underWay: number;
  readonly background: Background;
  askedAt: number;
}

/** The requests of one namespace that nobody waits for. */
interface Background {
  underWay: number;
  readonly byServer: Map<string, number>;
}

/**
 * Sends the requests of policies, over connections that are kept for each namespace by itself: none uses those of another,
 * or has more under way than its share. What names lead to comes from the control thread, checked as for ExternalNames.
 */
export class Subrequests {
  readonly #names: ExternalNames;
  readonly #rules: NameRules;
  readonly #now: () => number;
  readonly #limits: SubrequestLimits;
  readonly #tenants = new Map<string, Tenant>();
  #underWay = 0;
  #inBackground = 0;
  /** Requests that nobody waits for, and that were left out because too many were under way. */
  dropped = 0;
  #sweptAt = 0;

  constructor({ names, rules, now, limits }: SubrequestsSettings) {
    this.#names = names;
    this.#rules = rules;
    this.#now = now;
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
  }

  /** Never rejects. */
  async send(request: Subrequest): Promise<SubrequestOutcome> {
    const { background } = request;
    if (background === undefined) return this.#send(request);
    const tenant = this.#tenant(request.namespace, this.#now()).background;
    const toServer = tenant.byServer.get(background) ?? 0;
    const { perServer, perNamespace, total } = this.#limits.background;
    if (toServer >= perServer || tenant.underWay >= perNamespace || this.#inBackground >= total) {
      this.dropped++;
      return failed('too-many');
    }
    tenant.byServer.set(background, toServer + 1);
    tenant.underWay++;
    this.#inBackground++;
    try {
      return await this.#send(request);
    } finally {
      const left = (tenant.byServer.get(background) ?? 1) - 1;
      if (left > 0) tenant.byServer.set(background, left);
      else tenant.byServer.delete(background);
      tenant.underWay--;
      this.#inBackground--;
    }
  }

  async #send(request: Subrequest): Promise<SubrequestOutcome> {
    const { namespace, to } = request;
    if (refusedName(to.host, namespace, this.#rules) !== null) return failed('host-refused');
    const now = this.#now();
    const tenant = this.#tenant(namespace, now);
    const { perNamespace, perNamespaceWhenCrowded, total } = this.#limits;
    const isCrowded = this.#underWay >= total / 2;
    const most = isCrowded ? Math.min(perNamespaceWhenCrowded, perNamespace) : perNamespace;
    if (tenant.underWay >= most || this.#underWay >= total) return failed('too-many');
    if (isIP(to.host) === 0 && !this.#keepName(tenant, to.host, namespace, now)) return failed('too-many');
    tenant.askedAt = now;
    tenant.underWay++;
    this.#underWay++;
    try {
      return await this.#resolveAndSend(tenant, request);
    } finally {
      tenant.underWay--;
      this.#underWay--;
    }
  }

  /** Closes all connections. */
  close(): void {
    for (const [namespace, tenant] of this.#tenants) this.#forget(namespace, tenant);
  }

  async #resolveAndSend(tenant: Tenant, request: Subrequest): Promise<SubrequestOutcome> {
    const { namespace, to } = request;
    const startedAt = this.#now();
    if (isIP(to.host) === 0) {
      const pending = this.#names.pendingFor(to.host, namespace);
      if (pending !== null && !(await withinMs(pending, request.timeoutMs))) return failed('timed-out');
      if ((this.#names.get(to.host, namespace)?.addresses.length ?? 0) === 0)
        return failed('host-unresolved');
    }
    const leftMs = Math.max(request.timeoutMs - (this.#now() - startedAt), 1);
    const first = await this.#exchange(tenant, request, leftMs);
    if (first !== 'stale') return first;
    // The server closed the connection while it was idle, and has seen nothing of the request.
    const again = await this.#exchange(tenant, request, leftMs);
    return again === 'stale' ? failed('unreachable') : again;
  }

  #exchange(tenant: Tenant, request: Subrequest, timeoutMs: number): Promise<SubrequestOutcome | 'stale'> {
    const { to, method, target, namespace } = request;
    const { promise, resolve } = Promise.withResolvers<SubrequestOutcome | 'stale'>();
    const isName = isIP(to.host) === 0;
    const options = {
      host: to.host,
      port: to.port,
      method,
      path: target,
      headers: headersOf(request),
      setHost: false,
      maxHeaderSize: HEAD_BYTES,
      ...(isName ? { lookup: this.#lookup(namespace), servername: to.host } : {}),
    };
    let sent: ClientRequest;
    try {
      sent =
        to.scheme === 'https'
          ? https.request({ ...options, agent: tenant.https, rejectUnauthorized: to.verify })
          : http.request({ ...options, agent: tenant.http });
    } catch {
      // A field or the target holds what no request may.
      return Promise.resolve(failed('protocol-error'));
    }
    const timer = setTimeout(() => {
      resolve(failed('timed-out'));
      sent.destroy();
    }, timeoutMs);
    sent.on('response', (response) => {
      clearTimeout(timer);
      resolve({ kind: 'response', status: response.statusCode ?? 0, fields: pairs(response.rawHeaders) });
      discard(response, timeoutMs);
    });
    // A switch of protocols is no answer to the question.
    sent.on('upgrade', (_, socket) => {
      socket.destroy();
      resolve(failed('protocol-error'));
    });
    sent.on('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      if (sent.reusedSocket && error.code === 'ECONNRESET') resolve('stale');
      else resolve(failed(error.code?.startsWith('HPE_') ? 'protocol-error' : 'unreachable'));
    });
    sent.end();
    return promise;
  }

  #lookup(namespace: string): LookupFunction {
    return (host, options, done) => {
      const addresses = this.#names.get(host, namespace);
      if (addresses) addresses.connectOptions.lookup?.(host, options, done);
      else process.nextTick(done, Object.assign(new Error('forgotten'), { code: 'ENOTFOUND' }), []);
    };
  }

  #tenant(namespace: string, now: number): Tenant {
    this.#sweep(now);
    let tenant = this.#tenants.get(namespace);
    if (!tenant) {
      const { idleMs, idleConnections } = this.#limits;
      const options = {
        keepAlive: true,
        timeout: idleMs,
        maxFreeSockets: idleConnections,
        scheduling: 'lifo',
      } as const;
      tenant = {
        http: new http.Agent(options),
        https: new https.Agent(options),
        hosts: new Map(),
        underWay: 0,
        background: { underWay: 0, byServer: new Map() },
        askedAt: now,
      };
      this.#tenants.set(namespace, tenant);
    }
    return tenant;
  }

  /** False when there is no room for the name. Clients may choose it, so one that is not asked for gives way. */
  #keepName({ hosts }: Tenant, host: string, namespace: string, now: number): boolean {
    const { names, forgetMs } = this.#limits;
    if (!hosts.has(host)) {
      if (hosts.size >= names) {
        for (const [unused, askedAt] of hosts) {
          if (now < askedAt + forgetMs) break;
          hosts.delete(unused);
          this.#names.release(unused, namespace);
        }
      }
      if (hosts.size >= names) return false;
      this.#names.keep(host, namespace);
    }
    // The one that was asked for least recently comes first.
    hosts.delete(host);
    hosts.set(host, now);
    return true;
  }

  #sweep(now: number): void {
    const { forgetMs } = this.#limits;
    if (now < this.#sweptAt + forgetMs / 10) return;
    this.#sweptAt = now;
    for (const [namespace, tenant] of this.#tenants) {
      if (tenant.underWay === 0 && now >= tenant.askedAt + forgetMs) this.#forget(namespace, tenant);
    }
  }

  #forget(namespace: string, tenant: Tenant): void {
    this.#tenants.delete(namespace);
    tenant.http.destroy();
    tenant.https.destroy();
    for (const host of tenant.hosts.keys()) this.#names.release(host, namespace);
  }
}

function failed(reason: SubrequestFailure): SubrequestOutcome {
  return { kind: 'failed', reason };
}

/** As Node wants them: names and values by turns. */
function headersOf({ method, fields }: Subrequest): string[] {
  const headers = fields.flat();
  headers.push('Connection', 'keep-alive');
  if (WITH_BODY.has(method)) headers.push('Content-Length', '0');
  return headers;
}

function pairs(rawHeaders: readonly string[]): HeaderField[] {
  const fields: HeaderField[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) fields.push([rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '']);
  return fields;
}

/** Reads the body, so that the connection can be used again; one that is long or slow costs the connection. */
function discard(response: IncomingMessage, timeoutMs: number): void {
  let bytes = 0;
  const timer = setTimeout(() => response.destroy(), timeoutMs);
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > BODY_BYTES) response.destroy();
  });
  response.on('error', () => {});
  response.on('close', () => clearTimeout(timer));
}

/** Whether it resolves in time. */
async function withinMs(promise: Promise<void>, ms: number): Promise<boolean> {
  const late = Promise.withResolvers<false>();
  const timer = setTimeout(() => late.resolve(false), ms);
  try {
    return await Promise.race([promise.then(() => true), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
