import { describe, expect, it } from 'vitest';
import {
  CODE,
  FLAG,
  FRAME,
  type FieldList,
  data,
  frameClient,
  headers,
  requestFields,
} from '../../../support/http2-frames.ts';
import { type Case, MALFORMED, type Outcome, answerOn, conforms, goesOn, siteForAll } from './site.ts';

const site = siteForAll();
const whole = requestFields('GET', '/evil');
const SERVED: Outcome = { status: [200] };

/** Requests that are all of a stream, each malformed. */
function malformed(requests: Readonly<Record<string, FieldList>>): Record<string, Case> {
  return Object.fromEntries(
    Object.entries(requests).map(([what, fields]) => [
      what,
      { sends: [headers(1, fields)], outcome: MALFORMED },
    ]),
  );
}

const without = (name: string): FieldList => whole.filter(([of]) => of !== name);
const instead = (name: string, value: string): FieldList =>
  whole.map(([of, was]) => [of, of === name ? value : was]);

describe('pseudo-header fields of a request (RFC 9113 8.3)', () => {
  conforms(site, {
    ...malformed({
      'no :method': without(':method'),
      'no :scheme': without(':scheme'),
      'no :path': without(':path'),
      'no :authority and no host': without(':authority'),
      'none at all': [['x-evil', 'evil']],
      'not a single field': [],
      ...Object.fromEntries(
        whole.map(([name, value]) => [
          `two ${name}, the same`,
          [...whole.slice(0, 2), [name, value], ...whole.slice(2)],
        ]),
      ),
      'two :path, not the same': [...whole, [':path', '/ok']],
      'two :authority, not the same': [...whole, [':authority', 'evil.test']],
      ...Object.fromEntries(
        whole.map(([name, value]) => [
          `${name} after a field`,
          [...without(name), ['x-first', '1'], [name, value]],
        ]),
      ),
      'one that nobody knows': [...whole, [':evil', 'x']],
      'one of responses': [...whole, [':status', '200']],
      'one with an upper-case letter': [...without(':path'), [':Path', '/evil']],
      'an empty :method': instead(':method', ''),
      'an empty :scheme': instead(':scheme', ''),
      'an empty :path': instead(':path', ''),
      'an empty :authority and no host': instead(':authority', ''),
      'a :method that is no token': instead(':method', 'GE(T'),
      'a :scheme that is none': instead(':scheme', 'ht/tp'),
      'a :path that does not begin with a slash': instead(':path', 'evil'),
      'a :path that is a whole URI': instead(':path', 'http://app.test/evil'),
      'a :path with a fragment': instead(':path', '/evil#x'),
      'a :path of * for GET': instead(':path', '*'),
      'a user in :authority': instead(':authority', 'evil@app.test'),
      'a path in :authority': instead(':authority', 'app.test/evil'),
      'a port in :authority that is none': instead(':authority', 'app.test:80x'),
      'a host that is not :authority': [...whole, ['host', 'evil.test']],
      'two hosts': [...without(':authority'), ['host', 'app.test'], ['host', 'app.test']],
    }),
    'host instead of :authority': {
      sends: [headers(1, [...requestFields('GET', '/ok').slice(0, 3), ['host', 'app.test']])],
      outcome: SERVED,
    },
    'host that says what :authority says': {
      sends: [headers(1, requestFields('GET', '/ok', ['host', 'APP.test']))],
      outcome: SERVED,
    },
    ':path of * for OPTIONS': {
      sends: [headers(1, requestFields('OPTIONS', '*'))],
      outcome: { status: [200, 404] },
    },
    'in any order': { sends: [headers(1, requestFields('GET', '/ok').toReversed())], outcome: SERVED },
  });
});

describe('CONNECT (RFC 9113 8.5)', () => {
  const refused: Outcome = { ...MALFORMED, status: [400, 403, 404, 405, 501] };
  conforms(site, {
    ...malformed({
      'with a path': [
        [':method', 'CONNECT'],
        [':authority', 'app.test:80'],
        [':path', '/evil'],
      ],
      'with a scheme': [
        [':method', 'CONNECT'],
        [':authority', 'app.test:80'],
        [':scheme', 'http'],
      ],
      'without :authority': [[':method', 'CONNECT']],
    }),
    'as it should be: refused': {
      sends: [
        headers(
          1,
          [
            [':method', 'CONNECT'],
            [':authority', 'app.test:80'],
          ],
          FLAG.endHeaders,
        ),
      ],
      outcome: refused,
    },
    'as it should be, with bytes for the tunnel': {
      sends: [
        headers(
          1,
          [
            [':method', 'CONNECT'],
            [':authority', 'app.test:80'],
          ],
          FLAG.endHeaders,
        ),
        data(1, 'GET /evil HTTP/1.1\r\nHost: app.test\r\n\r\n', true),
      ],
      outcome: refused,
    },
  });
});

describe('extended CONNECT (RFC 8441)', () => {
  const tunnel = (...fields: FieldList): FieldList => [
    [':method', 'CONNECT'],
    [':protocol', 'websocket'],
    ...whole.slice(1),
    ...fields,
  ];
  const open = (fields: FieldList, outcome: Outcome): Case => ({
    sends: [headers(1, fields, FLAG.endHeaders)],
    outcome,
  });
  conforms(site, {
    ':protocol of another method': open([...whole, [':protocol', 'websocket']], MALFORMED),
    'two :protocol': open(tunnel([':protocol', 'websocket']), MALFORMED),
    'without :path': open(
      tunnel().filter(([name]) => name !== ':path'),
      MALFORMED,
    ),
    'without :scheme': open(
      tunnel().filter(([name]) => name !== ':scheme'),
      MALFORMED,
    ),
    'without :authority': open(
      tunnel().filter(([name]) => name !== ':authority'),
      MALFORMED,
    ),
    'with upgrade': open(tunnel(['upgrade', 'websocket']), MALFORMED),
    'with connection': open(tunnel(['connection', 'upgrade']), MALFORMED),
    'to a protocol that nobody knows': open(
      tunnel().map(([name, value]) => [name, name === ':protocol' ? 'evil' : value]),
      { ...MALFORMED, status: [400, 501] },
    ),
    'with CR LF in :protocol': open(
      tunnel().map(([name, value]) => [name, name === ':protocol' ? 'websocket\r\nx-evil: y' : value]),
      MALFORMED,
    ),
  });
});

describe('fields (RFC 9113 8.2)', () => {
  conforms(site, {
    ...malformed({
      'an upper-case name': [...whole, ['X-Evil', 'y']],
      'one upper-case letter at the end': [...whole, ['x-eviL', 'y']],
      connection: [...whole, ['connection', 'x-evil']],
      'connection: close': [...whole, ['connection', 'close']],
      'keep-alive': [...whole, ['keep-alive', 'timeout=5']],
      'proxy-connection': [...whole, ['proxy-connection', 'keep-alive']],
      'transfer-encoding': [...whole, ['transfer-encoding', 'chunked']],
      'transfer-encoding: identity': [...whole, ['transfer-encoding', 'identity']],
      upgrade: [...whole, ['upgrade', 'websocket']],
      'te: gzip': [...whole, ['te', 'gzip']],
      'te: trailers, gzip': [...whole, ['te', 'trailers, gzip']],
      'te: trailers and another': [...whole, ['te', 'trailers'], ['te', 'gzip']],
    }),
    'te: trailers': { sends: [headers(1, requestFields('GET', '/ok', ['te', 'trailers']))], outcome: SERVED },
    'http2-settings, which means nothing here': {
      sends: [headers(1, requestFields('GET', '/ok', ['http2-settings', 'AAMAAABk']))],
      outcome: SERVED,
    },
  });

  it('those of the connection are not even passed on when they are from the table', async () => {
    const { proxy, pod } = site();
    using client = await frameClient(proxy.port);
    client.send(headers(1, requestFields('GET', '/ok?te', ['te', 'trailers'], ['x-kept', '1'])));
    await answerOn(client, 1);
    const request = pod.requests.findLast(({ startLine }) => startLine.includes('/ok?te'));
    for (const name of ['connection', 'keep-alive', 'te', 'transfer-encoding', 'upgrade', 'content-length']) {
      expect(request?.field(name)).toBeUndefined();
    }
    expect(request?.field('x-kept')).toBe('1');
  });
});

describe('content-length (RFC 9113 8.1.1)', () => {
  const post = (...lengths: string[]): Buffer =>
    headers(
      1,
      requestFields('POST', '/unfinished', ...lengths.map((of) => ['content-length', of] as const)),
      FLAG.endHeaders,
    );
  const postTo = (path: string, length: string): Buffer =>
    headers(1, requestFields('POST', path, ['content-length', length]), FLAG.endHeaders);
  const bad = (...sends: Buffer[]): Case => ({ sends, outcome: MALFORMED });
  const fine = (length: string, ...sends: Buffer[]): Case => ({
    sends: [headers(1, requestFields('POST', '/sum', ['content-length', length]), FLAG.endHeaders), ...sends],
    outcome: SERVED,
  });
  conforms(site, {
    // What is told and comes may go on to the pod before the rest is seen; the rest never does.
    'more than told, in one frame': bad(postTo('/sum', '3'), data(1, 'abcevil', true)),
    'more than told, in many': bad(
      postTo('/sum', '3'),
      data(1, 'ab', false),
      data(1, 'cevil', false),
      data(1, 'evil', true),
    ),
    'more than told, after all that was': bad(
      postTo('/sum', '3'),
      data(1, 'abc', false),
      data(1, 'evil', true),
    ),
    'more than none': bad(postTo('/sum', '0'), data(1, 'evil', true)),
    'less than told': bad(postTo('/unfinished', '5'), data(1, 'evil', true)),
    'less than told, and trailers': bad(post('5'), data(1, 'four', false), headers(1, [['x-sum', '1']])),
    'none of what was told': bad(headers(1, requestFields('GET', '/unfinished', ['content-length', '1']))),
    'none of what was told, with an empty frame': bad(post('1'), data(1, '', true)),
    'no number': bad(post('x'), data(1, 'x', true)),
    'a sign': bad(post('+4'), data(1, 'four', true)),
    'a list': bad(post('4, 4'), data(1, 'four', true)),
    hexadecimal: bad(post('0x4'), data(1, 'four', true)),
    nothing: bad(post(''), data(1, '', true)),
    'twice, not the same': bad(post('4', '5'), data(1, 'four', true)),
    'more than 2^64': bad(post('18446744073709551620'), data(1, 'four', true)),
    'as told, in many frames': fine(
      '5',
      data(1, 'ab', false),
      data(1, '', false),
      data(1, 'cde', false),
      data(1, '', true),
    ),
    'as told, and trailers': fine('3', data(1, 'abc', false), headers(1, [['x-sum', '1']])),
    'none, as told': fine('0', data(1, '', true)),
    'none, as told, in the head': {
      sends: [headers(1, requestFields('GET', '/ok', ['content-length', '0']))],
      outcome: SERVED,
    },
  });
});

describe('trailers of a request (RFC 9113 8.1)', () => {
  const withTrailers = (...fields: FieldList): Case => ({
    sends: [
      headers(1, requestFields('POST', '/unfinished'), FLAG.endHeaders),
      data(1, 'body', false),
      headers(1, fields),
    ],
    outcome: MALFORMED,
  });
  conforms(site, {
    'with :path': withTrailers([':path', '/evil']),
    'with :status': withTrailers([':status', '200']),
    'with :path after a field': withTrailers(['x-sum', '1'], [':path', '/evil']),
    'with an upper-case name': withTrailers(['X-Evil', '1']),
    'with transfer-encoding': withTrailers(['transfer-encoding', 'evil']),
    'with connection': withTrailers(['connection', 'evil']),
    'with too many fields': {
      sends: [
        headers(1, requestFields('POST', '/unfinished'), FLAG.endHeaders),
        data(1, 'body', false),
        headers(
          1,
          Array.from({ length: 500 }, (_, index) => [`x-evil-${index}`, '1'] as const),
        ),
      ],
      outcome: { stream: [CODE.protocolError, CODE.calm, CODE.refusedStream], status: [400, 431] },
    },
    'a second time': {
      sends: [
        headers(1, requestFields('POST', '/held'), FLAG.endHeaders),
        headers(1, [['x-sum', '1']]),
        headers(1, [['x-evil', 'evil']]),
      ],
      outcome: { stream: [5], connection: [5, 1] },
    },
  });

  it('come to the pod after the body, and those that are about the message do not', async () => {
    const { proxy, pod } = site();
    using client = await frameClient(proxy.port);
    client.send(headers(1, requestFields('POST', '/sum?trailers'), FLAG.endHeaders), data(1, 'abc', false));
    client.send(
      headers(1, [
        ['x-sum', '1'],
        ['content-length', '99'],
        ['host', 'evil.test'],
        ['x-more', 'caf\xe9'],
      ]),
    );
    expect((await answerOn(client, 1)).status).toBe(200);
    const request = pod.requests.findLast(({ startLine }) => startLine.includes('/sum?trailers'));
    expect(request?.trailers).toEqual([
      ['x-sum', '1'],
      ['x-more', 'caf\xe9'],
    ]);
    expect(request?.body).toBe('abc');
  });
});

describe('responses (RFC 9113 8.1, 8.3.2)', () => {
  it('begin with :status and have lower-case names, and nothing of the connection', async () => {
    const { proxy } = site();
    using client = await frameClient(proxy.port);
    client.send(
      headers(1, requestFields('GET', '/empty')),
      headers(3, requestFields('GET', '/ok', ['x-a', 'b'])),
    );
    client.send(
      headers(
        5,
        requestFields('GET', '/ok').map(([name, value]) => [
          name,
          name === ':authority' ? 'none.test' : value,
        ]),
      ),
    );
    for (const stream of [1, 3, 5]) {
      const { fields } = await answerOn(client, stream);
      expect(fields[0]?.[0]).toBe(':status');
      const names = fields.slice(1).map(([name]) => name);
      expect(names.filter((name) => name !== name.toLowerCase() || name.startsWith(':'))).toEqual([]);
      for (const name of ['connection', 'keep-alive', 'transfer-encoding', 'upgrade'])
        expect(names).not.toContain(name);
    }
  });

  it('to HEAD have the length and no DATA', async () => {
    using client = await frameClient(site().proxy.port);
    client.send(headers(1, requestFields('HEAD', '/bytes/0')));
    expect(await answerOn(client, 1)).toMatchObject({ status: 200, body: '' });
    expect(client.frames.filter(({ type, payload }) => type === FRAME.data && payload.length > 0)).toEqual(
      [],
    );
    await goesOn(client);
  });
});
