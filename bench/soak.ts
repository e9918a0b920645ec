import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket, WebSocketServer } from 'ws';
import { rssMb } from './process-figures.ts';
import { IMAGE_ENVIRONMENT, porticoCommand } from './subjects.ts';

/**
 * `npm run soak [seconds]`: mixed traffic, clients that leave, slow readers, WebSockets and table changes, for a long
 * time; prints memory and descriptors as they go. Ends with 1 when something failed that should not have.
 */

const SECONDS = Number(process.argv[2] ?? 600);
const ADDRESS = '127.0.0.1';
const PORTS = { proxy: 18_120, status: 18_121, https: 18_122 };
const SAMPLES = 12;
/** What bodies of responses are made of, over and over. */
const BODY = randomBytes(64 * 1024);
const folder = mkdtempSync(join(tmpdir(), 'portico-soak-'));
const endsAt = performance.now() + SECONDS * 1_000;

const counts = { whole: 0, aborted: 0, echoed: 0, changes: 0, failed: 0 };
const failures = new Map<string, number>();

async function main(): Promise<number> {
  const pod = await startPod();
  const { port } = pod.address() as AddressInfo;
  writeFileSync(join(folder, 'site.yaml'), manifests(port, 0));
  const portico = await startPortico();
  const lanes = [
    ...Array.from({ length: 16 }, (_, n) => requests(n)),
    ...[`http://${ADDRESS}:${PORTS.proxy}`, `https://${ADDRESS}:${PORTS.https}`].map(streams),
    ...Array.from({ length: 4 }, () => leavers()),
    ...Array.from({ length: 4 }, () => slowReaders()),
    ...Array.from({ length: 8 }, () => webSocket()),
    changes(port),
  ];
  console.log('seconds  RSS MB  descriptors  whole  aborted  echoed  changes  failed');
  for (let sample = 1; sample <= SAMPLES; sample++) {
    await delay((SECONDS * 1_000) / SAMPLES);
    report(portico.pid ?? 0, Math.round((SECONDS * sample) / SAMPLES));
  }
  await Promise.all(lanes);
  await delay(3_000);
  console.log('at rest:');
  report(portico.pid ?? 0, SECONDS + 3);
  for (const [failure, times] of failures) console.log(`failed ${times} times: ${failure}`);
  portico.kill('SIGTERM');
  const [code] = (await once(portico, 'exit')) as [number | null];
  pod.closeAllConnections();
  pod.close();
  console.log(`Portico ended with ${code}`);
  return counts.failed === 0 && code === 0 ? 0 : 1;
}

function report(pid: number, seconds: number): void {
  const descriptors = readdirSync(`/proc/${pid}/fd`).length;
  const cells = [seconds, rssMb(pid).toFixed(0), descriptors, counts.whole, counts.aborted, counts.echoed];
  console.log([...cells, counts.changes, counts.failed].map((cell) => `${cell}`.padStart(7)).join('  '));
}

function failed(what: string): void {
  counts.failed++;
  failures.set(what, (failures.get(what) ?? 0) + 1);
}

/** A pod that answers with as many bytes as asked for, in the framing asked for, and echoes WebSocket messages. */
async function startPod(): Promise<http.Server> {
  const server = http.createServer((request, response) => {
    const size = Number(request.headers['x-size'] ?? 100);
    request.resume();
    request.on('end', () => {
      if (request.headers['x-framing'] !== 'chunked') response.setHeader('Content-Length', size);
      let left = size;
      const more = (): void => {
        while (left > 0) {
          const part = BODY.subarray(0, Math.min(left, BODY.length));
          left -= part.length;
          if (!response.write(part)) return void response.once('drain', more);
        }
        response.end();
      };
      more();
    });
  });
  server.keepAliveTimeout = 20_000;
  new WebSocketServer({ server }).on('connection', (socket) => {
    socket.on('message', (message) => socket.send(message));
    socket.on('error', () => undefined);
  });
  server.listen(0, ADDRESS);
  await once(server, 'listening');
  return server;
}

async function startPortico(): Promise<ChildProcess> {
  const [program = '', ...args] = porticoCommand();
  const child = spawn(
    program,
    [
      ...args,
      'run',
      `--manifests=${folder}`,
      `--bind-address=${ADDRESS}`,
      `--http-port=${PORTS.proxy}`,
      '--h2c',
      `--https-port=${PORTS.https}`,
      `--status-port=${PORTS.status}`,
      '--workers=2',
      '--access-log=off',
      '--log-level=warn',
      '--drain-timeout=5s',
    ],
    { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, ...IMAGE_ENVIRONMENT } },
  );
  for (;;) {
    if (child.exitCode !== null) throw new Error('Portico ended at start');
    const response = await fetch(`http://${ADDRESS}:${PORTS.status}/readyz`).catch(() => null);
    if (response?.status === 200) return child;
    await delay(50);
  }
}

/** The length of a body that comes; less than nothing once a byte of it is wrong. */
class BodyCheck {
  length = 0;

  add(chunk: Buffer): void {
    if (this.length < 0) return;
    for (let at = 0; at < chunk.length;) {
      const from = (this.length + at) % BODY.length;
      const to = Math.min(BODY.length, from + chunk.length - at);
      if (!chunk.subarray(at, at + to - from).equals(BODY.subarray(from, to))) {
        this.length = Number.NEGATIVE_INFINITY;
        return;
      }
      at += to - from;
    }
    this.length += chunk.length;
  }
}

/** Keep-alive requests of all kinds, each checked to the last byte; every second lane is over TLS. */
async function requests(lane: number): Promise<void> {
  const options = { keepAlive: true, maxSockets: 1 };
  const agent = lane % 2 === 0 ? new http.Agent(options) : new https.Agent(options);
  for (let n = lane; performance.now() < endsAt; n++) {
    const size = [0, 100, 5_000, 200_000][n % 4] ?? 0;
    const method = n % 3 === 0 ? 'POST' : 'GET';
    const outcome = await request({ agent, method, size, framing: n % 5 === 0 ? 'chunked' : 'length' });
    if (outcome === size) counts.whole++;
    else failed(`${method} of ${size} bytes: ${outcome}`);
    await delay(2);
  }
  agent.destroy();
}

/** Requests on one connection of HTTP/2, some of them taken back in the middle of their response. */
async function streams(authority: string): Promise<void> {
  const connect = (): http2.ClientHttp2Session => {
    const opened = http2.connect(authority, { rejectUnauthorized: false });
    opened.on('error', (error) => failed(`HTTP/2: ${error.message}`));
    // So many requests on one connection, and Portico asks for another.
    opened.once('goaway', () => (session = connect()));
    return opened;
  };
  let session = connect();
  const lane = async (first: number): Promise<void> => {
    for (let n = first; performance.now() < endsAt; n++) {
      const size = [0, 100, 5_000, 200_000][n % 4] ?? 0;
      const leaves = n % 7 === 0;
      const stream = session.request(
        { ':authority': 'soak.example.com', ':method': n % 3 === 0 ? 'POST' : 'GET', 'x-size': size },
        { endStream: n % 3 !== 0 },
      );
      const body = new BodyCheck();
      stream.on('data', (chunk: Buffer) => body.add(chunk));
      stream.on('error', () => undefined);
      if (leaves) stream.once('response', () => stream.close(http2.constants.NGHTTP2_CANCEL));
      if (n % 3 === 0) stream.end(BODY.subarray(0, size % 10_000));
      await new Promise((resolve) => stream.once('close', resolve));
      if (leaves) counts.aborted++;
      else if (body.length === size) counts.whole++;
      // node:http2 itself refuses what it had not sent when it heard of a GOAWAY.
      else if (stream.rstCode !== http2.constants.NGHTTP2_REFUSED_STREAM)
        failed(`a stream of ${size} bytes: ${body.length}, code ${stream.rstCode}`);
      await delay(2);
    }
  };
  await Promise.all(Array.from({ length: 16 }, (_, n) => lane(n)));
  session.close();
}

/** Clients that go away in the middle of a response. */
async function leavers(): Promise<void> {
  while (performance.now() < endsAt) {
    const socket = connect(PORTS.proxy, ADDRESS);
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\nHost: soak.example.com\r\nX-Size: 5000000\r\n\r\n');
    await new Promise((resolve) => socket.once('data', resolve).once('close', resolve));
    if (socket.destroyed) failed('a large response: the connection was closed before it');
    socket.destroy();
    counts.aborted++;
    await delay(20);
  }
}

/** Clients that read a large response little by little. */
async function slowReaders(): Promise<void> {
  while (performance.now() < endsAt) {
    const size = 2_000_000;
    const outcome = await request({ method: 'GET', size, framing: 'length', pauseMs: 5 });
    if (outcome === size) counts.whole++;
    else failed(`slow reader: ${outcome}`);
  }
}

interface Asked {
  readonly agent?: http.Agent;
  readonly method: string;
  readonly size: number;
  readonly framing: 'chunked' | 'length';
  readonly pauseMs?: number;
}

/** Resolves with the length of the body, or with what went wrong. */
function request({ agent, method, size, framing, pauseMs }: Asked): Promise<number | string> {
  return new Promise((resolve) => {
    const headers = { Host: 'soak.example.com', 'X-Size': size, 'X-Framing': framing };
    const isSecure = agent instanceof https.Agent;
    const port = isSecure ? PORTS.https : PORTS.proxy;
    const options = { host: ADDRESS, port, method, headers, rejectUnauthorized: false };
    const sent = (isSecure ? https : http).request({ ...options, ...(agent && { agent }) }, (response) => {
      const body = new BodyCheck();
      response.on('data', (chunk: Buffer) => {
        body.add(chunk);
        if (!pauseMs) return;
        response.pause();
        setTimeout(() => response.resume(), pauseMs);
      });
      response.on('end', () =>
        resolve(response.statusCode === 200 ? body.length : `status ${response.statusCode}`),
      );
      response.on('error', (error) => resolve(error.message));
    });
    sent.on('error', (error) => resolve(error.message));
    if (method === 'POST') sent.write(BODY.subarray(0, size % 10_000));
    sent.end();
  });
}

/** One socket for the whole time, through every change. */
async function webSocket(): Promise<void> {
  const socket = new WebSocket(`ws://${ADDRESS}:${PORTS.proxy}/`, { headers: { Host: 'soak.example.com' } });
  let closing = false;
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.on('close', (code) => closing || failed(`a WebSocket was closed with ${code}`));
  socket.on('error', (error) => failed(`WebSocket: ${error.message}`));
  await once(socket, 'open');
  while (performance.now() < endsAt && socket.readyState === WebSocket.OPEN) {
    socket.send('echo');
    await Promise.race([new Promise((resolve) => socket.once('message', resolve)), closed]);
    counts.echoed++;
    await delay(50);
  }
  closing = true;
  socket.close();
}

async function changes(port: number): Promise<void> {
  for (let n = 1; performance.now() < endsAt; n++) {
    // Nobody reads half of it.
    writeFileSync(join(folder, 'next'), manifests(port, n));
    renameSync(join(folder, 'next'), join(folder, 'site.yaml'));
    counts.changes++;
    await delay(500);
  }
}

/** `version` alters a route and the number of endpoints; every version serves what the lanes ask for. */
function manifests(port: number, version: number): string {
  return `
{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: portico}, spec: {controller: portico.dev/ingress-controller}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: soak}
spec:
  ingressClassName: portico
  rules:
    - host: soak.example.com
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: pod, port: {number: 80}}}}
          - {path: /version-${version}, pathType: Exact, backend: {service: {name: pod, port: {number: 80}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: pod}, spec: {ports: [{port: 80}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: pod-1, labels: {kubernetes.io/service-name: pod, version: "${version}"}}
addressType: IPv4
endpoints: [{addresses: ['${ADDRESS}']}]
ports: [{port: ${port}}]
`;
}

process.exit(await main());
