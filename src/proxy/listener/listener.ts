import { type AddressInfo, type Socket, createServer } from 'node:net';
import { plainAddress } from '../../http/address.ts';
import type { EngineContext, ListenAddress } from '../engine.ts';
import { type ConnectionInfo, directConnection } from '../../http/connection-info.ts';
import type { PendingConnection, PendingConnections } from './pending-connections.ts';
import { proxiedConnection, readProxyHeader } from './proxy-protocol.ts';
import type { HandshakeFailure } from '../tls/handshake-counters.ts';
import { refusePlainRequest } from '../tls/plain-request.ts';
import { readServerName } from '../tls/client-hello.ts';
import { type SecurePort, createSecurePort } from '../tls/secure-port.ts';
import { portKey } from '../../routing/table.ts';
import type { ByteSocket } from '../sockets/byte-socket.ts';
import type { NativeHandshake } from '../sockets/native-handshake.ts';
import type { NativeSockets } from '../sockets/sockets.ts';
import type { TcpHandle } from '../sockets/tcp-internals.ts';

/** A port, and the connections on it that have not come to their first request yet. */
export interface OpenListener {
  /** As `ConnectionInfo.listener` of its connections. */
  readonly id: number;
  readonly port: number;
  /** Connections whose PROXY header or handshake is awaited. */
  readonly pending: number;
  /** Accepts no more. Those that are pending have a moment left to become the engine's. */
  close(): void;
}

/** What takes connections of which Node makes no socket. */
export interface NativeAccept {
  readonly sockets: NativeSockets;
  /** `protocol` is what ALPN agreed on. */
  accept(socket: ByteSocket, connectionInfo: ConnectionInfo, protocol: string): void;
}

/** Connections the kernel keeps for us while we are busy; it takes less where net.core.somaxconn is less. */
const BACKLOG = 4096;
/** What a client that is still in its handshake is given when we stop. */
const LAST_MOMENT_MS = 1_000;
/** RFC 8446 5.1: the first byte of a handshake. */
const HANDSHAKE = 0x16;

const NOTHING = Buffer.alloc(0);
const NO_NAME = { kind: 'known', name: null } as const;

let lastId = 0;

/**
 * Listens, and gives each connection to `accept` when its first request can be read: at once on a plain port, after
 * the PROXY header where the peer may send one, after the handshake on a TLS port. Rejects with the system's error.
 * `protocols` are offered by ALPN (RFC 7301), the best first. With `native`, connections that need no step before go there.
 */
export function openListener(
  address: ListenAddress,
  context: EngineContext,
  pendingOfAll: PendingConnections,
  accept: (socket: Socket, connectionInfo: ConnectionInfo) => void,
  protocols: readonly string[] = ['http/1.1'],
  native: NativeAccept | null = null,
): Promise<OpenListener> {
  const { limits, certificates, proxyProtocolFrom, proxyProtocolHttpsPorts = [] } = context;
  const { host, port, reusePort, scheme = 'http' } = address;
  if (scheme === 'https' && !certificates)
    throw new TypeError('a TLS port was asked for without certificates');
  const highWaterMark = limits.bufferBytes / 2;
  const pending = new Set<PendingConnection>();
  const id = ++lastId;
  let accepted: Pick<ConnectionInfo, 'listener' | 'portKey' | 'gatewayOnly'> = address.gatewayPort
    ? { listener: id, portKey: address.gatewayPort, gatewayOnly: true }
    : { listener: id, portKey: portKey('', port) };
  const secure =
    scheme === 'https' && certificates
      ? createSecurePort(certificates, context, protocols, () => accepted)
      : null;

  const server = createServer({ noDelay: true, allowHalfOpen: true, highWaterMark }, (raw) => {
    const peer = plainAddress(raw.remoteAddress);
    const connectionInfo = infoOf(peer, raw.localPort ?? 0);
    const proxied = isProxied(peer);
    if (secure || proxied) approach(raw, connectionInfo, proxied);
    else accept(raw, connectionInfo);
  });

  function infoOf(peer: string, ownPort: number): ConnectionInfo {
    const trusted = context.trustedProxies.includes(peer);
    return { ...directConnection(peer, trusted, scheme, address.clientPort ?? ownPort), ...accepted };
  }

  function isProxied(peer: string): boolean {
    return proxyProtocolFrom?.includes(peer) ?? false;
  }

  function acceptHandle(native: NativeAccept, handle: TcpHandle, ownPort: number): void {
    const { sockets } = native;
    const peer = plainAddress(sockets.remoteAddress(handle));
    const connectionInfo = infoOf(peer, ownPort);
    if (isProxied(peer)) approach(sockets.asNode(handle, highWaterMark), connectionInfo, true);
    else if (secure) approachHandle(native, secure, handle, connectionInfo);
    else native.accept(sockets.wrap(handle, highWaterMark), connectionInfo, '');
  }

  /** The same as `approach` does to a TLS port, without a socket of Node unless one is needed. */
  function approachHandle(
    native: NativeAccept,
    secure: SecurePort,
    handle: TcpHandle,
    direct: ConnectionInfo,
  ): void {
    const { sockets } = native;
    const endsAt = performance.now() + limits.handshakeTimeoutMs;
    let bytes: Buffer = NOTHING;
    let handshake: NativeHandshake | null = null;
    const waiting = {
      destroy() {
        settle();
        if (handshake) handshake.destroy();
        else handle.close();
      },
      evict: () => fail('no-room'),
    };
    const fail = (reason: HandshakeFailure): void => {
      context.handshakes?.failed(waiting, reason);
      waiting.destroy();
    };
    const deadline = setTimeout(fail, limits.handshakeTimeoutMs, 'timeout');
    const settle = (): void => {
      clearTimeout(deadline);
      pending.delete(waiting);
      pendingOfAll.delete(waiting);
    };
    pendingOfAll.add(waiting, direct.clientAddress);
    pending.add(waiting);

    const begin = (serverName: string | null): void => {
      handle.readStop();
      const terms = bytes[0] === HANDSHAKE ? secure.terms(serverName) : null;
      if (!terms) {
        settle();
        const raw = sockets.asNode(handle, highWaterMark);
        raw.unshift(bytes);
        return approach(raw, direct, false, endsAt - performance.now());
      }
      handshake = sockets.handshake(handle, terms, highWaterMark, {
        onSecured(socket, tls) {
          settle();
          try {
            const info = secure.secured(tls, serverName, direct);
            if (info) native.accept(socket, info, tls.getALPNNegotiatedProtocol() || '');
            else socket.destroy();
          } catch (fault) {
            socket.destroy();
            context.onFault(fault);
          }
        },
        onHandshakeFailed(code) {
          settle();
          secure.failed(waiting, code);
        },
      });
      const first = bytes;
      bytes = NOTHING;
      handshake.begin(first);
    };

    sockets.readFirst(
      handle,
      (came) => {
        bytes = bytes.length === 0 ? came : Buffer.concat([bytes, came]);
        try {
          const asked = bytes[0] === HANDSHAKE && secure.readsNames() ? readServerName(bytes) : NO_NAME;
          if (asked.kind !== 'more') begin(asked.name);
        } catch (fault) {
          waiting.destroy();
          context.onFault(fault);
        }
      },
      waiting.destroy,
    );
  }

  /** The way of a connection from the accept to the engine, within one time limit. */
  function approach(
    raw: Socket,
    direct: ConnectionInfo,
    mayBeProxied: boolean,
    limitMs = limits.handshakeTimeoutMs,
  ): void {
    let bytes: Buffer = Buffer.alloc(0);
    let connectionInfo = direct;
    let proxied = mayBeProxied;
    const destroy = (): void => void raw.destroy();
    const fail = (reason: HandshakeFailure): void => {
      if (secure) context.handshakes?.failed(raw, reason);
      destroy();
    };
    const waiting = { destroy, evict: () => fail('no-room') };
    const deadline = setTimeout(fail, limitMs, 'timeout');
    const settle = (): void => {
      clearTimeout(deadline);
      pending.delete(waiting);
      pendingOfAll.delete(waiting);
    };
    pendingOfAll.add(waiting, direct.clientAddress);
    pending.add(waiting);
    raw.on('error', () => undefined);
    raw.once('close', settle);
    raw.once('end', destroy);
    raw.on('readable', look);

    function look(): void {
      for (let chunk = raw.read() as Buffer | null; chunk; chunk = raw.read() as Buffer | null) {
        bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
      }
      if (bytes.length === 0) return;
      if (proxied && !readProxied()) return;
      if (bytes.length > 0 || !secure) goOn();
    }

    /** Whether it is known what the load balancer says, if it says anything. */
    function readProxied(): boolean {
      const header = readProxyHeader(bytes);
      switch (header.kind) {
        case 'more':
          return false;
        case 'bad':
          raw.destroy();
          return false;
        case 'none':
          break;
        case 'header':
          bytes = bytes.subarray(header.length);
          if (header.addresses) {
            connectionInfo = proxiedConnection(direct, header.addresses, proxyProtocolHttpsPorts);
            pendingOfAll.move(waiting, connectionInfo.clientAddress);
          }
          break;
        default:
          header satisfies never;
      }
      proxied = false;
      return true;
    }

    function goOn(): void {
      const isHandshake = secure !== null && bytes[0] === HANDSHAKE;
      const asked = isHandshake && secure.readsNames() ? readServerName(bytes) : null;
      if (asked?.kind === 'more') return;
      raw.off('readable', look);
      raw.off('end', destroy);
      if (bytes.length > 0) raw.unshift(bytes);
      if (!secure) return arrive(raw, connectionInfo);
      if (isHandshake) return secure.begin(raw, asked?.name ?? null, connectionInfo, arrive, settle);
      settle();
      refusePlainRequest(raw, connectionInfo, context);
    }

    function arrive(socket: Socket, info: ConnectionInfo): void {
      raw.off('close', settle);
      settle();
      accept(socket, info);
    }
  }

  const { promise, resolve, reject } = Promise.withResolvers<OpenListener>();
  server.once('error', reject);
  server.listen({ ...(host !== undefined && { host }), port, reusePort, backlog: BACKLOG }, () => {
    server.off('error', reject);
    // A failing accept (no file descriptors left) must not end the thread; the listener goes on.
    server.on('error', () => undefined);
    const ownPort = (server.address() as AddressInfo).port;
    if (!address.gatewayPort) accepted = { listener: id, portKey: portKey('', ownPort) };
    if (native)
      native.sockets.acceptOn(server, (handle) => acceptHandle(native, handle, ownPort), context.onFault);
    resolve({
      id,
      port: ownPort,
      get pending() {
        return pending.size;
      },
      close() {
        server.close();
        setTimeout(() => pending.forEach((waiting) => waiting.destroy()), LAST_MOMENT_MS).unref();
      },
    });
  });
  return promise;
}
