import { type AnnotationSpec, ownNameOf } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';
import { readSize, sizeText } from './quantity-values.ts';

export interface ResponseHeadConfig {
  /** A response head of so many bytes is passed on, even if the flags allow less. */
  readonly maxBytes: number;
}

const MAX: AnnotationSpec = {
  name: 'max-response-head',
  nginx: 'proxy-buffer-size',
  global: 'proxy-buffer-size',
  values: 'a size such as `64Ki`, at most `256Ki`',
  default: '32Ki (--limit head-bytes)',
  scope: 'path',
  about:
    'The largest head that a response of a Pod may have, where that is more than `--limit head-bytes` allows; a larger one ' +
    'is answered with 502. It counts for Pods that speak HTTP/1.1, in the engine `relay`.',
  difference:
    'a head of up to --limit head-bytes (32Ki) always passes, and more than 256Ki, or over HTTP/2 than 32Ki, never.',
};

const MOST_BYTES = 256 * 1024;

export const responseHead = definePolicy({
  name: 'response-head',
  phase: 'upstream',
  summary: 'How large the head of a response may be.',
  annotations: [MAX],
  whenInvalid: 'default',

  parse(read): ResponseHeadConfig | null {
    const bytes = readSize(read, MAX);
    if (bytes === null) return null;
    if (bytes > MOST_BYTES && read.isOurs(MAX)) {
      read.invalid(MAX, 'is too large', `write at most ${sizeText(MOST_BYTES)}`);
      return null;
    }
    return { maxBytes: Math.min(bytes, MOST_BYTES) };
  },

  write: ({ maxBytes }) => ({ [ownNameOf(MAX)]: sizeText(maxBytes) }),

  describe: ({ maxBytes }) => `up to ${sizeText(maxBytes)}`,
});
