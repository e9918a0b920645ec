import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { ok, recordingUpstream } from '../../support/upstream.ts';

const HOST = 'Host: app.test';
/** What an attacker wants to be read as a request of its own. */
const INNER = `GET /inner HTTP/1.1\r\n${HOST}\r\n\r\n`;
const CHUNKED_INNER = `0\r\n\r\n${INNER}`;

function head(...lines: string[]): string {
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** Messages that two readers could read differently: each is refused, and nothing of it reaches a pod. */
const REFUSED: Record<string, string> = {
  'CL.TE': head('POST / HTTP/1.1', HOST, 'Content-Length: 6', 'Transfer-Encoding: chunked') + CHUNKED_INNER,
  'TE.CL': head('POST / HTTP/1.1', HOST, 'Transfer-Encoding: chunked', 'Content-Length: 4') + CHUNKED_INNER,
  'TE.TE with two fields':
    head('POST / HTTP/1.1', HOST, 'Transfer-Encoding: chunked', 'Transfer-Encoding: x') + CHUNKED_INNER,
  'TE twice chunked': head('POST / HTTP/1.1', HOST, 'Transfer-Encoding: chunked, chunked') + CHUNKED_INNER,
  'TE gzip, chunked': head('POST / HTTP/1.1', HOST, 'Transfer-Encoding: gzip, chunked') + CHUNKED_INNER,
  'TE xchunked': head('POST / HTTP/1.1', HOST, 'Transfer-Encoding: xchunked') + CHUNKED_INNER,
  'TE identity': head('POST / HTTP/1.1', HOST, 'Transfer-Encoding: identity') + INNER,
  'TE with a parameter': head('POST / HTTP/1.1', HOST, 'Transfer-Encoding: chunked;a=b') + CHUNKED_INNER,
  'TE quoted': head('POST / HTTP/1.1', HOST, 'Transfer-Encoding: "chunked"') + CHUNKED_INNER,
  'TE with a vertical tab': head('POST / HTTP/1.1', HOST, 'Transfer-Encoding: \x0bchunked') + CHUNKED_INNER,
  'TE with a space before the colon':
    head('POST / HTTP/1.1', HOST, 'Transfer-Encoding : chunked') + CHUNKED_INNER,
  'TE in a folded field':
    head('POST / HTTP/1.1', HOST, 'X: y', ' Transfer-Encoding: chunked') + CHUNKED_INNER,
  'TE folded': head('POST / HTTP/1.1', HOST, 'Transfer-Encoding:', ' chunked') + CHUNKED_INNER,
  'TE after a bare LF': `POST / HTTP/1.1\r\n${HOST}\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n${CHUNKED_INNER}`,
  'TE after a bare CR': `POST / HTTP/1.1\r\n${HOST}\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n${CHUNKED_INNER}`,
  'TE in HTTP/1.0': head('POST / HTTP/1.0', HOST, 'Transfer-Encoding: chunked') + CHUNKED_INNER,
  'two lengths that differ':
    head('POST / HTTP/1.1', HOST, 'Content-Length: 0', `Content-Length: ${INNER.length}`) + INNER,
  'two lengths that agree':
    head('POST / HTTP/1.1', HOST, 'Content-Length: 5', 'Content-Length: 5') + `hello${INNER}`,
  'a list of lengths that agree': head('POST / HTTP/1.1', HOST, 'Content-Length: 5, 5') + `hello${INNER}`,
  'a list of lengths that differ': head('POST / HTTP/1.1', HOST, 'Content-Length: 5, 6') + `hello${INNER}`,
  'a list of lengths': head('POST / HTTP/1.1', HOST, 'Content-Length: 0, 0') + INNER,
  'a length with a sign': head('POST / HTTP/1.1', HOST, 'Content-Length: +5') + INNER,
  'a negative length': head('POST / HTTP/1.1', HOST, 'Content-Length: -1') + INNER,
  'a length in hex': head('POST / HTTP/1.1', HOST, 'Content-Length: 0x5') + INNER,
  'a length with a point': head('POST / HTTP/1.1', HOST, 'Content-Length: 5.0') + INNER,
  'a length beyond 2^64': head('POST / HTTP/1.1', HOST, 'Content-Length: 18446744073709551617') + INNER,
  'an empty length': head('POST / HTTP/1.1', HOST, 'Content-Length: ') + INNER,
  'a chunk size that is no number':
    head('POST / HTTP/1.1', HOST, 'Transfer-Encoding: chunked') + 'zz\r\n' + INNER,
  'a chunk size with 0x':
    head('POST / HTTP/1.1', HOST, 'Transfer-Encoding: chunked') + '0x5\r\nhello\r\n0\r\n\r\n',
  'a chunk size with a space in front':
    head('POST / HTTP/1.1', HOST, 'Transfer-Encoding: chunked') + ' 5\r\nhello\r\n0\r\n\r\n',
  'a chunk size beyond 2^64':
    head('POST / HTTP/1.1', HOST, 'Transfer-Encoding: chunked') + '10000000000000005\r\nhello\r\n0\r\n\r\n',
  'a chunk longer than it says':
    head('POST / HTTP/1.1', HOST, 'Transfer-Encoding: chunked') + '3\r\nhello\r\n0\r\n\r\n',
  'a chunk size ended by LF':
    head('POST / HTTP/1.1', HOST, 'Transfer-Encoding: chunked') + '5\nhello\r\n0\r\n\r\n',
  'a chunk extension with a bare LF':
    head('POST / HTTP/1.1', HOST, 'Transfer-Encoding: chunked') + '5;a\nb\r\nhello\r\n0\r\n\r\n',
  'a last chunk ended by LF': head('POST / HTTP/1.1', HOST, 'Transfer-Encoding: chunked') + '0\n\n' + INNER,
  'no Host': head('GET / HTTP/1.1'),
  'two Hosts': head('GET / HTTP/1.1', HOST, HOST),
  'two Hosts that differ': head('GET / HTTP/1.1', HOST, 'Host: other.test'),
  'an empty Host': head('GET / HTTP/1.1', 'Host:'),
  'a Host with a path': head('GET / HTTP/1.1', 'Host: app.test/x'),
  'a Host with a user': head('GET / HTTP/1.1', 'Host: a@app.test'),
  'a Host with a list': head('GET / HTTP/1.1', 'Host: app.test, other.test'),
  'a Host with a bad port': head('GET / HTTP/1.1', 'Host: app.test:80x'),
  'a Host with a space': head('GET / HTTP/1.1', 'Host: app test'),
  'a space before the Host colon': head('GET / HTTP/1.1', 'Host : app.test'),
  'a target that disagrees with Host': head('GET http://other.test/ HTTP/1.1', HOST),
  'a target of another scheme': head('GET ftp://app.test/ HTTP/1.1', HOST),
  'a target without a slash': head('GET x HTTP/1.1', HOST),
  'a target above the root': head('GET /../x HTTP/1.1', HOST),
  'a target with a bad escape': head('GET /%zz HTTP/1.1', HOST),
  'a target with a NUL': head('GET /%00 HTTP/1.1', HOST),
  'a space in the target': head('GET /a b HTTP/1.1', HOST),
  'a NUL in a field': head('GET / HTTP/1.1', HOST, 'X: a\0b'),
  'a control character in a field': head('GET / HTTP/1.1', HOST, 'X: a\x01b'),
  'a DEL in a field': head('GET / HTTP/1.1', HOST, 'X: a\x7fb'),
  'a DEL in an upgrade': head('GET / HTTP/1.1', HOST, 'Connection: Upgrade', 'Upgrade: raw', 'X: a\x7fb'),
  'a control character in the target': head('GET /a\x01b HTTP/1.1', HOST),
  'a field without a name': head('GET / HTTP/1.1', HOST, ': x'),
  'a field without a colon': head('GET / HTTP/1.1', HOST, 'broken'),
  'a field name with a bad character': head('GET / HTTP/1.1', HOST, 'X(y): z'),
  'a first field that is folded': head('GET / HTTP/1.1', ` ${HOST}`, HOST),
  'a request line with bare LF': `GET / HTTP/1.1\n${HOST}\r\n\r\n`,
  'a head ended by bare LFs': `GET / HTTP/1.1\r\n${HOST}\n\n`,
  'a bad version': head('GET / HTTP/1.x', HOST),
  'a second version': head('GET / HTTP/1.1 HTTP/1.1', HOST),
};

contract('ambiguous messages are refused', (behaves) => {
  for (const [what, bytes] of Object.entries(REFUSED)) {
    behaves(what, async (create) => {
      await using upstream = await recordingUpstream();
      await using proxy = await startProxy(create, [
        { ports: [upstream.port] },
        { host: 'other.test', ports: [upstream.port] },
      ]);
      using client = await rawClient(proxy.port);
      client.send(bytes + INNER);
      const response = await client.message();
      expect([400, 501, 505]).toContain(response.status);
      expect(response.field('connection')?.toLowerCase()).toBe('close');
      await client.ended;
      expect(client.unread, 'nothing is answered after the refusal').toBe('');
      // A whole exchange of somebody else: time enough for what is behind the message, were it sent.
      using other = await rawClient(proxy.port);
      other.send(get('/meanwhile'));
      await other.message();
      expect(upstream.requests.map(({ startLine }) => startLine)).toEqual(['GET /meanwhile HTTP/1.1']);
      expect(upstream.connections.map(({ text }) => text).join('')).not.toContain('/inner');
    });
  }
});

/** Messages that are well-formed, and whose body looks like a request: one request each, framed as it was meant. */
const ACCEPTED: Record<string, string> = {
  'CL.0 on a GET': request('GET', '/', INNER),
  'CL.0 on a DELETE': request('DELETE', '/', INNER),
  'CL.0 on an OPTIONS': request('OPTIONS', '/', INNER),
  'CL.0 on a HEAD': request('HEAD', '/', INNER),
  'chunked on a GET': request('GET', '/', chunk(INNER), 'Transfer-Encoding: chunked'),
  'chunked on a DELETE': request('DELETE', '/', chunk(INNER), 'Transfer-Encoding: chunked'),
  'chunked on an OPTIONS': request('OPTIONS', '/', chunk(INNER), 'Transfer-Encoding: chunked'),
  'chunked in capitals': request('POST', '/', chunk(INNER), 'Transfer-Encoding: CHUNKED'),
  'a request in a chunk extension': request(
    'POST',
    '/',
    `1;x="${'GET /inner'}"\r\na\r\n0\r\n\r\n`,
    'Transfer-Encoding: chunked',
  ),
  'Connection names Content-Length': request(
    'POST',
    '/',
    INNER,
    'Connection: Content-Length',
    `Content-Length: ${INNER.length}`,
  ),
  'Connection names Transfer-Encoding': request(
    'POST',
    '/',
    chunk(INNER),
    'Connection: Transfer-Encoding',
    'Transfer-Encoding: chunked',
  ),
  'an underscore twin of Content-Length': request(
    'POST',
    '/',
    INNER,
    'Content_Length: 0',
    `Content-Length: ${INNER.length}`,
  ),
};

function chunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
}

contract('the upstream sees one request for one request', (behaves) => {
  for (const [what, bytes] of Object.entries(ACCEPTED)) {
    behaves(what, async (create) => {
      await using upstream = await recordingUpstream('', ({ startLine }) =>
        startLine.startsWith('HEAD') ? 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n' : ok(''),
      );
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      client.send(bytes);
      expect((await client.message({ toHead: bytes.startsWith('HEAD') })).status).toBe(200);
      await proxy.exchange(0);
      using second = await rawClient(proxy.port);
      second.send(get('/after'));
      expect((await second.message()).status).toBe(200);
      const lines = upstream.requests.map(({ startLine }) => startLine);
      expect(lines).toHaveLength(2);
      expect(lines[1]).toBe('GET /after HTTP/1.1');
      expect(upstream.leftover()).toBe('');
    });
  }

  behaves('an absolute-form target that agrees with Host', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(head('GET http://APP.test:80/a//b?c HTTP/1.1', 'Host: app.test'));
    expect((await client.message()).status).toBe(200);
    expect(upstream.requests[0]?.startLine).toMatch(/^GET (?:http:\/\/APP\.test:80)?\/a\/\/b\?c HTTP\/1\.1$/);
  });

  behaves('OPTIONS * reaches the upstream as it is', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(head('OPTIONS * HTTP/1.1', HOST));
    expect((await client.message()).status).toBe(200);
    expect(upstream.requests[0]?.startLine).toBe('OPTIONS * HTTP/1.1');
  });

  for (const lengths of [['5', '5'], ['5', '6'], ['5, 5'], ['5, 6'], [''], ['+5']]) {
    behaves(`a response with the Content-Length ${JSON.stringify(lengths)}`, async (create) => {
      const fields = lengths.map((length) => `Content-Length: ${length}\r\n`).join('');
      await using upstream = await recordingUpstream('', () => `HTTP/1.1 200 OK\r\n${fields}\r\nhello`);
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      client.send(get('/'));
      expect((await client.message()).status).toBe(502);
    });
  }

  behaves('a field that was meant to split a response', async (create) => {
    await using upstream = await recordingUpstream(
      '',
      () => 'HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b=c\r\nContent-Length: 0\r\n\r\n',
    );
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).status).toBe(502);
  });
});
