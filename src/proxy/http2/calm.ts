/** What a client did on its connection within a time, as far as it costs us more than the client. */
interface Tally {
  /** Streams that ended before they were answered. */
  resets: number;
  answered: number;
  settings: number;
  pings: number;
}

const WITHIN_MS = 10_000;
/** Clients also give up in good faith; those who mean it give up nearly all they ask. */
const MOST_RESETS = 200;
/** Nobody has that much to change. */
const MOST_SETTINGS = 100;
/** gRPC measures its bandwidth with them, once per round trip while bytes flow. */
const MOST_PINGS = 10_000;

/** Counts what is cheap to send and dear to receive (RFC 9113 10.5), and says when it is too much. */
export class Calm {
  #since: number;
  #tally: Tally = { resets: 0, answered: 0, settings: 0, pings: 0 };

  /** `now` on the monotonic clock, as of all calls. */
  constructor(now: number) {
    this.#since = now;
  }

  /** One more of these; true when the connection must end. */
  disturbedBy(what: keyof Tally, now: number): boolean {
    if (now - this.#since > WITHIN_MS) {
      this.#since = now;
      this.#tally = { resets: 0, answered: 0, settings: 0, pings: 0 };
    }
    const tally = this.#tally;
    tally[what]++;
    return (
      (tally.resets > MOST_RESETS && tally.resets > tally.answered) ||
      tally.settings > MOST_SETTINGS ||
      tally.pings > MOST_PINGS
    );
  }
}
