/**
 * What a reader accepts beyond the grammar of RFC 9112. Requests are read strictly. Responses need not be: they are
 * framed anew for the client, so that no client can read them in another way.
 */
export interface Leniency {
  /** Blanks around a chunk size, and between the name of a field and its colon, which is removed (RFC 9112 5.1). */
  readonly blanks: boolean;
  /** Lines of a head that end with LF alone (RFC 9112 2.2). */
  readonly bareLf: boolean;
}

export const STRICT: Leniency = { blanks: false, bareLf: false };
