import { readFileSync } from 'node:fs';
import {
  type IncomingMessage,
  type RequestOptions,
  Agent as HttpAgent,
  request as httpRequest,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { ExporterVariables } from '../config/otlp-variables.ts';
import type { GlobalTracing } from '../routing/global-tracing.ts';

/** A kind of data that collectors take: how its messages are built, and how much of it may wait. */
export interface OtlpSignal {
  /** What the list of a message has, as it is said in a line of the log. */
  readonly items: string;
  /** Behind the address of a collector. */
  readonly path: string;
  /** `resourceSpans` around `scopeSpans` around `spans`. */
  readonly lists: readonly [ofResources: string, ofScopes: string, ofItems: string];
  /** In an answer: how many of them the collector did not want. */
  readonly rejected: string;
  readonly delayMs: number;
}

export const TRACES: OtlpSignal = {
  items: 'spans',
  path: '/v1/traces',
  lists: ['resourceSpans', 'scopeSpans', 'spans'],
  rejected: 'rejectedSpans',
  delayMs: 5_000,
};

export const LOGS: OtlpSignal = {
  items: 'log records',
  path: '/v1/logs',
  lists: ['resourceLogs', 'scopeLogs', 'logRecords'],
  rejected: 'rejectedLogRecords',
  delayMs: 1_000,
};

export const METRICS: OtlpSignal = {
  items: 'metric data points',
  path: '/v1/metrics',
  lists: ['resourceMetrics', 'scopeMetrics', 'metrics'],
  rejected: 'rejectedDataPoints',
  delayMs: 1_000,
};

/** Items of one signal, as the elements of a list in JSON. */
export interface OtlpItems {
  /** UTF-8, with commas between them. */
  readonly bytes: Uint8Array;
  /** Spans, log records, or data points of metrics. */
  readonly count: number;
  /** When they are dropped, on the clock of `performance.now()`; never when absent. */
  readonly sendBy?: number;
}

export interface OtlpExporterOptions {
  readonly signal: OtlpSignal;
  readonly variables: ExporterVariables;
  /** What everything is said to come from. */
  readonly resource: Readonly<Record<string, string>>;
  /** Called when nothing can be sent, and with null when it can again. */
  readonly onTrouble: (reason: string | null) => void;
}

/** What became of items, since the start. */
export interface OtlpCounts {
  readonly exported: number;
  /** Because the queue was full, or their time was over: the collector is slower than the requests. */
  readonly queueFull: number;
  /** Because the collector could not be reached, or answered with an error that does not pass. */
  readonly failed: number;
}

const DEFAULT_QUEUE_SIZE = 2_048;
const DEFAULT_BATCH_SIZE = 512;
/** Of the queue, however few items that is: clients choose how long targets are. */
const MAX_QUEUE_BYTES = 16 * 1024 * 1024;
/** Of one batch, where the collector says that it may be sent again. */
const MAX_TRIES = 5;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;
const MAX_ANSWER_BYTES = 64 * 1024;
/** Of the collector: it takes no more of them than batches one after the other need. */
const MAX_SOCKETS = 1;
const GRPC_PORT = '4317';

const COMMA = Buffer.from(',');
const END = Buffer.from(']}]}]}');

const compressed = promisify(gzip);

/** How one attempt to send a batch ended. */
type Outcome =
  | { readonly kind: 'accepted'; readonly rejected: number }
  /** It may be sent again, after so many milliseconds where the collector says so. */
  | { readonly kind: 'retry'; readonly reason: string; readonly afterMs: number | null }
  /** The connection had been kept since an earlier batch, and the collector closed it: nobody is at fault. */
  | { readonly kind: 'closed-meanwhile' }
  | { readonly kind: 'refused'; readonly reason: string };

/**
 * Sends what all threads have of a signal to a collector as OTLP over HTTP, in JSON: one batch at a time, from a queue that
 * is bounded. Whatever the collector does costs items and nothing else.
 */
export class OtlpExporter {
  readonly #options: OtlpExporterOptions;
  readonly #agent: HttpAgent;
  #global: GlobalTracing | undefined;
  #queue: OtlpItems[] = [];
  #queued = 0;
  #queuedBytes = 0;
  #timer: NodeJS.Timeout | null = null;
  #sending: Promise<void> | null = null;
  #stopped = false;
  #wake: (() => void) | null = null;
  #hasTrouble = false;
  #exported = 0;
  #queueFull = 0;
  #failed = 0;

  /** Throws for a file that cannot be read. */
  constructor(options: OtlpExporterOptions) {
    const { certificate, clientKey, clientCertificate, endpoint } = options.variables;
    const isTls = endpoint?.protocol === 'https:';
    this.#options = options;
    this.#agent = isTls
      ? new HttpsAgent({
          ...{ keepAlive: true, maxSockets: MAX_SOCKETS },
          ...(certificate !== null && { ca: readFileSync(certificate) }),
          ...(clientKey !== null && { key: readFileSync(clientKey) }),
          ...(clientCertificate !== null && { cert: readFileSync(clientCertificate) }),
        })
      : new HttpAgent({ keepAlive: true, maxSockets: MAX_SOCKETS });
  }

  /** Takes what the ConfigMap of ingress-nginx says; the variables win. */
  useGlobal(global: GlobalTracing | undefined): void {
    this.#global = global;
  }

  counts(): OtlpCounts {
    return { exported: this.#exported, queueFull: this.#queueFull, failed: this.#failed };
  }

  add(sent: OtlpItems): void {
    const { count, bytes } = sent;
    const { variables } = this.#options;
    const most = variables.queueSize ?? this.#global?.queueSpans ?? DEFAULT_QUEUE_SIZE;
    const isLate = performance.now() >= (sent.sendBy ?? Number.POSITIVE_INFINITY);
    if (isLate || this.#queued + count > most || this.#queuedBytes + bytes.length > MAX_QUEUE_BYTES) {
      this.#queueFull += count;
      return;
    }
    this.#queue.push(sent);
    this.#queued += count;
    this.#queuedBytes += bytes.length;
    if (this.#queued >= this.#batchSize) this.#start();
    else this.#timer ??= setTimeout(() => this.#start(), this.#delayMs).unref();
  }

  /** Sends what is there; resolves when none of it waits any more. */
  async flush(): Promise<void> {
    this.#start();
    await this.#sending;
  }

  /** Sends what is there, for at most `timeoutMs`; the rest is dropped. */
  async end(timeoutMs: number): Promise<void> {
    this.#stopped = true;
    this.#start();
    this.#wake?.();
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([this.#sending, new Promise((resolve) => (timer = setTimeout(resolve, timeoutMs)))]);
    clearTimeout(timer);
    this.#agent.destroy();
  }

  get #batchSize(): number {
    return this.#options.variables.batchSize ?? this.#global?.batchSpans ?? DEFAULT_BATCH_SIZE;
  }

  get #delayMs(): number {
    return this.#options.variables.delayMs ?? this.#global?.delayMs ?? this.#options.signal.delayMs;
  }

  #start(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    this.#sending ??= this.#sendAll().finally(() => (this.#sending = null));
  }

  async #sendAll(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#nextBatch();
      // Whatever is thrown costs items, and not the process.
      await this.#sendBatch(batch).catch((fault: Error) => {
        this.#failed += countOf(batch);
        this.#report(fault.message);
      });
    }
  }

  /** As many items as one request takes: at least those of one message of a thread. */
  #nextBatch(): readonly OtlpItems[] {
    let count = 0;
    let taken = 0;
    for (const each of this.#queue) {
      if (taken > 0 && count + each.count > this.#batchSize) break;
      count += each.count;
      this.#queuedBytes -= each.bytes.length;
      taken++;
    }
    this.#queued -= count;
    return this.#queue.splice(0, taken);
  }

  async #sendBatch(batch: readonly OtlpItems[]): Promise<void> {
    const count = countOf(batch);
    const sendBy = Math.min(...batch.map((each) => each.sendBy ?? Number.POSITIVE_INFINITY));
    const items = batch.flatMap(({ bytes }, index) => (index === 0 ? [bytes] : [COMMA, bytes]));
    const { lists, items: name } = this.#options.signal;
    const [ofResources, ofScopes, ofItems] = lists;
    const head = `{"${ofResources}":[{"resource":{"attributes":[${this.#resource()}]},"${ofScopes}":[{"scope":{"name":"portico"},"${ofItems}":[`;
    const json = [Buffer.from(head), ...items, END];
    // Not joined where that is not needed: it would be a copy of all that is sent.
    const body = this.#options.variables.gzip ? [await compressed(Buffer.concat(json))] : json;
    for (let tries = 1; ;) {
      const outcome = await this.#post(body, sendBy);
      if (outcome.kind === 'accepted') {
        const rejected = Math.min(outcome.rejected, count);
        this.#exported += count - rejected;
        this.#failed += rejected;
        return this.#report(rejected === 0 ? null : `it rejected ${rejected} of ${count} ${name}`);
      }
      // No try of it: the next one has a connection of its own.
      if (outcome.kind === 'closed-meanwhile') continue;
      this.#report(outcome.reason);
      const isLast = outcome.kind === 'refused' || tries === MAX_TRIES || this.#stopped;
      const waitMs = isLast
        ? 0
        : (outcome.afterMs ?? FIRST_WAIT_MS * 2 ** (tries - 1) * (0.5 + Math.random()));
      if (isLast || performance.now() + waitMs >= sendBy) {
        this.#failed += count;
        return;
      }
      await this.#wait(waitMs);
      tries++;
    }
  }

  /** Less than that where Portico stops. */
  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), Math.min(ms, LONGEST_WAIT_MS)).unref();
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = null;
        resolve();
      };
    });
  }

  #report(reason: string | null): void {
    if (reason === null && !this.#hasTrouble) return;
    this.#hasTrouble = reason !== null;
    this.#options.onTrouble(reason);
  }

  #resource(): string {
    const { variables, resource } = this.#options;
    const serviceName =
      variables.serviceName ?? variables.resource['service.name'] ?? this.#global?.serviceName;
    const all = { 'service.name': 'portico', ...resource, ...variables.resource };
    if (serviceName) all['service.name'] = serviceName;
    return Object.entries(all)
      .map(([key, value]) => JSON.stringify({ key, value: { stringValue: value } }))
      .join(',');
  }

  /** Null where no collector is named any more. */
  #endpoint(): URL | null {
    const { endpoint } = this.#options.variables;
    const collector = this.#global?.collector;
    if (endpoint !== null || !collector) return endpoint;
    const host = collector.host.includes(':') ? `[${collector.host}]` : collector.host;
    return new URL(`http://${host}:${collector.port}${this.#options.signal.path}`);
  }

  async #post(body: readonly Uint8Array[], sendBy: number): Promise<Outcome> {
    const endpoint = this.#endpoint();
    if (endpoint === null) return { kind: 'refused', reason: 'no collector is named any more' };
    const { headers, gzip: isCompressed } = this.#options.variables;
    const leftMs = Math.max(sendBy - performance.now(), 1);
    const timeoutMs = Math.ceil(Math.min(this.#options.variables.timeoutMs, leftMs));
    const options: RequestOptions = {
      method: 'POST',
      agent: this.#agent,
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        ...headers,
        'Content-Type': 'application/json',
        'Content-Length': body.reduce((sum, { length }) => sum + length, 0),
        ...(isCompressed && { 'Content-Encoding': 'gzip' }),
      },
    };
    try {
      return await answerOf(endpoint, options, body, this.#options.signal.rejected);
    } catch (error) {
      const isTimeout = ['AbortError', 'TimeoutError'].includes((error as Error).name);
      const why = isTimeout ? `no answer within ${timeoutMs} ms` : reasonOf(error as NodeJS.ErrnoException);
      const hint =
        endpoint.port === GRPC_PORT ? '; port 4317 speaks gRPC, and Portico needs that for HTTP, 4318' : '';
      return { kind: 'retry', reason: `${why}${hint}`, afterMs: null };
    }
  }
}

function countOf(batch: readonly OtlpItems[]): number {
  return batch.reduce((sum, each) => sum + each.count, 0);
}

function answerOf(
  endpoint: URL,
  options: RequestOptions,
  body: readonly Uint8Array[],
  rejected: string,
): Promise<Outcome> {
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
  const send = endpoint.protocol === 'https:' ? httpsRequest : httpRequest;
  let isAnswered = false;
  const request = send(endpoint, options, (response) => {
    isAnswered = true;
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (more: string) => {
      text += more;
      if (text.length <= MAX_ANSWER_BYTES) return;
      // What it says at such length is not looked at; its status counts.
      resolve(outcomeOf(response, '', rejected));
      response.destroy();
    });
    response.on('error', reject);
    response.on('end', () => resolve(outcomeOf(response, text, rejected)));
  });
  request.on('error', (error: NodeJS.ErrnoException) => {
    const isClosed = error.code === 'ECONNRESET' || error.code === 'EPIPE';
    if (isClosed && request.reusedSocket && !isAnswered) resolve({ kind: 'closed-meanwhile' });
    else reject(error);
  });
  // An answer that changes the protocol ends in no other way.
  request.on('close', () => reject(new Error(NO_ANSWER)));
  request.cork();
  for (const part of body) request.write(part);
  request.end();
  return promise;
}

const NO_ANSWER = 'it closed the connection without an answer';

/** In one line, with what to do about TLS. */
function reasonOf({ code = '', message }: NodeJS.ErrnoException): string {
  if (code === 'EPROTO') return 'TLS cannot be spoken with it: write http:// for a collector without TLS';
  if (code === 'ECONNRESET') return NO_ANSWER;
  if (code === 'HPE_HEADER_OVERFLOW') return 'the head of its answer is too long';
  if (code.startsWith('HPE_')) return 'its answer is not HTTP: write https:// for a collector with TLS';
  // What follows the semicolon is advice for programs in Node.
  const [first = ''] = message.split(/;|\n/, 1);
  if (!UNKNOWN_ISSUER.test(code)) return first;
  return `${first}: name the file of its CA in OTEL_EXPORTER_OTLP_CERTIFICATE`;
}

/** Codes of OpenSSL for certificates that no known CA has issued. */
const UNKNOWN_ISSUER = /SELF_SIGNED_CERT|UNABLE_TO_(?:GET_ISSUER_CERT|VERIFY_LEAF_SIGNATURE)/;

/** Those that the protocol has a client send again. */
const RETRIED: ReadonlySet<number> = new Set([429, 502, 503, 504]);

function outcomeOf(
  { statusCode: status = 0, headers }: IncomingMessage,
  text: string,
  rejected: string,
): Outcome {
  if (status >= 200 && status < 300) return { kind: 'accepted', rejected: rejectedItems(text, rejected) };
  const reason = `it answered with ${status}`;
  if (!RETRIED.has(status)) return { kind: 'refused', reason };
  const seconds = headers['retry-after'] ?? '';
  return { kind: 'retry', reason, afterMs: /^\d{1,6}$/.test(seconds) ? Number(seconds) * 1000 : null };
}

/** `partialSuccess.rejectedSpans`: a 64-bit number, as text or not. Whatever else it says is no reason to send them again. */
function rejectedItems(text: string, name: string): number {
  try {
    const answer = JSON.parse(text) as { partialSuccess?: Readonly<Record<string, unknown>> } | null;
    const rejected = Number(answer?.partialSuccess?.[name] ?? 0);
    return Number.isSafeInteger(rejected) && rejected > 0 ? rejected : 0;
  } catch {
    return 0;
  }
}
