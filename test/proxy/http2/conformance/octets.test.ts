import { describe, expect, it } from 'vitest';
import { literal } from '../../../support/hpack.ts';
import {
  FLAG,
  FRAME,
  type FieldList,
  block,
  data,
  frame,
  frameClient,
  headers,
  requestFields,
} from '../../../support/http2-frames.ts';
import { type Case, MALFORMED, answerOn, conforms, siteForAll } from './site.ts';

/**
 * RFC 9113 8.2.1 and 10.3: what could end a line, a field or a message on its way through HTTP/1.1 is refused wherever it
 * stands, and the pod sees nothing of it.
 */
const site = siteForAll();

const CONTROLS: Readonly<Record<string, string>> = {
  NUL: '\0',
  'octet 1': '\x01',
  'a line feed': '\n',
  'a carriage return': '\r',
  'CR LF': '\r\n',
  'a vertical tab': '\x0b',
  'octet 31': '\x1f',
  DEL: '\x7f',
};
const BLANKS: Readonly<Record<string, string>> = { 'a space': ' ', 'a tab': '\t' };
const whole = requestFields('GET', '/evil');

/** One case for each octet of a place. */
function cases(
  octets: Readonly<Record<string, string>>,
  sends: (octet: string) => readonly Uint8Array[],
): Record<string, Case> {
  return Object.fromEntries(
    Object.entries(octets).map(([what, octet]) => [what, { sends: sends(octet), outcome: MALFORMED }]),
  );
}

function withPseudo(name: string, value: (of: string) => string): readonly Uint8Array[] {
  return [
    headers(
      1,
      whole.map(([of, was]) => [of, of === name ? value(was) : was]),
    ),
  ];
}

const withField = (name: string, value: string): readonly Uint8Array[] => [
  headers(1, [...whole, [name, value]]),
];

const withTrailer = (name: string, value: string): readonly Uint8Array[] => [
  headers(1, requestFields('POST', '/unfinished'), FLAG.endHeaders),
  data(1, 'body', false),
  headers(1, [[name, value]]),
];

const everywhere = { ...CONTROLS, ...BLANKS, 'octet 128': '\x80', 'octet 255': '\xff' };
for (const name of [':method', ':path', ':authority', ':scheme']) {
  describe(`within ${name}`, () =>
    conforms(
      site,
      cases(everywhere, (octet) => withPseudo(name, (was) => `${was}${octet}evil`)),
    ));
  describe(`at the end of ${name}`, () =>
    conforms(
      site,
      cases({ ...CONTROLS, ...BLANKS }, (octet) => withPseudo(name, (was) => was + octet)),
    ));
  describe(`at the beginning of ${name}`, () =>
    conforms(
      site,
      cases({ ...CONTROLS, ...BLANKS }, (octet) => withPseudo(name, (was) => octet + was)),
    ));
}

describe('within the name of a field', () => {
  const noToken = Object.fromEntries([...'(),/:;<=>?@[\\]{}"A'].map((octet) => [octet, octet]));
  conforms(
    site,
    cases({ ...everywhere, ...noToken }, (octet) => withField(`x-evil${octet}x`, 'evil')),
  );
});
describe('at the end of the name of a field', () =>
  conforms(
    site,
    cases({ ...CONTROLS, ...BLANKS, ':': ':' }, (octet) => withField(`x-evil${octet}`, 'evil')),
  ));
describe('as the name of a field', () =>
  conforms(
    site,
    cases({ ...CONTROLS, ...BLANKS, ':': ':', nothing: '' }, (octet) => withField(octet, 'evil')),
  ));

for (const name of [
  'x-evil',
  'cookie',
  'host',
  'te',
  'content-length',
  'user-agent',
  'x-forwarded-for',
  'expect',
  'content-type',
]) {
  describe(`within the value of ${name}`, () =>
    conforms(
      site,
      cases(CONTROLS, (octet) => withField(name, `app.test${octet}x-evil: evil`)),
    ));
}
describe('at the beginning of a value', () =>
  conforms(
    site,
    cases({ ...CONTROLS, ...BLANKS }, (octet) => withField('x-evil', `${octet}evil`)),
  ));
describe('at the end of a value', () =>
  conforms(
    site,
    cases({ ...CONTROLS, ...BLANKS }, (octet) => withField('x-evil', `evil${octet}`)),
  ));
describe('as all of a value', () =>
  conforms(
    site,
    cases({ ...CONTROLS, ...BLANKS }, (octet) => withField('x-evil', octet)),
  ));

describe('in trailers', () => {
  describe('within a name', () =>
    conforms(
      site,
      cases({ ...everywhere, 'an upper-case letter': 'A', ':': ':' }, (octet) =>
        withTrailer(`x-evil${octet}x`, 'evil'),
      ),
    ));
  describe('within a value', () =>
    conforms(
      site,
      cases(CONTROLS, (octet) => withTrailer('x-evil', `a${octet}evil`)),
    ));
  describe('at the beginning of a value', () =>
    conforms(
      site,
      cases({ ...CONTROLS, ...BLANKS }, (octet) => withTrailer('x-evil', `${octet}evil`)),
    ));
  describe('at the end of a value', () =>
    conforms(
      site,
      cases({ ...CONTROLS, ...BLANKS }, (octet) => withTrailer('x-evil', `evil${octet}`)),
    ));
});

describe('in other ways to write it (RFC 7541)', () => {
  const raw = (stream: number, path: string, ...fields: Uint8Array[]): Buffer =>
    frame(
      FRAME.headers,
      FLAG.endStream | FLAG.endHeaders,
      stream,
      Buffer.concat([block(requestFields('GET', path)), ...fields]),
    );
  const evil = 'a\r\nx-evil: evil';
  const indexedAgain = Buffer.from([0x80 | 62]);
  conforms(site, {
    'Huffman-coded in a value': {
      sends: [raw(1, '/evil', literal('plain', 'x-evil', evil, 'huffman'))],
      outcome: MALFORMED,
    },
    'Huffman-coded in a name': {
      sends: [raw(1, '/evil', literal('plain', 'x-evil\r\nx', 'y', 'huffman'))],
      outcome: MALFORMED,
    },
    'Huffman-coded in :path': {
      sends: [
        frame(
          FRAME.headers,
          FLAG.endStream | FLAG.endHeaders,
          1,
          Buffer.concat([
            block(requestFields().filter(([name]) => name !== ':path')),
            literal('never', 4, '/evil HTTP/1.1\r\n', 'huffman'),
          ]),
        ),
      ],
      outcome: MALFORMED,
    },
    'from the table, where it was left by a request that was refused': {
      sends: [raw(1, '/evil', literal('indexing', 'x-evil', evil)), raw(3, '/evil', indexedAgain)],
      stream: 3,
      outcome: MALFORMED,
    },
    'by its name from the table': {
      sends: [
        raw(1, '/evil', literal('indexing', 'x-evil\r\nx-more', 'y')),
        raw(3, '/evil', literal('plain', 62, 'evil')),
      ],
      stream: 3,
      outcome: MALFORMED,
    },
    'from the table, where it was left by trailers': {
      sends: [
        headers(1, requestFields('POST', '/unfinished'), FLAG.endHeaders),
        frame(FRAME.headers, FLAG.endStream | FLAG.endHeaders, 1, literal('indexing', 'x-evil', evil)),
        raw(3, '/evil', indexedAgain),
      ],
      stream: 3,
      outcome: MALFORMED,
    },
    'in trailers, from the table': {
      sends: [
        raw(1, '/evil', literal('indexing', 'x-evil', evil)),
        headers(3, requestFields('POST', '/unfinished'), FLAG.endHeaders),
        frame(FRAME.headers, FLAG.endStream | FLAG.endHeaders, 3, indexedAgain),
      ],
      stream: 3,
      outcome: MALFORMED,
    },
  });
});

describe('what HTTP/1.1 carries as well', () => {
  const fine: FieldList = [
    ['x-tab', 'a\tb'],
    ['x-spaces', 'a  b'],
    ['x-latin', 'caf\xe9 \x80\xff'],
    ['x-empty', ''],
    ['x-marks', '"\\(),/:;<=>?@[]{}'],
    ["!#$%&'*+.^`|~0-9", 'name'],
    ['cookie', 'a=1'],
    ['cookie', 'b=2'],
  ];
  it('comes to the pod as it was', async () => {
    const { proxy, pod } = site();
    using client = await frameClient(proxy.port);
    client.send(headers(1, requestFields('GET', "/ok/!$&'()*+,;=:@%2f?/?a", ...fine)));
    expect((await answerOn(client, 1)).status).toBe(200);
    const request = pod.requests.at(-1);
    expect(request?.startLine).toBe("GET /ok/!$&'()*+,;=:@%2f?/?a HTTP/1.1");
    for (const [name, value] of fine.slice(0, -2)) expect(request?.values(name)).toEqual([value]);
    expect(request?.values('cookie')).toEqual(['a=1; b=2']);
  });
});
