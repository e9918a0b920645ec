import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { until } from '../support/until.ts';
import type { PodResponse } from './case.ts';
import { happens } from '../support/until.ts';

/** What a Pod received. */
export interface ReceivedRequest {
  readonly request: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

/** A Pod that responds with what is set, and keeps what it receives. */
export interface EchoPod extends AsyncDisposable {
  readonly port: number;
  readonly received: readonly ReceivedRequest[];
  /** Forgets what it received; responds like this from now on. */
  expect(response: PodResponse): void;
  /** Resolves when it received a request. */
  reached(): Promise<void>;
}

export async function startEchoPod(name: string): Promise<EchoPod> {
  let response: PodResponse = {};
  let received: ReceivedRequest[] = [];
  const server = createServer((request, answer) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method, url, httpVersion, rawHeaders } = request;
      const fields = rawHeaders.flatMap((field, i) =>
        i % 2 === 0 ? [[field.toLowerCase(), rawHeaders[i + 1] ?? ''] as const] : [],
      );
      received.push({
        request: `${method} ${url} HTTP/${httpVersion}`,
        fields,
        body: Buffer.concat(chunks).toString('latin1'),
      });
      const { status = 200, headers = {}, body = name, silent = false } = response;
      if (silent) return;
      answer.writeHead(status, { 'x-pod': name, 'content-type': 'text/plain', ...headers });
      answer.end(body);
    });
  });
  server.keepAliveTimeout = 120_000;
  server.listen(0, '127.0.0.1');
  await happens(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    get received() {
      return received;
    },
    expect(next) {
      response = next;
      received = [];
    },
    reached: () => until(() => received.length > 0, `a request reaches ${name}`),
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await happens(server, 'close');
    },
  };
}
