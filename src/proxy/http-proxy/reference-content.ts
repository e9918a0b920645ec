import type { IncomingMessage } from 'node:http';
import type { RequestContent } from '../../http/request-content.ts';
import { ContentCopy, CopyMemory } from '../content-copy.ts';

/** Of the thread: there is one engine on it. */
const copyMemory = new CopyMemory();

/** The body of a request as `node:http` reads it. */
export class ReferenceContent implements RequestContent {
  readonly #request: IncomingMessage;

  constructor(request: IncomingMessage) {
    this.#request = request;
  }

  get exists(): boolean {
    return this.#length !== 0;
  }

  /** Does not start the flow, which the exchange has paused. */
  copy(namespace: string): ContentCopy {
    const request = this.#request;
    const copy = new ContentCopy(copyMemory, namespace, this.#length);
    request.on('data', (chunk: Buffer) => {
      copy.add(chunk, 0, chunk.length);
      copy.flush();
    });
    if (request.readableEnded) copy.end();
    request.once('end', () => copy.end());
    request.once('close', () => copy.lose('client-gone'));
    return copy;
  }

  /** Never asked for: a route that wants it is answered with 501. */
  whole(): Promise<null> {
    return Promise.resolve(null);
  }

  /** Null in chunks. */
  get #length(): number | null {
    const { rawHeaders } = this.#request;
    const named = (name: string): number =>
      rawHeaders.findIndex((each, i) => i % 2 === 0 && each.toLowerCase() === name);
    if (named('transfer-encoding') >= 0) return null;
    const at = named('content-length');
    return at < 0 ? 0 : Number(rawHeaders[at + 1]);
  }
}
