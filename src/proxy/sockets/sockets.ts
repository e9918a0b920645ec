import { type Server, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { reset } from '../tls/termination.ts';
import type { ByteSocket, SocketUser } from './byte-socket.ts';
import { type PriorSocket, NativeSocket } from './native-socket.ts';
import { type HandshakeTerms, type HandshakeUser, NativeHandshake } from './native-handshake.ts';
import { NodeSocket } from './node-socket.ts';
import {
  TESTED_NODE_VERSIONS,
  type TcpHandle,
  type TcpInternals,
  acceptHandles,
  tcpInternals,
} from './tcp-internals.ts';
import { type TlsInternals, tlsInternals } from './tls-internals.ts';

/** What the connections of a data-plane thread are made of. */
export type Sockets = NodeSockets | NativeSockets;

/** Sockets of Node. */
export class NodeSockets {
  readonly kind = 'node';

  /** Connects to an IP address without TLS; `user` hears of it. */
  connect(address: string, port: number, highWaterMark: number, user: SocketUser): ByteSocket {
    const options = { host: address, port, highWaterMark, noDelay: true, allowHalfOpen: true };
    return NodeSocket.connect(options, user);
  }

  /** One that Node makes, over TLS or to a name: `user` hears of it once it is made and its handshake is done. */
  making(socket: Socket, _highWaterMark: number, user: SocketUser): ByteSocket {
    return NodeSocket.making(socket, user);
  }

  /** A connection of a client, its handshake done. Null when it is closed already. */
  take(socket: Socket, _highWaterMark: number): ByteSocket | null {
    return socket.destroyed ? null : new NodeSocket(socket, true);
  }
}

/** Sockets on the handles of libuv. */
export class NativeSockets {
  readonly kind = 'native';
  readonly #native: TcpInternals;
  readonly #tls: TlsInternals;

  constructor(native: TcpInternals, tls: TlsInternals) {
    this.#native = native;
    this.#tls = tls;
  }

  connect(address: string, port: number, highWaterMark: number, user: SocketUser): ByteSocket {
    return NativeSocket.connect(this.#native, address, port, highWaterMark, user);
  }

  making(socket: Socket, highWaterMark: number, user: SocketUser): ByteSocket {
    const made = NativeSocket.making(this.#native, carrierOf(socket), highWaterMark, user);
    return made ?? NodeSocket.making(socket, user);
  }

  take(socket: Socket, highWaterMark: number): ByteSocket | null {
    return NativeSocket.take(this.#native, carrierOf(socket), highWaterMark);
  }

  /** Gives what a server that listens accepts from now on to `accept`, and no more to its listeners. */
  acceptOn(server: Server, accept: (handle: TcpHandle) => void, onFault: (fault: unknown) => void): void {
    acceptHandles(server, (handle) => {
      try {
        accept(handle);
      } catch (fault) {
        handle.close();
        onFault(fault);
      }
    });
  }

  /** The peer of what was accepted; undefined when it is gone already. */
  remoteAddress(handle: TcpHandle): string | undefined {
    const name: { address?: string } = {};
    handle.getpeername(name);
    return name.address;
  }

  /** What was accepted, as it is. */
  wrap(handle: TcpHandle, highWaterMark: number): ByteSocket {
    return NativeSocket.accepted(this.#native, handle, highWaterMark);
  }

  /**
   * Reads what was accepted, before anything else is made of it. `onBytes` is given each piece, and stops it when that is enough;
   * `onEnd` is called when there will be no more.
   */
  readFirst(handle: TcpHandle, onBytes: (bytes: Buffer) => void, onEnd: () => void): void {
    const reading = handle as unknown as { onread: (bytes: ArrayBuffer | undefined) => void };
    reading.onread = (bytes) => {
      const length = this.#native.bytesRead();
      if (length < 0) onEnd();
      else if (bytes && length > 0) onBytes(Buffer.from(bytes, 0, length));
    };
    if (handle.readStart() < 0) onEnd();
  }

  /** Shakes hands on what was accepted; `begin` is to be called with what was read of it. */
  handshake(
    handle: TcpHandle,
    terms: HandshakeTerms,
    highWaterMark: number,
    user: HandshakeUser,
  ): NativeHandshake {
    return new NativeHandshake({ tcp: this.#native, tls: this.#tls }, handle, terms, highWaterMark, user);
  }

  /** What was accepted, as a socket of Node. */
  asNode(handle: TcpHandle, highWaterMark: number): Socket {
    const options = { handle, allowHalfOpen: true, highWaterMark };
    return new Socket(options as unknown as ConstructorParameters<typeof Socket>[0]);
  }
}

function carrierOf(socket: Socket): PriorSocket {
  return {
    socket,
    isSecure: socket instanceof TLSSocket,
    get localAddress() {
      return socket.localAddress ?? '';
    },
    get localPort() {
      return socket.localPort ?? 0;
    },
    get isPeerGone() {
      return socket.remoteAddress === undefined;
    },
    destroy: () => void socket.destroy(),
    reset: () => reset(socket),
  };
}

export const SOCKET_CHOICES = ['auto', 'native', 'node'] as const;
export type SocketChoice = (typeof SOCKET_CHOICES)[number];

export interface ChosenSockets {
  readonly sockets: Sockets;
  /** Why it is not what was asked for, or what is doubtful about it; empty when there is nothing to say. */
  readonly note: string;
}

/** `auto` chooses native sockets where they were tested. */
export function chooseSockets(choice: SocketChoice): ChosenSockets {
  const node = (note: string): ChosenSockets => ({ sockets: new NodeSockets(), note });
  if (choice === 'node') return node('');
  const { platform, versions } = process;
  const isTested = platform === 'linux' && TESTED_NODE_VERSIONS.includes(versions.node);
  const untested = `native sockets were tested with Node ${TESTED_NODE_VERSIONS.join(', ')} on Linux, and this is Node ${versions.node} on ${platform}`;
  if (choice === 'auto' && !isTested) return node(`${untested}: using sockets of Node, which cost more CPU`);
  try {
    return {
      sockets: new NativeSockets(tcpInternals(), tlsInternals()),
      note: isTested ? '' : `--sockets native: ${untested}`,
    };
  } catch (fault) {
    const reason = fault instanceof Error ? fault.message : String(fault);
    return node(
      `native sockets cannot be used with Node ${versions.node} (${reason}): using sockets of Node`,
    );
  }
}
