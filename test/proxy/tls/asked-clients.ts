import type { ConnectionOptions, TLSSocket } from 'node:tls';
import type { KeyPair } from '../../../src/model/secrets.ts';
import type { ClientAuth } from '../../../src/policies/client-certificate.ts';
import { createAuthority } from '../../support/certificates.ts';
import { get } from '../../support/raw-client.ts';
import { type TlsProxy, type TlsSite, authority, secureClient } from '../../support/tls-proxy.ts';
import type { RecordingUpstream } from '../../support/upstream.ts';
import type { WireMessage } from '../../support/wire.ts';
import { happens } from '../../support/until.ts';

export const keys = { 'shop/all': authority().issue(['*.test', 'app.test', 'open.test', 'other.test']) };
export const clients = createAuthority();
export const strangers = createAuthority();
export const ada = clients.issue(['ada'], { organizationName: 'Bücher, Sons + "Co"' });
export const mallory = strangers.issue(['mallory']);

export const policy = (policyId: string, change: Partial<ClientAuth> = {}): ClientAuth => {
  return { policyId, required: true, caCertificates: clients.certificate, passCertificate: false, ...change };
};
export const REQUIRED = policy('required');
export const OPTIONAL = policy('optional', { required: false });
export const PASSED = policy('passed', { passCertificate: true });
export const STRANGERS = policy('strangers', { caCertificates: strangers.certificate });

export const shows = ({ certificate, key }: KeyPair): ConnectionOptions => ({ cert: certificate, key });

/** `app.test` asks, `open.test` does not. */
export const sites = (port: number, asked: ClientAuth, ...more: TlsSite[]): TlsSite[] => [
  { ports: [port], secret: 'shop/all', clients: asked },
  { ports: [port], secret: 'shop/all', host: 'open.test' },
  ...more.map((site) => ({ secret: 'shop/all', ...site, ports: [port] })),
];

/** One request on a connection of its own. */
export async function ask(
  proxy: TlsProxy,
  options: ConnectionOptions = {},
  host = 'app.test',
  ...fields: string[]
): Promise<WireMessage> {
  using client = await secureClient(proxy.httpsPort, host, options);
  client.wire.send(get('/', ...fields).replace('app.test', host));
  return await client.wire.message();
}

export const toldOf = (upstream: RecordingUpstream, index = -1): Record<string, string> => {
  const fields = upstream.requests.at(index)?.fields ?? [];
  return Object.fromEntries(
    fields
      .map(([name, value]) => [name.toLowerCase(), value])
      .filter(([name]) => /^ssl[-_]client/.test(name ?? '')),
  );
};

/** Under TLS 1.3 a session comes after the handshake. */
export async function sessionOf(socket: TLSSocket): Promise<Buffer> {
  const session = socket.getSession();
  if (socket.getProtocol() !== 'TLSv1.3' && session) return session;
  const [given] = (await happens(socket, 'session')) as [Buffer];
  return given;
}
