import type { SecureContext } from 'node:tls';
import { getSystemErrorName } from 'node:util';
import { type SocketCarrier, NativeSocket } from './native-socket.ts';
import { type TcpHandle, type TcpInternals, UV_EOF } from './tcp-internals.ts';
import type { TlsHandle, TlsInternals } from './tls-internals.ts';

/** What a handshake is done with. */
export interface HandshakeTerms {
  readonly context: SecureContext;
  /** Of the host that the client names, where it has one of its own. */
  named(serverName: string): SecureContext | undefined;
  /** Offered by ALPN, as RFC 7301 3.1 writes them. */
  readonly protocols: Buffer;
}

/** Called within OpenSSL, one of the two and once. */
export interface HandshakeUser {
  onSecured(socket: NativeSocket, tls: TlsHandle): void;
  /** The connection is closed; `code` is of Node or OpenSSL. */
  onHandshakeFailed(code: string | undefined): void;
}

/**
 * Larger pieces of what was read already would have Node take 16 KiB for the connection, for as long as it lives: its first
 * buffer has 1 KiB, and only a full one is followed by another.
 */
const PIECE_BYTES = 1_000;

/** The handshake of a client, on the handle of its connection. */
export class NativeHandshake implements SocketCarrier {
  readonly isSecure = true;
  readonly #tcp: TcpHandle;
  readonly #tls: TlsHandle;
  #user: HandshakeUser | null;
  #isClosed = false;

  /** Begins with what was read of the connection. */
  constructor(
    { tcp: native, tls }: { readonly tcp: TcpInternals; readonly tls: TlsInternals },
    tcp: TcpHandle,
    terms: HandshakeTerms,
    highWaterMark: number,
    user: HandshakeUser,
  ) {
    this.#tcp = tcp;
    this.#user = user;
    const handle = tls.wrap(tcp, terms.context);
    this.#tls = handle;
    handle.onhandshakestart = NOTHING;
    handle.oncertcb = ({ servername }) => {
      try {
        const context = servername ? terms.named(servername) : undefined;
        if (context) handle.sni_context = context.context;
        handle.certCbDone();
      } catch (fault) {
        this.#fail((fault as NodeJS.ErrnoException).code);
      }
    };
    handle.enableCertCb();
    handle.setALPNProtocols(terms.protocols);
    Object.assign(handle, { onerror: ({ code }: NodeJS.ErrnoException) => this.#fail(code) });
    handle.onread = (): undefined => {
      const length = native.bytesRead();
      if (length < 0) this.#fail(length === UV_EOF ? 'ECONNRESET' : getSystemErrorName(length));
    };
    handle.onhandshakedone = () => {
      const done = this.#user;
      this.#user = null;
      // The socket lives for long, and what the handshake was done with need not.
      handle.oncertcb = handle.onhandshakedone = NOTHING;
      if (done) done.onSecured(NativeSocket.secured(native, handle, this, highWaterMark), handle);
    };
  }

  begin(bytes: Buffer): void {
    for (let at = 0; at < bytes.length && !this.#isClosed; at += PIECE_BYTES)
      this.#tls.receive(bytes.subarray(at, at + PIECE_BYTES));
    if (this.#user) this.#tls.readStart();
  }

  #fail(code: string | undefined): void {
    const user = this.#user;
    this.destroy();
    user?.onHandshakeFailed(code);
  }

  get localAddress(): string {
    return this.#ownName().address ?? '';
  }

  get localPort(): number {
    return this.#ownName().port ?? 0;
  }

  #ownName(): { readonly address?: string; readonly port?: number } {
    const name: { address?: string; port?: number } = {};
    if (!this.#isClosed) this.#tcp.getsockname(name);
    return name;
  }

  get isPeerGone(): boolean {
    return this.#isClosed || this.#tcp.getpeername({}) < 0;
  }

  destroy(): void {
    if (this.#isClosed) return;
    this.#leave();
    this.#tcp.close(() => this.#tls.destroySSL());
  }

  reset(): void {
    if (this.#isClosed) return;
    this.#leave();
    this.#tcp.reset(() => this.#tls.destroySSL());
  }

  #leave(): void {
    this.#isClosed = true;
    this.#user = null;
  }
}

const NOTHING = (): void => {};
