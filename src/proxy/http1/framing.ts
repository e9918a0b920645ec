/** How a body is delimited (RFC 9112 6). */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  /** A response that ends with its connection. */
  | { readonly kind: 'until-close' };

export const NO_BODY: Framing = { kind: 'none' };
export const CHUNKED: Framing = { kind: 'chunked' };
export const UNTIL_CLOSE: Framing = { kind: 'until-close' };

/** Of a Content-Length; 0 and its absence (-1) are a request without a body. */
export function lengthOf(contentLength: number): Framing {
  return contentLength > 0 ? { kind: 'length', length: contentLength } : NO_BODY;
}

/** How the body of a response is framed for the client; a stream frames by itself, so `chunked` is "no length told" to it. */
export type ClientFraming = 'none' | 'length' | 'chunked' | 'until-close';

/** The `Connection` option in a response to the client; empty where the HTTP version says it already. */
export type ConnectionOption = '' | 'close' | 'keep-alive' | 'Upgrade';
