import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

const EXPECTING = 'POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n';

contract('interim responses', (behaves) => {
  behaves('Expect: 100-continue waits for the upstream to say so', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      const head = await connection.head();
      expect(head.field('expect')?.toLowerCase()).toBe('100-continue');
      connection.send('HTTP/1.1 100 Continue\r\n\r\n');
      await connection.until('body');
      connection.send(ok('thanks'));
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(EXPECTING);
    expect((await client.message()).status).toBe(100);
    client.send('body');
    expect((await client.message()).body).toBe('thanks');
    const connection = await upstream.connection(0);
    expect(connection.text.toLowerCase()).toContain('\r\nexpect: 100-continue\r\n');
    expect(connection.text).toContain('\r\nX-Forwarded-For: 127.0.0.1\r\n');
  });

  behaves('Expect: 100-continue answered with a final response', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno');
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(EXPECTING);
    const response = await client.message();
    expect(response.status).toBe(401);
    expect(response.body).toBe('no');
    expect((await upstream.connection(0)).text).not.toContain('body');
  });

  const IMPATIENT = { limits: { continueTimeoutMs: 20 } };

  behaves('Expect: 100-continue towards a pod that stays silent is answered here', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.until('body');
      // Too late: the client has been told.
      connection.send(`HTTP/1.1 100 Continue\r\n\r\n${ok('thanks')}`);
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }], IMPATIENT);
    using client = await rawClient(proxy.port);
    client.send(EXPECTING);
    expect((await client.message()).startLine).toBe('HTTP/1.1 100 Continue');
    client.send('body');
    const response = await client.message();
    expect(response).toMatchObject({ status: 200, body: 'thanks' });
    expect(response.field('connection')).not.toBe('close');
  });

  behaves('a client that does not wait is not told to go on', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.until('body');
      connection.send(ok('thanks'));
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }], IMPATIENT);
    using client = await rawClient(proxy.port);
    client.send(`${EXPECTING}body`);
    expect(await client.message()).toMatchObject({ status: 200, body: 'thanks' });
  });

  behaves('a final response to a client that waits ends the connection', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(EXPECTING.replace('app.test', 'other.test'));
    const response = await client.message();
    expect(response.status).toBe(404);
    expect(response.field('connection')).toBe('close');
  });

  behaves('103 Early Hints is relayed ahead of the response', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n');
      connection.send(ok('page'));
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    const hints = await client.message();
    expect(hints.status).toBe(103);
    expect(hints.field('link')).toBe('</style.css>; rel=preload; as=style');
    expect((await client.message()).body).toBe('page');
  });

  behaves('103 Early Hints with a Link that is none does no harm', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 103 Early Hints\r\nLink: <<;;not a link\r\n\r\n');
      connection.send(ok('page'));
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    let response = await client.message();
    if (response.status === 103) response = await client.message();
    expect(response.body).toBe('page');
  });

  behaves('102 Processing is relayed ahead of the response', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 102 Processing\r\n\r\n');
      connection.send(ok('done'));
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).status).toBe(102);
    expect((await client.message()).body).toBe('done');
  });

  behaves('an interim response nobody knows is relayed ahead of the response', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 104 Upload Resumption Supported\r\nX-Resume: yes\r\n\r\n');
      connection.send(ok('done'));
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    const interim = await client.message();
    expect(interim.status).toBe(104);
    expect(interim.field('x-resume')).toBe('yes');
    expect((await client.message()).body).toBe('done');
  });

  behaves('no interim response goes to an HTTP/1.0 client', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n');
      connection.send(ok('page'));
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send('GET / HTTP/1.0\r\nHost: app.test\r\n\r\n');
    expect((await client.message()).status).toBe(200);
  });

  behaves('an expectation that is not known is 417', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    for (const fields of [
      ['Expect: magic'],
      ['Expect: magic', 'Expect: 100-continue'],
      ['Expect: 100-continue', 'Expect: magic'],
      ['Expect: 100-continue, magic'],
    ]) {
      using client = await rawClient(proxy.port);
      client.send(get('/', ...fields));
      expect((await client.message()).status, fields.join()).toBe(417);
    }
    expect(upstream.requests).toHaveLength(0);
  });
});
