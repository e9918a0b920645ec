/** What a server of RESP2 replies, as far as it is asked for here: lists are not. */
export type Reply =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'integer'; readonly value: number }
  | { readonly kind: 'error'; readonly message: string };

/** A command with its arguments, as it is sent. */
export function encodeCommand(words: readonly string[]): string {
  let out = `*${words.length}\r\n`;
  for (const word of words) out += `$${Buffer.byteLength(word)}\r\n${word}\r\n`;
  return out;
}

/** No reply that is asked for comes near it; a server that sends more is none of ours. */
const MOST_BYTES = 64 * 1024;

/** Takes replies from the bytes of a connection. */
export class ReplyReader {
  #held = '';

  /** The replies that are complete with these bytes; null when they are not RESP2, or too long. */
  read(bytes: string): readonly Reply[] | null {
    this.#held += bytes;
    const replies: Reply[] = [];
    let at = 0;
    for (;;) {
      const end = this.#held.indexOf('\r\n', at);
      if (end < 0) break;
      const text = this.#held.slice(at + 1, end);
      const type = this.#held[at];
      let next = end + 2;
      if (type === '+') replies.push({ kind: 'text', text });
      else if (type === '-') replies.push({ kind: 'error', message: text });
      else if (type === ':' && /^-?\d{1,15}$/.test(text))
        replies.push({ kind: 'integer', value: Number(text) });
      else if (type === '$' && /^\d{1,5}$/.test(text)) {
        const length = Number(text);
        next += length + 2;
        if (this.#held.length < next) break;
        replies.push({ kind: 'text', text: this.#held.slice(end + 2, end + 2 + length) });
      } else return null;
      at = next;
    }
    this.#held = this.#held.slice(at);
    return this.#held.length > MOST_BYTES ? null : replies;
  }
}
