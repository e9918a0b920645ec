import { type LookupFunction, type Socket, type TcpNetConnectOpts, isIPv6 } from 'node:net';

/** An address that could not be reached comes after the others for so long. */
const AVOIDED_MS = 30_000;
/** RFC 8305 8: how long one address is tried before the next is. Doubled when none of them answered in time. */
const ATTEMPT_MS = 250;
const LONGEST_ATTEMPT_MS = 2_000;

/**
 * The addresses of one name. A connection to the name tries them all, one after the other, until one answers: families
 * take turns, as Happy Eyeballs has it (RFC 8305 4), beginning with the one that answered last.
 */
export class NameAddresses {
  #addresses: readonly string[] = [];
  /** When an address that failed is tried in its turn again. */
  readonly #avoidedUntil = new Map<string, number>();
  /** Where the next connection begins, so that they spread. */
  #turn = 0;
  #ipv6First = true;
  #attemptMs = ATTEMPT_MS;

  get addresses(): readonly string[] {
    return this.#addresses;
  }

  set addresses(addresses: readonly string[]) {
    this.#addresses = addresses;
    for (const address of this.#avoidedUntil.keys()) {
      if (!addresses.includes(address)) this.#avoidedUntil.delete(address);
    }
  }

  /** In the order in which a connection tries them; `now` in milliseconds since the epoch. */
  inOrder(now: number): readonly string[] {
    const all = this.#addresses;
    const start = all.length === 0 ? 0 : this.#turn++ % all.length;
    const turned = [...all.slice(start), ...all.slice(0, start)];
    const avoided = turned.filter((address) => now < (this.#avoidedUntil.get(address) ?? 0));
    const good = turned.filter((address) => !avoided.includes(address));
    return [...this.#takeTurns(good), ...this.#takeTurns(avoided)];
  }

  #takeTurns(addresses: readonly string[]): readonly string[] {
    const ipv6 = addresses.filter(isIPv6);
    const ipv4 = addresses.filter((address) => !isIPv6(address));
    const [first, second] = this.#ipv6First ? [ipv6, ipv4] : [ipv4, ipv6];
    const ordered: string[] = [];
    for (let i = 0; i < Math.max(first.length, second.length); i++) {
      ordered.push(...first.slice(i, i + 1), ...second.slice(i, i + 1));
    }
    return ordered;
  }

  /** What a socket needs besides the name and the port to connect to one of the addresses, and to no other. */
  get connectOptions(): Pick<
    TcpNetConnectOpts,
    'lookup' | 'autoSelectFamily' | 'autoSelectFamilyAttemptTimeout'
  > {
    return {
      lookup: this.#lookup,
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: this.#attemptMs,
    };
  }

  readonly #lookup: LookupFunction = (host, _, done) => {
    const found = this.inOrder(Date.now()).map((address) => ({ address, family: isIPv6(address) ? 6 : 4 }));
    const error =
      found.length > 0 ? null : Object.assign(new Error(`no address of ${host}`), { code: 'ENOTFOUND' });
    process.nextTick(done, error, found);
  };

  /** Learns from what becomes of a socket that connects with these options. */
  watch(socket: Socket): void {
    let isConnected = false;
    const failed = (address: string): void => {
      this.#avoidedUntil.set(address, Date.now() + AVOIDED_MS);
    };
    socket.on('connectionAttemptFailed', failed);
    socket.on('connectionAttemptTimeout', failed);
    socket.once('connect', () => {
      isConnected = true;
      this.#attemptMs = ATTEMPT_MS;
      this.#ipv6First = socket.remoteFamily === 'IPv6';
      this.#avoidedUntil.delete(socket.remoteAddress ?? '');
    });
    socket.once('close', () => {
      if (!isConnected) this.#attemptMs = Math.min(this.#attemptMs * 2, LONGEST_ATTEMPT_MS);
    });
  }
}
