import { afterEach, describe, expect, test } from 'vitest';
import type { Subrequest, SubrequestOutcome } from '../../src/http/subrequest.ts';
import { createExternalNames } from '../../src/proxy/balance/external-names.ts';
import { STRICT } from '../../src/proxy/http1/leniency.ts';
import { DEFAULT_LIMITS } from '../../src/proxy/limits.ts';
import { Subrequests } from '../../src/proxy/subrequests/subrequests.ts';
import { scriptedUpstream } from '../support/upstream.ts';

/** Servers that policies ask, and what they try. Whatever it is, the next question gets the right answer. */

const faults: unknown[] = [];
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
  expect(faults.splice(0)).toEqual([]);
});

function sender(heldBytes = 16 * 1024 * 1024): Subrequests {
  const made = new Subrequests({
    names: createExternalNames({ ask: () => {}, now: Date.now }),
    rules: { allowLoopback: true },
    now: Date.now,
    upstreams: DEFAULT_LIMITS,
    leniency: STRICT,
    limits: { heldBytes },
    onFault: (fault) => void faults.push(fault),
  });
  closing.push(() => made.close());
  return made;
}

function question(port: number, parts: Partial<Subrequest> = {}): Subrequest {
  const to = { scheme: 'http', host: '127.0.0.1', port, verify: false } as const;
  return {
    ...{ namespace: 'shop', to, method: 'GET', target: '/check', timeoutMs: 5_000 },
    fields: [['Host', 'auth.test']],
    ...parts,
  };
}

const said = (outcome: SubrequestOutcome): string =>
  outcome.kind === 'failed' ? outcome.reason : `status ${outcome.status}`;

/** What is answered to a first question, and what that question gets. */
const ANSWERS: Readonly<Record<string, readonly [bytes: string, outcome: string]>> = {
  'two lengths': ['HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab', 'protocol-error'],
  'two equal lengths': [
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab',
    'protocol-error',
  ],
  'a length and a coding': [
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'protocol-error',
  ],
  'a coding before the last': [
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n',
    'protocol-error',
  ],
  'a coding in HTTP/1.0': [
    'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'protocol-error',
  ],
  'a length with a sign': ['HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab', 'protocol-error'],
  'a folded line': [
    'HTTP/1.1 200 OK\r\nX-User: ada\r\n  , eve\r\nContent-Length: 0\r\n\r\n',
    'protocol-error',
  ],
  'a bare LF': ['HTTP/1.1 200 OK\nContent-Length: 0\n\n', 'protocol-error'],
  'a status of four digits': ['HTTP/1.1 2000 OK\r\n\r\n', 'protocol-error'],
  'HTTP/2.0 in the status line': ['HTTP/2.0 200 OK\r\n\r\n', 'protocol-error'],
  'a blank in a name': ['HTTP/1.1 200 OK\r\nX User: ada\r\n\r\n', 'protocol-error'],
  'a zero byte in a value': ['HTTP/1.1 200 OK\r\nX-User: a\0da\r\n\r\n', 'protocol-error'],
  'interim answers without end': [
    'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'.repeat(40),
    'protocol-error',
  ],
  'an unasked switch': [
    'HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n',
    'protocol-error',
  ],
  'too many fields': [`HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(129)}\r\n`, 'protocol-error'],
  'a line without end': [`HTTP/1.1 200 ${'x'.repeat(70_000)}`, 'protocol-error'],
  'a second answer that nobody asked for': [
    'HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 Forged\r\nContent-Length: 0\r\n\r\n',
    'status 403',
  ],
  'bytes after the body': [
    'HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 200 Forged\r\n',
    'status 403',
  ],
  'a bad chunk size': ['HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n', 'status 403'],
  'a chunk that ends elsewhere': [
    'HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabHTTP/1.1 200 Forged\r\n\r\n',
    'status 403',
  ],
  'a body that is longer than it may be': [
    `HTTP/1.1 403 No\r\nContent-Length: 99999999\r\n\r\n${'x'.repeat(70_000)}`,
    'status 403',
  ],
  'a body up to the close': ['HTTP/1.1 403 No\r\n\r\nHTTP/1.1 200 Forged\r\n\r\n', 'status 403'],
};

describe('a server that answers with', () => {
  for (const [what, [bytes, outcome]] of Object.entries(ANSWERS)) {
    test(what, async () => {
      let answers = 0;
      await using server = await scriptedUpstream(async (connection) => {
        // On the same connection or on another one: only the first question gets it.
        for (;;) {
          await connection.head();
          connection.send(answers++ === 0 ? bytes : 'HTTP/1.1 204 Right\r\n\r\n');
        }
      });
      const requests = sender();
      expect(said(await requests.send(question(server.port)))).toBe(outcome);
      for (let n = 0; n < 3; n++) expect(said(await requests.send(question(server.port)))).toBe('status 204');
      expect(server.connections.length).toBe(2);
    });
  }

  test('bytes on a connection that is idle: it serves nobody any more', async () => {
    await using server = await scriptedUpstream(async (connection) => {
      for (;;) {
        await connection.head();
        connection.send('HTTP/1.1 204 Right\r\n\r\n');
      }
    });
    const requests = sender();
    await requests.send(question(server.port));
    const idle = await server.connection(0);
    idle.send('HTTP/1.1 200 Forged\r\nContent-Length: 0\r\n\r\n');
    await idle.ended;
    expect(said(await requests.send(question(server.port)))).toBe('status 204');
    expect(server.connections.length).toBe(2);
  });

  test('one byte at a time', async () => {
    await using server = await scriptedUpstream(async (connection) => {
      await connection.head();
      for (const byte of 'HTTP/1.1 200 OK\r\nX-User: ada\r\nContent-Length: 2\r\n\r\nab') {
        connection.send(byte);
        await new Promise(setImmediate);
      }
    });
    expect(await sender().send(question(server.port))).toMatchObject({
      status: 200,
      fields: [
        ['x-user', 'ada'],
        ['content-length', '2'],
      ],
    });
  });

  test.each([
    ['half of a head', ''],
    ['a head whose body is asked for', '\r\nContent-Length: 2\r\n\r\n'],
  ])('%s, and then nothing: the time is over, and nothing is held', async (_, more) => {
    await using server = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send(`HTTP/1.1 200 OK\r\nX-Long: ${'x'.repeat(30_000)}${more}`);
    });
    const requests = sender(50_000);
    const ask = (timeoutMs: number) =>
      requests.send(question(server.port, { timeoutMs, maxContentBytes: 5 }));
    const outcomes = await Promise.all([1, 2, 3].map(() => ask(300)));
    // Not all three have room for what they hold.
    const reasons = outcomes.map(said);
    expect(reasons).toContain('timed-out');
    expect(reasons).toContain('too-many');
    // What they held is free again.
    expect(said(await ask(50))).toBe('timed-out');
  });

  test('an end instead of an answer, and within one', async () => {
    for (const [bytes, outcome] of [
      ['', 'unreachable'],
      ['HTTP/1.1 200', 'protocol-error'],
    ] as const) {
      await using server = await scriptedUpstream(async (connection) => {
        await connection.head();
        connection.send(bytes);
        connection.end();
      });
      expect(said(await sender().send(question(server.port)))).toBe(outcome);
      // It was asked once: a connection that is new has no excuse.
      expect(server.connections.length).toBe(1);
    }
  });
});

test('a question that holds what no request may is not sent', async () => {
  await using server = await scriptedUpstream(async (connection) => {
    await connection.head();
    connection.send('HTTP/1.1 204 Right\r\n\r\n');
  });
  const requests = sender();
  const bad: readonly Partial<Subrequest>[] = [
    { target: '/a b' },
    { target: 'a' },
    { target: '/\u010d\u010a' },
    { method: 'GET / HTTP/1.1\r\nX: y\r\n\r\nGET' },
    { fields: [['X', 'a\r\nY: b']] },
    { fields: [['X', 'a\nb']] },
    // As Latin-1 these would be CR and LF.
    { fields: [['X', 'a\u010d\u010aY: b']] },
    { fields: [['X Y', 'a']] },
    { fields: [['X:', 'a']] },
    { fields: [['', 'a']] },
    { fields: [['Content-Length', '5']] },
    { fields: [['transfer-encoding', 'chunked']] },
  ];
  for (const parts of bad)
    expect(said(await requests.send(question(server.port, parts)))).toBe('protocol-error');
  expect(server.connections.length).toBe(0);
});
