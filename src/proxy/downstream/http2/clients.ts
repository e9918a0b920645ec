import type { ByteSocket } from '../../sockets/byte-socket.ts';
import type { ConnectionInfo } from '../../../http/connection-info.ts';
import { type DeadlineList, DeadlineLists } from '../../deadlines.ts';
import type { EngineState } from '../../engine-state.ts';
import { LINGER_MS } from '../../unread-body.ts';
import { ClientSession, type SessionTimes } from './client-session.ts';
import type { ClientStream } from './client-stream.ts';

/** Where connections that speak HTTP/2 come in, and what their time limits share. */
export class Http2Clients implements SessionTimes {
  readonly engine: EngineState;
  readonly prefaces: DeadlineList<ClientSession>;
  readonly heads: DeadlineList<ClientSession>;
  readonly idles: DeadlineList<ClientSession>;
  /** For all that was written before it. */
  readonly farewells: DeadlineList<ClientSession>;
  /** After our last frame. */
  readonly lingers: DeadlineList<ClientSession>;
  readonly bodies: DeadlineList<ClientStream>;
  /** Of gRPC calls, whose streams may be silent for long. */
  readonly calls: DeadlineLists<ClientStream>;
  readonly leftovers: DeadlineList<ClientStream>;

  constructor(engine: EngineState) {
    const { deadlines } = engine;
    const { limits } = engine.context;
    this.engine = engine;
    const close = (session: ClientSession): void => session.close();
    this.prefaces = deadlines.list(limits.clientHeadTimeoutMs, (session) => session.destroy());
    this.heads = deadlines.list(limits.clientHeadTimeoutMs, (session) => session.headTimedOut());
    this.farewells = deadlines.list(limits.bodyIdleTimeoutMs, (session) => session.destroy());
    this.lingers = deadlines.list(LINGER_MS, (session) => session.destroy());
    this.idles = deadlines.list(limits.keepAliveIdleTimeoutMs, close);
    this.bodies = deadlines.list(limits.bodyIdleTimeoutMs, (stream) => stream.bodyTimedOut());
    this.calls = new DeadlineLists(deadlines, (stream) => stream.bodyTimedOut());
    for (const idle of [this.idles, this.prefaces, this.lingers]) engine.clients.evictFrom(idle);
    this.leftovers = deadlines.list(limits.bodyIdleTimeoutMs, (stream) => stream.destroy());
  }

  /** As `EngineState.limitsChanged`. */
  limitsChanged(): void {
    const { limits } = this.engine.context;
    for (const list of [this.prefaces, this.heads]) list.change(limits.clientHeadTimeoutMs);
    this.idles.change(limits.keepAliveIdleTimeoutMs);
    this.bodies.change(limits.bodyIdleTimeoutMs);
  }

  /** Takes over a connection: its next bytes are the client's preface (RFC 9113 3.4). */
  accept(socket: ByteSocket, connectionInfo: ConnectionInfo): void {
    this.engine.clients.add(new ClientSession(this, socket, connectionInfo));
  }
}
