import { describe, expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { indexed, literal } from '../../support/hpack.ts';
import { http2Client } from '../../support/http2-client.ts';
import { response, responseHead } from '../../support/http2-frame-pod.ts';
import {
  CODE,
  FLAG,
  FRAME,
  type FieldList,
  block,
  data,
  frame,
  headers,
  reset,
} from '../../support/http2-frames.ts';
import { startProxy } from '../../support/proxy.ts';
import { type Told, badPod, refused } from './bad-pod.ts';

const whole = (...fields: FieldList): Buffer => headers(1, fields);
const ok = [':status', '200'] as const;
/** RFC 9113 8.1.1; that it is of no more use to us would be true as well. */
const MALFORMED: Told = { stream: [CODE.protocolError, CODE.cancel] };

describe('a response that is malformed is refused (RFC 9113 8.1.1)', () => {
  const malformed: Record<string, Uint8Array> = {
    'without :status': whole(['x-evil', 'evil']),
    'with two :status': whole(ok, [':status', '204']),
    'with :status after a field': whole(['x-evil', 'evil'], ok),
    'with :path': whole(ok, [':path', '/']),
    'with a pseudo-header field nobody knows': whole(ok, [':evil', 'x']),
    'with 101': whole([':status', '101'], ['upgrade', 'evil']),
    'with an upper-case name': whole(ok, ['X-Evil', 'evil']),
    'with an empty name': whole(ok, ['', 'evil']),
    'with a blank in a name': whole(ok, ['x-evil x', 'evil']),
    'with a colon in a name': whole(ok, ['x-evil:x', 'evil']),
    'with CR LF in a name': whole(ok, ['x\r\nx-evil', 'evil']),
    'with CR LF in a value': whole(ok, ['x-a', 'b\r\nx-evil: evil']),
    'with CR in a value': whole(ok, ['x-a', 'b\rx-evil: evil']),
    'with LF in a value': whole(ok, ['x-a', 'b\nx-evil: evil']),
    'with NUL in a value': whole(ok, ['x-a', 'b\0evil']),
    'with a blank before a value': whole(ok, ['x-evil', ' evil']),
    'with a blank after a value': whole(ok, ['x-evil', 'evil ']),
    'with two lengths': whole(ok, ['content-length', '1'], ['content-length', '2']),
    'with a length that is none': whole(ok, ['content-length', '0x0']),
    'with a length, and no body': whole(ok, ['content-length', '4']),
    'with DATA before its head': data(1, 'evil', true),
    'with an interim response that ends it': whole([':status', '103'], ['link', 'evil']),
    'with an interim response that is malformed': Buffer.concat([
      headers(
        1,
        [
          [':status', '103'],
          ['x-a', 'b\r\nx-evil: evil'],
        ],
        FLAG.endHeaders,
      ),
      response(1),
    ]),
  };
  for (const status of ['', '20', '2000', '20x', ' 200', '200 OK', '+20', '099', '000', '-200']) {
    malformed[`with :status ${JSON.stringify(status)}`] = whole([':status', status]);
  }
  for (const name of ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']) {
    malformed[`with ${name}`] = whole(ok, [name, 'evil']);
  }
  refused(malformed, MALFORMED);
});

describe('a response that costs too much is refused', () => {
  const any: Told = { stream: Object.values(CODE), connection: Object.values(CODE) };
  const fields = Array.from({ length: 1_000 }, (_, index) => [`x-evil-${index}`, 'x'] as const);
  refused(
    {
      'too many fields': whole(ok, ...fields),
      'fields that are too large together': frame(
        FRAME.headers,
        5,
        1,
        Buffer.concat([
          block([ok]),
          literal('indexing', 'x-evil', 'evil'.repeat(900)),
          ...Array.from({ length: 100 }, () => indexed(62)),
        ]),
      ),
      'too many interim responses': Buffer.concat(
        Array.from({ length: 1_000 }, () =>
          headers(
            1,
            [
              [':status', '103'],
              ['link', '</a>'],
            ],
            FLAG.endHeaders,
          ),
        ),
      ),
      'a head in pieces without an end': Buffer.concat([
        headers(1, [ok], 0),
        ...Array.from({ length: 5_000 }, () =>
          frame(FRAME.continuation, 0, 1, block([['x-evil', 'evil'.repeat(10)]])),
        ),
      ]),
      'a head in pieces of nothing': Buffer.concat([
        headers(1, [ok], 0),
        ...Array.from({ length: 20_000 }, () => frame(FRAME.continuation, 0, 1)),
      ]),
    },
    any,
  );
});

describe('a response that breaks off is cut (RFC 9113 8.1)', () => {
  const begun = Buffer.concat([responseHead(1), data(1, 'begun', false)]);
  refused(
    {
      'with more than its length, in one frame': Buffer.concat([
        responseHead(1, ['content-length', '3']),
        data(1, 'abcevil', true),
      ]),
      'with more than its length, in many': Buffer.concat([
        responseHead(1, ['content-length', '3']),
        data(1, 'abc', false),
        data(1, 'evil', true),
      ]),
      'with less than its length': Buffer.concat([
        responseHead(1, ['content-length', '30']),
        data(1, 'abc', true),
      ]),
      'with trailers that do not end it': Buffer.concat([
        begun,
        headers(1, [['x-sum', '1']], FLAG.endHeaders),
      ]),
      'with another head': Buffer.concat([begun, headers(1, [ok], FLAG.endHeaders)]),
      'with :status in trailers': Buffer.concat([begun, headers(1, [ok])]),
      'with CR LF in trailers': Buffer.concat([begun, headers(1, [['x-a', 'b\r\nx-evil: evil']])]),
      'with an upper-case name in trailers': Buffer.concat([begun, headers(1, [['X-Evil', 'evil']])]),
    },
    MALFORMED,
    'either',
  );
  for (const [what, code] of Object.entries({
    'an error': CODE.internalError,
    'no error': CODE.noError,
    'a code nobody knows': 0xffff,
    REFUSED_STREAM: CODE.refusedStream,
  })) {
    it(`with RST_STREAM, ${what}`, async () => {
      await using pod = await badPod(Buffer.concat([begun, reset(1, code)]));
      await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], {
        h2c: true,
      });
      using client = http2Client(proxy.port);
      const answer = await client.ask({ ':path': '/bad' });
      expect(answer.code).not.toBe(CODE.noError);
      expect(await client.ask({ ':path': '/ok' })).toMatchObject({ status: 200, body: 'ok' });
      expect(pod.connections).toHaveLength(1);
    });
  }
});
