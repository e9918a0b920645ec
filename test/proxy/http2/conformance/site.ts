import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Limits } from '../../../../src/proxy/limits.ts';
import { nativeEngine } from '../../../../src/proxy/native-engine.ts';
import {
  CODE,
  type FieldList,
  FLAG,
  FRAME,
  type FrameClient,
  blocks,
  codeOf,
  frameClient,
  headers,
  ping,
  requestFields,
} from '../../../support/http2-frames.ts';
import { type RunningProxy, startProxy } from '../../../support/proxy.ts';
import { type Upstream, ok, scriptedUpstream } from '../../../support/upstream.ts';
import type { WireMessage } from '../../../support/wire.ts';

/**
 * A proxy with one pod, for all cases of a file, and a neighbour whose connection lives through all of them. What is
 * asked of the pod begins with one of ALLOWED: whatever else comes to it should never have come.
 */
export interface Site {
  readonly proxy: RunningProxy;
  readonly pod: Upstream & { readonly requests: readonly WireMessage[] };
  /** A request of the neighbour, answered with 200. */
  neighbourIsServed(): Promise<void>;
}

const ALLOWED = /^[A-Z]+ (?:\/(?:ok|held|bytes|empty|after|sum)\b|\* )/;
/** Beyond all streams of the cases. */
const AFTER = 100_001;

/** For the tests of a file. */
export function siteForAll(limits: Partial<Limits> = {}): () => Site {
  let site: Site | null = null;
  const ends: (() => PromiseLike<void> | void)[] = [];
  beforeAll(async () => {
    const pod = await startPod();
    const proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], { h2c: true, limits });
    const neighbour = await frameClient(proxy.port);
    ends.push(
      () => neighbour[Symbol.dispose](),
      () => nothingIsLeft(proxy),
      () => proxy[Symbol.asyncDispose](),
      () => pod[Symbol.asyncDispose](),
    );
    let stream = -1;
    const neighbourIsServed = async (): Promise<void> => {
      stream += 2;
      neighbour.send(headers(stream, requestFields('GET', '/after')));
      expect((await answerOn(neighbour, stream)).status).toBe(200);
    };
    site = { proxy, pod, neighbourIsServed };
  });
  afterAll(async () => {
    for (const end of ends) await end();
  }, 20_000);
  return () => {
    if (!site) throw new Error('the site is not there yet');
    return site;
  };
}

/** Whatever was done to them, connections and requests that are over leave nothing behind. */
async function nothingIsLeft({ engine }: RunningProxy): Promise<void> {
  for (;;) {
    const { clientConnections, inFlight } = engine.gauges();
    if (clientConnections === 0 && inFlight === 0) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** `/bytes/N` has N bytes, `/empty` chunks but none, `/sum` the length of the request, `/held` no answer. */
async function startPod(): Promise<Site['pod']> {
  const requests: WireMessage[] = [];
  const upstream = await scriptedUpstream(async (connection) => {
    for (;;) {
      const request = await connection.message();
      requests.push(request);
      const path = request.startLine.split(' ')[1] ?? '';
      if (path === '/held') await connection.ended;
      else if (path.startsWith('/bytes/')) connection.send(ok('x'.repeat(Number(path.slice(7)))));
      else if (path === '/empty')
        connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n');
      else if (path === '/sum') connection.send(ok(String(request.body.length)));
      else connection.send(ok('ok'));
    }
  });
  return Object.assign(upstream, { requests });
}

/** A whole response. */
export interface Answer {
  readonly status: number;
  readonly fields: FieldList;
  readonly trailers: FieldList | null;
  readonly body: string;
}

/** Waits for the end of the response on a stream. */
export async function answerOn(client: FrameClient, stream: number, tableSize?: number): Promise<Answer> {
  await client.until(
    ({ type, stream: of, flags }) =>
      of === stream && (type === FRAME.headers || type === FRAME.data) && (flags & FLAG.endStream) !== 0,
  );
  const of = blocks(client.frames, tableSize).filter((block) => block.stream === stream);
  const final = of.findIndex(({ fields }) => !statusOf(fields).startsWith('1'));
  return {
    status: Number(statusOf(of[final]?.fields ?? [])),
    fields: of[final]?.fields ?? [],
    trailers: of[final + 1]?.fields ?? null,
    body: bodyOn(client, stream),
  };
}

/** What came of a body so far. */
export function bodyOn(client: FrameClient, stream: number): string {
  const pieces = client.frames.filter(({ type, stream: of }) => type === FRAME.data && of === stream);
  return Buffer.concat(pieces.map(({ payload }) => payload)).toString('latin1');
}

function statusOf(fields: FieldList): string {
  return fields.find(([name]) => name === ':status')?.[1] ?? '';
}

let pings = 0;

/** Resolves when the proxy has seen all that was sent, and all that it said at once has come. */
export async function barrier(client: FrameClient): Promise<void> {
  const payload = String(++pings).padStart(8);
  client.send(ping(payload));
  const acknowledged = client.until(
    ({ type, flags, payload: of }) =>
      type === FRAME.ping && flags === FLAG.ack && of.toString('latin1') === payload,
  );
  await acknowledged;
}

/** What a connection is worth after a case: a request on it is answered. */
export async function goesOn(client: FrameClient): Promise<void> {
  await barrier(client);
  client.send(headers(AFTER, requestFields('GET', '/after')));
  expect((await answerOn(client, AFTER)).status).toBe(200);
  expect(client.frames.filter((frame) => frame.type === FRAME.goaway)).toEqual([]);
}

/** What may become of a case: at least one of these. */
export interface Outcome {
  /** Nothing: the connection and its streams go on. */
  readonly ignored?: true;
  /** RST_STREAM with one of these codes; the connection goes on. */
  readonly stream?: readonly number[];
  /** A response of Portico with one of these; the connection goes on. */
  readonly status?: readonly number[];
  /** GOAWAY with one of these codes, and the end of the connection. */
  readonly connection?: readonly number[];
}

export interface Case {
  readonly first?: Buffer;
  readonly sends: readonly Uint8Array[];
  /** Which it is about; 1 unless said. */
  readonly stream?: number;
  readonly outcome: Outcome;
}

export const IGNORED: Outcome = { ignored: true };
export const CONNECTION_PROTOCOL: Outcome = { connection: [CODE.protocolError] };
export const CONNECTION_FRAME_SIZE: Outcome = { connection: [CODE.frameSizeError] };
export const CONNECTION_COMPRESSION: Outcome = { connection: [CODE.compressionError] };
/** RFC 9113 8.1.1: "For malformed requests, a server MAY send an HTTP response prior to closing or resetting". */
export const MALFORMED: Outcome = { stream: [CODE.protocolError], status: [400] };

/** One test for each case, on a connection of its own. */
export function conforms(site: () => Site, cases: Readonly<Record<string, Case>>): void {
  for (const [what, { first, sends, stream = 1, outcome }] of Object.entries(cases)) {
    it(what, async () => {
      const { proxy, pod, neighbourIsServed } = site();
      const before = pod.requests.length;
      const texts = pod.connections.map(({ text }) => text.length);
      using client = await frameClient(proxy.port, first);
      client.send(...sends);
      if (outcome.ignored && !outcome.stream && !outcome.connection) {
        await goesOn(client);
        expect(client.frames.filter(({ type }) => type === FRAME.reset)).toEqual([]);
      } else {
        if (outcome.ignored) client.send(headers(AFTER - 2, requestFields('GET', '/after')));
        await meets(client, stream, outcome);
      }
      const seen = pod.requests.slice(before).map(({ startLine }) => startLine);
      expect(seen.filter((line) => !ALLOWED.test(line))).toEqual([]);
      const text = pod.connections.map((connection, index) => connection.text.slice(texts[index] ?? 0));
      expect(text.join('')).not.toContain('evil');
      await neighbourIsServed();
    });
  }
}

async function meets(client: FrameClient, stream: number, outcome: Outcome): Promise<void> {
  const end = await client.until(
    (frame) =>
      (frame.stream === stream && (frame.type === FRAME.reset || frame.type === FRAME.headers)) ||
      (frame.type === FRAME.goaway && codeOf(frame) !== CODE.noError) ||
      (outcome.ignored === true && frame.type === FRAME.headers && frame.stream === AFTER - 2),
  );
  if (end.type === FRAME.goaway) {
    const words = `GOAWAY with ${codeOf(end)}: ${end.payload.toString('latin1', 8)}`;
    expect(outcome.connection ?? [], words).toContain(codeOf(end));
    return await client.closed;
  }
  if (end.stream === AFTER - 2) return;
  if (end.type === FRAME.reset) {
    expect(outcome.stream ?? [], `RST_STREAM with ${codeOf(end)}`).toContain(codeOf(end));
  } else {
    const { status } = await answerOn(client, stream);
    expect(outcome.status ?? [], `a response with ${status}`).toContain(status);
  }
  await goesOn(client);
}
