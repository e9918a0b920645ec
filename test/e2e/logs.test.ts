import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, Socket } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import { HTTP_PORT, type Daemon, type DaemonOptions, eventually, startDaemon } from '../support/daemon.ts';
import { http2Client } from '../support/http2-client.ts';
import { otlpFaults, readMetrics } from '../support/otlp.ts';
import { type RawClient } from '../support/raw-client.ts';
import { type Folder, createFolder } from './folder.ts';
import { startPod } from './pod.ts';
import { until } from '../support/until.ts';
import { INGRESS_CLASS, manifest, siteObjects } from './site.ts';

const FIELDS =
  'time client method host target protocol status durationMs requestBytes responseBytes ingress path backend ' +
  'endpoint attempts requestId userAgent referer port scheme upstreamStatus upstreamConnectMs upstreamHeadMs upstreamMs';

async function serving(folder: Folder, endpoint: string, options: Partial<DaemonOptions>): Promise<Daemon> {
  await folder.put(
    'shop.yaml',
    manifest(INGRESS_CLASS, ...siteObjects({ host: 'shop.test', endpoints: [endpoint] })),
  );
  const daemon = startDaemon({ ...options, args: ['--manifests', folder.path, ...(options.args ?? [])] });
  await daemon.ready();
  return daemon;
}

async function ask(client: RawClient, target: string): Promise<number> {
  client.send(`GET ${target} HTTP/1.1\r\nHost: shop.test\r\n\r\n`);
  return (await client.message()).status;
}

/** Reads a pipe until it is disposed: nobody has it open then. */
function readerOf(fifo: string): Disposable & { readonly text: string } {
  const socket = new Socket({ fd: openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK) });
  let text = '';
  socket.setEncoding('utf8').on('data', (read: string) => (text += read));
  return {
    get text() {
      return text;
    },
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

describe.concurrent('the log', () => {
  it('is one JSON line per request, with what there is to know', async ({ expect }) => {
    await using pod = await startPod('pod');
    await using folder = createFolder();
    const logged = Promise.withResolvers<string>();
    const measured: string[] = [];
    await using collector = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        response.end('{}');
        if (request.url === '/v1/logs') logged.resolve(Buffer.concat(chunks).toString());
        if (request.url === '/v1/metrics') measured.push(Buffer.concat(chunks).toString());
      });
    }).listen(0, '127.0.0.1');
    await once(collector, 'listening');
    const { port } = collector.address() as AddressInfo;
    const env = {
      PORTICO_HTP_PORT: '1',
      OTEL_LOGS_EXPORTER: 'otlp',
      OTEL_METRICS_EXPORTER: 'otlp',
      OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: `http://127.0.0.1:${port}/v1/logs`,
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `http://127.0.0.1:${port}/v1/metrics`,
      OTEL_BLRP_SCHEDULE_DELAY: '100',
    };
    await using daemon = await serving(folder, pod.endpoint, {
      args: ['--return-request-id', '--h2c', '--access-log', 'json'],
      env,
    });
    expect(await daemon.line(/PORTICO_HTP_PORT/)).toContain('did you mean PORTICO_HTTP_PORT?');
    const id = 'f00df00d-1';
    const response = await daemon.request('Shop.Test:8080', '/cart?item=1', {
      method: 'POST',
      body: 'twelve bytes',
      fields: [`X-Request-ID: ${id}`, 'User-Agent: "x" \x9b\\', 'Referer: https://a.test/?code=1#"'],
    });
    using http2 = http2Client(HTTP_PORT, daemon.address);
    await http2.ask({ ':authority': 'shop.test', ':path': '/h2?"', 'user-agent': '"\\\x9b', referer: '"}{' });
    expect(JSON.parse(await daemon.line(/\/h2/))).toMatchObject({
      ...{ protocol: 'HTTP/2', target: '/h2?"', userAgent: '"\\\ufffd', referer: '"}{' },
    });
    const refusal = await daemon.request('nobody.test', '/x');
    const lines = (await Promise.all([daemon.line(/"target":"\/cart/), daemon.line(/"target":"\/x"/)])).map(
      (line) => JSON.parse(line) as Record<string, unknown>,
    );
    const [served = {}, refused = {}] = lines;
    expect(response.field('x-request-id')).toBe(id);
    expect(refusal.field('x-request-id')).toBe(refused['requestId']);
    expect(Object.keys(served)).toEqual(expect.arrayContaining(FIELDS.split(' ')));
    expect(served).toMatchObject({
      client: '127.0.0.1',
      method: 'POST',
      target: '/cart?item=1',
      protocol: 'HTTP/1.1',
      status: 200,
      requestBytes: 12,
      responseBytes: 3,
      ingress: 'default/web',
      path: '/',
      backend: 'default/web:http',
      endpoint: pod.endpoint,
      attempts: 1,
      requestId: id,
      userAgent: '"x" \ufffd\\',
      referer: 'https://a.test/?code=REDACTED',
      upstreamStatus: 200,
    });
    expect(String(served['host']).toLowerCase()).toMatch(/^shop\.test/);
    expect(Date.parse(String(served['time']))).not.toBeNaN();
    expect(refused).toMatchObject({
      status: 404,
      host: 'nobody.test',
      detail: 'no-route',
      cause: 'NR',
      attempts: 0,
    });
    expect(refused).not.toHaveProperty('ingress');
    const sent = JSON.parse(await logged.promise) as object;
    expect(otlpFaults(sent)).toEqual([]);
    expect(sent).toMatchObject({
      resourceLogs: [{ scopeLogs: [{ logRecords: expect.arrayContaining([expect.anything()]) }] }],
    });
    expect(await daemon.stop()).toBe(0);
    // What was counted last is sent at the end.
    for (const body of measured) expect(otlpFaults(JSON.parse(body))).toEqual([]);
    const requests = measured.flatMap(readMetrics).filter(({ name }) => name === 'portico_requests_total');
    expect(
      requests.map(({ points }) => points.map(({ labels, value }) => [labels['ingress'], value])),
    ).toEqual([
      expect.arrayContaining([
        ['web', 2],
        ['', 1],
      ]),
    ]);
    for (const line of daemon.output().trimEnd().split('\n')) expect(() => JSON.parse(line)).not.toThrow();
  });

  it('as text holds no byte from a client that could move a cursor; without its reader it is lost, and nothing else is', async ({
    expect,
  }) => {
    await using pod = await startPod('pod');
    await using folder = createFolder();
    const fifo = join(folder.path, 'read');
    execFileSync('mkfifo', [fifo]);
    using reader = readerOf(fifo);
    const pipe = openSync(fifo, constants.O_WRONLY);
    await using daemon = await serving(folder, pod.endpoint, {
      args: ['--access-log', 'text', '--log-format', 'text'],
      stdio: ['ignore', pipe, 'pipe'],
    });
    closeSync(pipe);
    const hostile = [
      'GET /plain HTTP/1.1\r\nHost: shop.test\r\n\r\n',
      'GET /\x1b[2J HTTP/1.1\r\nHost: shop.test\r\n\r\n',
      'GET /\x9b2J\x85 HTTP/1.1\r\nHost: shop.test\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: shop\x07.test\r\n\r\n',
      'G\x08T / HTTP/1.1\r\nHost: shop.test\r\n\r\n',
      'GET /last HTTP/1.1\r\nHost: shop.test\r\n\r\n',
    ];
    for (const request of hostile) {
      using client = await daemon.connect();
      client.send(request);
      await client.message();
    }
    await until(() => /\/last.*\n/.test(reader.text), 'the last request is in the log');
    expect(reader.text).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} access GET shop\.test\/last 200 \d+\.\dms default\/web → 127\.0\.0\.1:\d+$/m,
    );
    expect(reader.text).toMatch(/^\d\d:\d\d:\d\d\.\d{3} INFO {2}ready: /m);
    expect(reader.text.match(/[^\n\x20-\x7e→]/gu)).toBeNull();

    reader[Symbol.dispose]();
    for (let sent = 0; sent < 20; sent++) {
      expect((await daemon.request('shop.test', `/${sent}`)).status).toBe(200);
    }
    expect(await daemon.stop()).toBe(0);
    expect(daemon.output()).toBe('');
  });

  it('that nobody reads costs lines, which are counted, but neither a request nor a prompt end', async ({
    expect,
  }) => {
    await using pod = await startPod('pod');
    await using folder = createFolder();
    const fifo = join(folder.path, 'unread');
    execFileSync('mkfifo', [fifo]);
    // Open for reading as well, so that writing does not fail: the pipe just stays full.
    const pipe = openSync(fifo, constants.O_RDWR);
    try {
      await using daemon = await serving(folder, pod.endpoint, { stdio: ['ignore', pipe, 'pipe'] });
      const long = `/${'x'.repeat(7_000)}`;
      await Promise.all(
        Array.from({ length: 8 }, async () => {
          using client = await daemon.connect();
          for (let sent = 0; sent < 35; sent++) expect(await ask(client, long)).toBe(200);
        }),
      );
      await eventually(async () => {
        using client = await daemon.connect();
        for (let sent = 0; sent < 20; sent++) expect(await ask(client, long)).toBe(200);
        return (await daemon.metric('portico_log_dropped_bytes_total')) > 0;
      }, daemon.exited);
      expect((await daemon.request('shop.test')).status).toBe(200);
      expect((await daemon.status('/readyz')).status).toBe(200);
      expect(await daemon.stop()).toBe(0);
    } finally {
      closeSync(pipe);
    }
  });
});
