import { preferredCoding } from '../http/accept-encoding.ts';
import type { RequestView } from '../http/request-view.ts';
import type { ContentCoding, ResponseEdit } from '../http/response-edit.ts';
import type { AnnotationReader } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';

export interface CompressionConfig {
  /** The one that Portico would rather use first. */
  readonly codings: readonly CodingConfig[];
}

export interface CodingConfig {
  readonly coding: ContentCoding;
  readonly level: number;
  /** Of content whose length is known; shorter content stays as it is. */
  readonly minLength: number;
  /** Media types in lower case; null for the usual ones. */
  readonly types: readonly string[] | null;
}

/** Those of ingress-nginx, with a few that have become common since. */
const TYPES = [
  ...['application/atom+xml', 'application/javascript', 'application/json', 'application/ld+json'],
  ...[
    'application/manifest+json',
    'application/problem+json',
    'application/rss+xml',
    'application/vnd.geo+json',
  ],
  ...[
    'application/vnd.ms-fontobject',
    'application/wasm',
    'application/x-javascript',
    'application/x-web-app-manifest+json',
  ],
  ...[
    'application/xhtml+xml',
    'application/xml',
    'font/opentype',
    'image/bmp',
    'image/svg+xml',
    'image/x-icon',
  ],
  ...['text/css', 'text/html', 'text/javascript', 'text/plain', 'text/x-component', 'text/xml'],
];

const LEVELS = { zstd: 3, br: 4, gzip: 5 } as const;

const COMPRESS: AnnotationSpec = {
  name: 'compress',
  values: '`on`, `off`, or a list of `zstd`, `br` and `gzip`',
  default: 'off',
  scope: 'path',
  about:
    'Compresses responses for clients that take it. `on` stands for `zstd, br, gzip`: of those that a client likes equally ' +
    'well, the first is used. A response that is encoded already, is partial or an event stream, belongs to a gRPC call, or ' +
    'says `Cache-Control: no-transform` stays as it is. What a Pod sends in pieces is passed on in pieces. Where a response ' +
    'holds a secret beside text that the client chose, its length can tell the secret (BREACH): leave such paths out.',
};

const MIN_LENGTH: AnnotationSpec = {
  name: 'compress-min-length',
  values: 'bytes',
  default: '1024',
  scope: 'path',
  about: 'Content that is shorter stays as it is. Content of unknown length is compressed.',
};

const COMPRESS_TYPES: AnnotationSpec = {
  name: 'compress-types',
  values: 'media types with commas between them',
  default: 'text, JSON, XML, JavaScript, WebAssembly, SVG, and fonts that are not compressed',
  scope: 'path',
  about: 'Which media types are compressed. Only if it is named here, `text/event-stream` is, too.',
};

/** An option of ingress-nginx's ConfigMap. */
function option(global: string, values: string, fallback: string): AnnotationSpec {
  const about = `The option of ingress-nginx's ConfigMap, for Ingresses without \`compress\`.`;
  return { name: null, global, values, default: fallback, scope: 'path', about };
}

const USE_GZIP = option('use-gzip', '`true`, `false`', 'false');
const GZIP_LEVEL = option('gzip-level', '1 to 9', '1');
const GZIP_MIN_LENGTH = option('gzip-min-length', 'bytes', '256');
const GZIP_TYPES = option('gzip-types', 'media types with blanks between them', 'those of `compress-types`');
const ENABLE_BROTLI = option('enable-brotli', '`true`, `false`', 'false');
const BROTLI_LEVEL = option('brotli-level', '1 to 11', '4');
const BROTLI_MIN_LENGTH = option('brotli-min-length', 'bytes', '20');
const BROTLI_TYPES = option(
  'brotli-types',
  'media types with blanks between them',
  'those of `compress-types`',
);

export const compression = definePolicy({
  name: 'compression',
  phase: 'response',
  summary: 'Responses that are compressed on the way. The `relay` engine does it, `http-proxy` does not.',
  annotations: [
    ...[COMPRESS, MIN_LENGTH, COMPRESS_TYPES],
    ...[USE_GZIP, GZIP_LEVEL, GZIP_MIN_LENGTH, GZIP_TYPES],
    ...[ENABLE_BROTLI, BROTLI_LEVEL, BROTLI_MIN_LENGTH, BROTLI_TYPES],
  ],
  whenInvalid: 'default',

  parse(read): CompressionConfig | null {
    const chosen = readCodings(read);
    const minLength = read.wholeNumber(MIN_LENGTH, 0, MOST_BYTES) ?? 1_024;
    const types = readTypes(read, COMPRESS_TYPES);
    const codings =
      chosen?.map((coding) => ({ coding, level: LEVELS[coding], minLength, types })) ?? readOptions(read);
    return codings.length === 0 ? null : { codings };
  },

  describe: ({ codings }) => codings.map(({ coding, level }) => `${coding} ${level}`).join(', '),

  bind({ codings }) {
    const offers = codings.map((config) => ({
      ...config,
      media: config.types === null ? USUAL : new Set(config.types),
    }));
    return {
      onResponse(edit, request) {
        const type = mediaType(edit);
        const length = Number(edit.value('content-length') ?? Number.NaN);
        const offered = offers.filter(({ minLength, media }) => !(length < minLength) && media.has(type));
        if (offered.length === 0 || !mayBeEncoded(edit, request, type)) return;
        addVary(edit);
        const accepted = request.value('accept-encoding');
        const coding = preferredCoding(
          accepted,
          offered.map((each) => each.coding),
        );
        const offer = offered.find((each) => each.coding === coding);
        if (offer && request.method !== 'HEAD') encode(edit, offer);
      },
    };
  },
});

const USUAL: ReadonlySet<string> = new Set(TYPES);
const MOST_BYTES = 1_000_000_000;
const MOST_TYPES = 100;
const MEDIA_TYPE = /^[!#$&^_.+a-z0-9-]{1,64}\/[!#$&^_.+a-z0-9-]{1,64}$/;

/** Null where the annotation does not say; empty for none. */
function readCodings(read: AnnotationReader): readonly ContentCoding[] | null {
  const written = read.text(COMPRESS)?.trim().toLowerCase();
  if (written === undefined) return null;
  if (written === 'off') return [];
  const all = ['zstd', 'br', 'gzip'] as const;
  if (written === 'on') return all;
  const items = written.split(',').map((each) => each.trim());
  const codings = items.flatMap((item) => all.find((coding) => coding === item) ?? []);
  if (codings.length === items.length && new Set(codings).size === items.length) return codings;
  read.invalid(
    COMPRESS,
    'is not valid',
    'use on, off, or some of zstd, br and gzip with commas between them',
  );
  return null;
}

/** What the ConfigMap of ingress-nginx asks for; its module of Brotli comes before that of gzip. */
function readOptions(read: AnnotationReader): readonly CodingConfig[] {
  const codings: CodingConfig[] = [];
  if (read.bool(ENABLE_BROTLI)) {
    codings.push({
      coding: 'br',
      level: read.wholeNumber(BROTLI_LEVEL, 1, 11) ?? 4,
      minLength: read.wholeNumber(BROTLI_MIN_LENGTH, 0, MOST_BYTES) ?? 20,
      types: readTypes(read, BROTLI_TYPES),
    });
  }
  if (read.bool(USE_GZIP)) {
    codings.push({
      coding: 'gzip',
      level: read.wholeNumber(GZIP_LEVEL, 1, 9) ?? 1,
      minLength: read.wholeNumber(GZIP_MIN_LENGTH, 0, MOST_BYTES) ?? 256,
      types: readTypes(read, GZIP_TYPES),
    });
  }
  return codings;
}

/** `text/html` is always among those of nginx. */
function readTypes(read: AnnotationReader, spec: AnnotationSpec): readonly string[] | null {
  const written = read.text(spec)?.trim().toLowerCase() ?? '';
  if (written === '') return null;
  const types = written.split(/[\s,]+/).filter((type) => type !== '');
  if (types.length <= MOST_TYPES && types.every((type) => MEDIA_TYPE.test(type))) {
    return spec === COMPRESS_TYPES ? types : [...new Set(['text/html', ...types])];
  }
  read.invalid(
    spec,
    'is not a list of media types',
    `write at most ${MOST_TYPES}, such as text/css, application/json`,
  );
  return null;
}

function mediaType(edit: ResponseEdit): string {
  return (edit.value('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/** Whether the content may be another one than the Pod sends, for any client. */
function mayBeEncoded(edit: ResponseEdit, request: RequestView, type: string): boolean {
  const { encodable } = edit;
  if (encodable === null || request.httpVersion === '1.0' || type.startsWith('application/grpc'))
    return false;
  const { status } = encodable;
  if (status < 200 || status === 204 || status === 206 || status === 304) return false;
  const encoded = edit.value('content-encoding');
  if (encoded !== undefined && encoded.toLowerCase() !== 'identity') return false;
  return !/\bno-transform\b/i.test(edit.value('cache-control') ?? '') && !edit.has('content-range');
}

/** Caches must know that the response depends on the field, whether or not this one is encoded. */
function addVary(edit: ResponseEdit): void {
  const vary = edit.value('vary')?.toLowerCase() ?? '';
  const names = new Set(vary.split(',').map((name) => name.trim()));
  if (!names.has('*') && !names.has('accept-encoding')) edit.add('Vary', 'Accept-Encoding');
}

function encode(edit: ResponseEdit, { coding, level }: CodingConfig): void {
  edit.encoding = { coding, level };
  edit.set('Content-Encoding', coding);
  for (const name of ['content-length', 'accept-ranges', 'content-md5', 'content-digest', 'digest'])
    edit.remove(name);
  // The same content in other bytes (RFC 9110 8.8.1).
  const etag = edit.value('etag');
  if (etag?.startsWith('"')) edit.set('ETag', `W/${etag}`);
}
