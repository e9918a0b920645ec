import type { Socket } from 'node:net';
import { type SecureContext, type SecureContextOptions, type TLSSocket, createSecureContext } from 'node:tls';
import type { ConnectionInfo, Handshake } from '../../http/connection-info.ts';
import type { ClientAuth } from '../../policies/client-certificate.ts';
import type { ArrivalPort } from '../../routing/gateway-routes.ts';
import { normalizeHost } from '../../routing/match.ts';
import type { EngineContext } from '../engine.ts';
import type { CertificateStore } from './certificate-store.ts';
import type { HandshakeTerms } from '../sockets/native-handshake.ts';
import type { TlsHandle } from '../sockets/tls-internals.ts';
import { HandshakeCounters, handshakeFailure } from './handshake-counters.ts';
import { type Termination, createTermination } from './termination.ts';
import { refuseName } from './unrecognized-name.ts';
import { createVerification } from './verification.ts';

/** What becomes of the TLS connections of one port. */
export interface SecurePort {
  /** Whether the name that a client asks for must be known before its handshake. */
  readsNames(): boolean;
  /**
   * Takes over a connection of which no byte is taken yet; `serverName` is what the client asks for (SNI), if that was read.
   * Calls `arrived` when requests follow, and `left` when it goes another way; neither when the handshake fails.
   */
  begin(
    raw: Socket,
    serverName: string | null,
    connectionInfo: ConnectionInfo,
    arrived: (socket: TLSSocket, connectionInfo: ConnectionInfo) => void,
    left: () => void,
  ): void;
  /** What to shake hands with where that needs no socket of Node; null where `begin` is to decide. */
  terms(serverName: string | null): HandshakeTerms | null;
  /** How a connection came whose handshake was done with `terms`; null when it is to be closed. */
  secured(tls: TlsHandle, serverName: string | null, connectionInfo: ConnectionInfo): ConnectionInfo | null;
  failed(connection: object, code: string | undefined): void;
}

/** `protocols` are offered by ALPN where requests follow, `arrival` is where the connections come in. */
export function createSecurePort(
  certificates: CertificateStore,
  context: EngineContext,
  protocols: readonly string[],
  arrival: () => ArrivalPort,
): SecurePort {
  const { clientPolicies, tlsStreams, handshakes: counters = new HandshakeCounters() } = context;
  const verification = createVerification(
    certificates,
    protocols,
    () => context.now(),
    counters,
    (key) => context.secret?.(key),
  );
  // Made when they are wanted: a thread may have many ports.
  let requests: Termination | null = null;
  let streams: Termination | null = null;

  let standard: { readonly options: SecureContextOptions; readonly context: SecureContext } | null = null;
  const alpn = Buffer.concat(
    protocols.map((name) => Buffer.concat([Buffer.of(name.length), Buffer.from(name, 'latin1')])),
  );

  const hasGateways = (): boolean => {
    const { portKey, gatewayOnly } = arrival();
    return gatewayOnly === true || (portKey !== undefined && context.gatewayPort?.(portKey) !== undefined);
  };

  /** Null where the name makes no difference. */
  const askedFor = (serverName: string | null): string | null =>
    hasGateways() ? (normalizeHost(serverName ?? '') ?? '') : null;

  return {
    readsNames: () =>
      hasGateways() ||
      certificates.rejectsUnknownHosts ||
      (clientPolicies?.any() ?? false) ||
      (tlsStreams?.any() ?? false),

    begin(raw, serverName, direct, arrived, left) {
      const at = arrival();
      const stream = tlsStreams?.of(serverName, at) ?? null;
      if (stream?.mode === 'passthrough') {
        left();
        return tlsStreams?.relay(raw, stream, direct.clientAddress);
      }
      if (!certificates.has(serverName, at)) {
        left();
        // As a stream without a backend is: an alert is an answer of a TLS server, which there is none of.
        if (tlsStreams?.only(at)) return void raw.resetAndDestroy();
        counters.failed(raw, 'unrecognized-name');
        return refuseName(raw);
      }
      const asked = askedFor(serverName);
      const connectionInfo = asked ? { ...direct, serverName: asked } : direct;
      /** OpenSSL has read the same bytes, and chose the certificate by what it found. */
      const isAsAsked = (socket: TLSSocket): boolean => {
        const isSame = asked === null || nameOf(socket) === asked;
        if (!isSame) socket.destroy();
        return isSame;
      };
      if (stream) {
        streams ??= createTermination(certificates, [], arrival, counters);
        return streams.begin(raw, (socket) => {
          if (!isAsAsked(socket)) return;
          left();
          tlsStreams?.relay(socket, stream, direct.clientAddress);
        });
      }
      const policy = clientPolicies?.of(serverName, at);
      if (!policy) {
        requests ??= createTermination(certificates, protocols, arrival, counters);
        return requests.begin(raw, (socket) => {
          if (isAsAsked(socket)) arrived(socket, { ...connectionInfo, handshake: handshakeOf(socket) });
        });
      }
      verification.begin(raw, serverName, policy, at, (socket, certificate) => {
        if (!isAsAsked(socket)) return;
        if (isRefused(policy, certificate.verdict)) {
          counters.failed(raw, 'client-certificate');
          socket.destroy();
        } else arrived(socket, { ...connectionInfo, handshake: handshakeOf(socket), certificate });
      });
    },

    terms(serverName) {
      const at = arrival();
      if (tlsStreams?.of(serverName, at) || clientPolicies?.of(serverName, at)) return null;
      const wanted = certificates.has(serverName, at) ? certificates.standard(at) : null;
      if (!wanted) return null;
      if (standard?.options !== wanted) {
        // As servers of Node do.
        const context = createSecureContext({ ...wanted, honorCipherOrder: true });
        standard = { options: wanted, context };
      }
      return { context: standard.context, protocols: alpn, named: (name) => certificates.named(name, at) };
    },

    secured(tls, serverName, direct) {
      counters.succeeded(tls);
      const asked = askedFor(serverName);
      const servername = tls.getServername();
      if (asked !== null && nameOf({ servername }) !== asked) return null;
      const handshake = {
        version: tls.getProtocol(),
        cipher: tls.getCipher().name,
        serverName: nameOf({ servername }),
      };
      return { ...direct, ...(asked && { serverName: asked }), handshake };
    },

    failed: (connection, code) => counters.failed(connection, handshakeFailure(code)),
  };
}

function nameOf({ servername }: { readonly servername: string | false | null }): string {
  return (typeof servername === 'string' && normalizeHost(servername)) || '';
}

function handshakeOf(socket: TLSSocket): Handshake {
  return { version: socket.getProtocol() ?? '', cipher: socket.getCipher().name, serverName: nameOf(socket) };
}

/** Whether a connection ends with its handshake, because of what the client showed. */
function isRefused(
  { enforced, required }: ClientAuth,
  verdict: NonNullable<ConnectionInfo['certificate']>['verdict'],
): boolean {
  return enforced === 'in-handshake' && (verdict === 'refused' || (verdict === 'missing' && required));
}
