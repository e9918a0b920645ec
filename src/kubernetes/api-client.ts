import type { ApiCall } from './api-request.ts';
import type { ApiConnection } from './api-connection.ts';

/** More than any answer that is asked for here: a page of 250 Pods is about two megabytes. */
const LONGEST_BODY_BYTES = 64 * 1024 * 1024;

/** What src/publish asks the API server through: the connection that src/watch has, with bodies as values. */
export function apiCallOf(api: ApiConnection): ApiCall {
  return async ({ method, path, contentType, body, signal }) => {
    const response = await api.request({
      method,
      path,
      ...(contentType !== undefined && { contentType }),
      ...(body && { body: JSON.stringify(body) }),
      signal,
    });
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of response.body) {
      bytes += (chunk as Buffer).length;
      if (bytes > LONGEST_BODY_BYTES) throw new Error(`the answer to ${method} ${path} is too long`);
      chunks.push(chunk as Buffer);
    }
    const seconds = Number(response.headers['retry-after']);
    return {
      status: response.status,
      body: parsed(Buffer.concat(chunks).toString()),
      retryAfterMs: seconds > 0 ? seconds * 1000 : 0,
    };
  };
}

/** A proxy in front of the API server may speak HTML. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
