import { type Socket, connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { splitRequest } from '../support/cases.ts';
import { HTTPS_PORT, HTTP_PORT } from '../support/daemon.ts';
import { type WireMessage, wire } from '../support/wire.ts';
import type { Difference, DifferentialCase, DifferentialRequest } from './case.ts';
import type { EchoPod } from './pods.ts';
import { happens } from '../support/until.ts';

/** What came of a request: `status`, `response NAME`, `body`, and of each Pod `POD request`, `POD NAME`, `POD body`. */
export type Observation = Readonly<Record<string, string>>;

/** Fields that say how the message was framed, when, and by whom. */
const RESPONSE_FIELDS_APART = new Set([
  'connection',
  'content-length',
  'date',
  'keep-alive',
  'server',
  'transfer-encoding',
]);
/** Of a response that no Pod gave: the text of the proxy, and its type. */
const LOCAL_FIELDS_APART = new Set(['content-type', 'vary', 'x-content-type-options', 'cache-control']);
const REQUEST_FIELDS_APART = new Set(['connection', 'content-length', 'transfer-encoding', 'keep-alive']);

/** Sends the request to the proxy at `address`, and says what came of it. */
export async function observe(
  { pods: responses }: DifferentialCase,
  request: DifferentialRequest,
  address: string,
  pods: ReadonlyMap<string, EchoPod>,
): Promise<Observation> {
  const { times = 1, reaches = [] } = request;
  const statuses: number[] = [];
  for (let sent = 1; ; sent++) {
    for (const [name, pod] of pods) pod.expect(request.pods?.[name] ?? responses[name] ?? {});
    const response = await ask(request, address);
    if (times > 1) statuses.push(response.status);
    if (sent < times) continue;
    if (times > 1) return { statuses: counted(statuses) };
    for (const name of reaches) await pods.get(name)?.reached();
    return { ...observedResponse(response), ...observedPods(pods) };
  }
}

/** `200 × 6, 503 × 2` */
function counted(statuses: readonly number[]): string {
  const runs: { status: number; count: number }[] = [];
  for (const status of statuses) {
    const last = runs.at(-1);
    if (last?.status === status) last.count++;
    else runs.push({ status, count: 1 });
  }
  return runs.map(({ status, count }) => `${status} × ${count}`).join(', ');
}

function observedResponse({ status, fields, body }: WireMessage): Observation {
  const isLocal = !fields.some(([name]) => name.toLowerCase() === 'x-pod');
  const seen: Record<string, string> = { status: String(status), ...(!isLocal && { body }) };
  for (const [spelled, value] of fields) {
    const name = spelled.toLowerCase();
    if (RESPONSE_FIELDS_APART.has(name) || (isLocal && LOCAL_FIELDS_APART.has(name))) continue;
    // ingress-nginx never names its port, Portico does if it is not 443.
    add(seen, `response ${name}`, value.replaceAll(`:${HTTPS_PORT}/`, '/'));
  }
  return seen;
}

function observedPods(pods: ReadonlyMap<string, EchoPod>): Observation {
  const seen: Record<string, string> = {};
  for (const [name, pod] of pods) {
    for (const [index, { request, fields, body }] of pod.received.entries()) {
      const which = index === 0 ? name : `${name} again`;
      add(seen, `${which} request`, request);
      if (body !== '') add(seen, `${which} body`, body);
      for (const [field, value] of fields) {
        if (REQUEST_FIELDS_APART.has(field)) continue;
        add(seen, `${which} ${field}`, field === 'x-request-id' && isRandom(value) ? 'random' : value);
      }
    }
  }
  return seen;
}

function isRandom(id: string): boolean {
  return /^[0-9a-f-]{32,36}$/.test(id);
}

function add(seen: Record<string, string>, what: string, value: string): void {
  const before = seen[what];
  seen[what] = before === undefined ? value : `${before} | ${value}`;
}

async function ask(
  { request, headers = {}, body = '', from = '127.0.0.1' }: DifferentialRequest,
  address: string,
): Promise<WireMessage> {
  const { method, scheme, host, target } = splitRequest(request);
  const socket = await connected(address, scheme, host, from);
  try {
    const client = wire(socket);
    const fields = Object.entries({ Host: host, Connection: 'close', ...headers });
    const isFramed = fields.some(([name]) => name.toLowerCase() === 'content-length');
    if (body !== '' && !isFramed) fields.push(['Content-Length', String(body.length)]);
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    client.send(`${method} ${target === '' ? '/' : target} HTTP/1.1\r\n${lines}\r\n${body}`);
    return await client.message({ toHead: method === 'HEAD' });
  } finally {
    socket.destroy();
  }
}

async function connected(
  address: string,
  scheme: 'http' | 'https',
  servername: string,
  localAddress: string,
): Promise<Socket> {
  const port = scheme === 'http' ? HTTP_PORT : HTTPS_PORT;
  const tcp = connect({ host: address, port, localAddress });
  if (scheme === 'http') {
    await happens(tcp, 'connect');
    return tcp;
  }
  const socket = connectTls({ socket: tcp, servername, rejectUnauthorized: false });
  await happens(socket, 'secureConnect');
  return socket;
}

/** Where two observations differ. */
export function differencesOf(
  request: DifferentialRequest,
  portico: Observation,
  nginx: Observation,
): readonly Omit<Difference, 'why'>[] {
  return Object.keys({ ...portico, ...nginx })
    .filter((what) => portico[what] !== nginx[what])
    .map((what) => ({
      request: request.request,
      what,
      portico: portico[what] ?? null,
      nginx: nginx[what] ?? null,
    }));
}
