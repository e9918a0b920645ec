import { spawnSync } from 'node:child_process';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ApiObject } from '../../support/api-server.ts';
import { type Daemon, HTTPS_PORT, startDaemon } from '../../support/daemon.ts';
import { type Http2Upstream, http2Upstream } from '../../support/http2-upstream.ts';
import { authority } from '../../support/tls-proxy.ts';
import { createFolder } from '../folder.ts';
import { INGRESS_CLASS, ingressOf, manifest, serviceOf, slicesOf } from '../site.ts';
import { happens } from '../../support/until.ts';
import { STAYS_OPEN } from '../../support/stays-open.ts';

/** Where the program is missing, its tests are skipped, and the output says so. */
export function isMissing(program: string, argument = '--version'): boolean {
  const missing = spawnSync(program, [argument]).error !== undefined;
  if (missing) console.warn(`${program} was not found: the tests that use it are skipped`);
  return missing;
}

/** One host with TLS whose every path goes to one port of 127.0.0.1. */
export interface TlsHost {
  readonly host: string;
  readonly port: number;
  /** As on the port of a Service. */
  readonly appProtocol?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The whole process, with HTTP/2 on both ports. */
export interface ServedHosts extends AsyncDisposable {
  readonly daemon: Daemon;
  /** A folder for the files of the test, with the certificate of the authority in `caFile`. */
  readonly folder: string;
  readonly caFile: string;
}

export async function serveHosts(hosts: readonly TlsHost[]): Promise<ServedHosts> {
  const folder = mkdtempSync(join(tmpdir(), 'portico-real-clients-'));
  const caFile = join(folder, 'ca.pem');
  writeFileSync(caFile, authority().certificate);
  const manifests = createFolder();
  const { certificate, key } = authority().issue(hosts.map(({ host }) => host));
  const encode = (text: string): string => Buffer.from(text).toString('base64');
  const secret: ApiObject = {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: { name: 'site', namespace: 'default' },
    data: { 'tls.crt': encode(certificate), 'tls.key': encode(key) },
  };
  await manifests.put('site.yaml', manifest(INGRESS_CLASS, secret, ...hosts.flatMap(objectsOf)));
  const places = ['--manifests', manifests.path, '--https-port', `${HTTPS_PORT}`];
  // Clients that do not ask again after a stream is refused: a hundred of their largest heads are more than a MiB.
  const limits = ['--limit', 'connection-held-bytes=4194304'];
  const daemon = startDaemon({
    args: [...places, ...limits, '--h2c', '--ssl-redirect=false', '--default-tls-secret', 'default/site'],
  });
  await daemon.ready();
  return {
    daemon,
    folder,
    caFile,
    async [Symbol.asyncDispose]() {
      await daemon[Symbol.asyncDispose]();
      await manifests[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function objectsOf({ host, port, appProtocol, annotations = {} }: TlsHost): ApiObject[] {
  const parts = { host, name: host.replace('.', '-'), endpoints: [`127.0.0.1:${port}`] };
  const ingress = ingressOf(parts);
  const service = serviceOf(parts);
  const spec = { ...(ingress['spec'] as object), tls: [{ hosts: [host], secretName: 'site' }] };
  const ports = [{ name: 'http', port: 80, ...(appProtocol !== undefined && { appProtocol }) }];
  return [
    { ...ingress, metadata: { ...ingress.metadata, annotations }, spec },
    { ...service, spec: { ports } },
    ...slicesOf(parts),
  ];
}

/** What bodies are made of that are asked for: not ASCII, as all is that clients say of themselves. */
export const LETTER = '\xe9';

/** Gives every body back, with the trailers as a field; without a body it says `pod`, or as many octets as asked for. */
export async function echoPod(): Promise<
  AsyncDisposable & { readonly port: number; readonly server: Server }
> {
  const server = createServer({ ...STAYS_OPEN, maxHeaderSize: 64 * 1024 }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (bytes: Buffer) => chunks.push(bytes));
    request.on('end', () => {
      const asked = /^\/bytes\/(\d+)/.exec(request.url ?? '')?.[1];
      response.setHeader('x-method', request.method ?? '');
      response.setHeader('x-trailers', JSON.stringify(request.trailers));
      const given = chunks.length > 0 ? Buffer.concat(chunks) : Buffer.from('pod');
      const body = asked === undefined ? given : Buffer.alloc(Number(asked), LETTER, 'latin1');
      response.setHeader('content-length', body.length);
      response.end(body);
    });
  });
  server.listen(0, '127.0.0.1');
  await happens(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    server,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** The same over HTTP/2; its trailers are those of the request. */
export function echoPodOfHttp2(): Promise<Http2Upstream> {
  return http2Upstream((stream, fields) => {
    const asked = /^\/bytes\/(\d+)/.exec(fields[fields.indexOf(':path') + 1] ?? '')?.[1];
    if (fields.includes('100-continue')) stream.additionalHeaders({ ':status': 100 });
    stream.respond(
      { ':status': 200, 'x-method': fields[fields.indexOf(':method') + 1] },
      { waitForTrailers: true },
    );
    let trailers = {};
    stream.on('trailers', (given) => (trailers = { ...given }));
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes', ...trailers }));
    if (asked !== undefined) return void stream.end(Buffer.alloc(Number(asked), LETTER, 'latin1'));
    stream.pipe(stream);
  });
}
