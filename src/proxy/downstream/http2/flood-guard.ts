/** What a client did on its connection within a time, as far as it costs us more than the client. */
interface Tally {
  /** Streams that ended before they were answered, by whichever side, and those that were malformed. */
  resets: number;
  answered: number;
  settings: number;
  pings: number;
  /** Streams beyond the limit. */
  refused: number;
  /** Frames that carry nothing, or nothing that was needed. */
  idleFrames: number;
}

const WITHIN_MS = 10_000;
/** Clients also give up in good faith; those who mean it give up nearly all they ask. */
const MOST_RESETS = 200;
/** Nobody has that much to change. */
const MOST_SETTINGS = 100;
/** gRPC measures its bandwidth with them, once per round trip while bytes flow. */
const MOST_PINGS = 10_000;
/** A client may have asked for as many before it has heard of the limit. */
const MOST_REFUSED = 1_000;
const MOST_IDLE_FRAMES = 10_000;

/** Counts what is cheap to send and dear to receive (RFC 9113 10.5), and says when it is too much. */
export class FloodGuard {
  #since: number;
  #tally: Tally = noTally();

  /** `now` on the monotonic clock, as of all calls. */
  constructor(now: number) {
    this.#since = now;
  }

  /** One more of these; true when the connection must end. */
  count(what: keyof Tally, now: number): boolean {
    if (now - this.#since > WITHIN_MS) {
      this.#since = now;
      this.#tally = noTally();
    }
    const tally = this.#tally;
    tally[what]++;
    return (
      (tally.resets > MOST_RESETS && tally.resets > tally.answered) ||
      tally.settings > MOST_SETTINGS ||
      tally.pings > MOST_PINGS ||
      tally.refused > MOST_REFUSED ||
      tally.idleFrames > MOST_IDLE_FRAMES
    );
  }
}

function noTally(): Tally {
  return { resets: 0, answered: 0, settings: 0, pings: 0, refused: 0, idleFrames: 0 };
}
