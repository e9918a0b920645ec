import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { expect } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { authority, startTlsProxy } from '../../support/tls-proxy.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';
import { happens } from '../../support/until.ts';

contract('drain', (behaves) => {
  behaves('in flight finishes with Connection: close, idle closes, new is refused', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.message();
      connection.send(ok('quick'));
      await connection.message();
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using idle = await rawClient(proxy.port);
    idle.send(get('/'));
    await idle.message();
    using busy = await rawClient(proxy.port);
    busy.send(get('/busy'));
    const connection = await upstream.connection(0);
    await connection.until('/busy');

    const drained = proxy.engine.drain(30_000);
    expect(await idle.ended).toBe('end');
    const refused = await new Promise((resolve) => {
      const socket = connect(proxy.port, '127.0.0.1');
      socket.on('error', ({ code }: NodeJS.ErrnoException) => resolve(code));
      socket.on('connect', () => resolve('connected'));
    });
    expect(refused).toBe('ECONNREFUSED');
    connection.send(ok('finished'));
    const response = await busy.message();
    expect(response.body).toBe('finished');
    expect(response.field('connection')?.toLowerCase()).toBe('close');
    expect(await busy.ended).toBe('end');
    expect(await drained).toBe(0);
    await connection.ended;
    expect(proxy.engine.gauges()).toMatchObject({ inFlight: 0, tunnels: 0 });
  });

  behaves('what is left after the deadline is cut and counted', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    await (await upstream.connection(0)).until('\r\n\r\n');
    expect(await proxy.engine.drain(20)).toBe(1);
    await client.ended;
    await (
      await upstream.connection(0)
    ).ended;
    await proxy.exchange(0);
    expect(proxy.exchanges).toHaveLength(1);
    expect(proxy.exchanges[0]).toMatchObject({ detail: 'draining' });
  });

  behaves('an open tunnel may go on until the deadline', async (create) => {
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n');
      await connection.until('ping');
      connection.send('pong');
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    using client = await rawClient(proxy.port);
    client.send(get('/', 'Connection: Upgrade', 'Upgrade: raw'));
    await client.head();
    const drained = proxy.engine.drain(30_000);
    client.send('ping');
    await client.until('pong');
    client.end();
    (await upstream.connection(0)).end();
    expect(await drained).toBe(0);
  });

  behaves('a WebSocket lives until the deadline, and then both of its sides get a close', async (create) => {
    await using pod = await echoPod();
    await using proxy = await startProxy(create, [{ ports: [pod.port] }]);
    const client = await webSocket(proxy.port);
    const drained = proxy.engine.drain(1_000);
    expect(await echoOf(client, 'while it drains')).toBe('while it drains');
    const closed = once(client, 'close');
    expect(await pod.closed).toBe(1001);
    expect(await closed).toEqual([1001, expect.anything()]);
    expect(await drained).toBe(1);
    expect(await proxy.exchange(0)).toMatchObject({ status: 101, detail: 'draining' });
    expect(proxy.exchanges).toHaveLength(1);
    expect(proxy.engine.gauges()).toMatchObject({ clientConnections: 0, inFlight: 0, tunnels: 0 });
  });

  behaves('a WebSocket whose sides are busy gets its close nevertheless', async (create) => {
    await using pod = await echoPod();
    await using proxy = await startProxy(create, [{ ports: [pod.port] }]);
    const client = await webSocket(proxy.port);
    const sending = setInterval(() => {
      if (client.readyState === WebSocket.OPEN) client.send('x'.repeat(1_000));
    }, 1);
    await happens(client, 'message');
    const closed = once(client, 'close');
    await proxy.engine.drain(100);
    clearInterval(sending);
    expect(await closed).toEqual([1001, expect.anything()]);
    expect(await pod.closed).toBe(1001);
  });

  behaves('a WebSocket over TLS gets its close too', async (create) => {
    await using pod = await echoPod();
    const keys = { 'shop/site': authority().issue(['app.test']) };
    await using proxy = await startTlsProxy(create, [{ ports: [pod.port], secret: 'shop/site' }], { keys });
    const client = new WebSocket(`wss://127.0.0.1:${proxy.httpsPort}/`, {
      headers: { Host: 'app.test' },
      ...({ servername: 'app.test', ca: authority().certificate } as object),
    });
    await happens(client, 'open');
    expect(await echoOf(client, 'hello')).toBe('hello');
    const closed = once(client, 'close');
    expect(await proxy.engine.drain(20)).toBe(1);
    expect(await closed).toEqual([1001, expect.anything()]);
    expect(await pod.closed).toBe(1001);
  });

  behaves(
    'a WebSocket within a frame is ended without a close, which would be read as payload',
    async (create) => {
      // A text frame of 5 bytes, of which 2 come; and nothing of the answer to the close.
      const begun = '\x81\x05ab';
      await using upstream = await scriptedUpstream(async (connection) => {
        await connection.head();
        connection.send(`${WEBSOCKET_SWITCHED}${begun}`);
      });
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
      using client = await rawClient(proxy.port);
      client.send(get('/', 'Connection: Upgrade', 'Upgrade: websocket'));
      await client.head();
      await client.until(begun);
      expect(await proxy.engine.drain(20)).toBe(1);
      expect(await client.ended).toBe('end');
      expect(client.unread).toBe(begun);
      const pod = await upstream.connection(0);
      await pod.ended;
      // Towards the pod nothing was half over: header, mask, and 1001 under it.
      expect(pod.unread).toMatch(/^\x88\x82.{6}$/s);
    },
  );

  behaves('an empty engine drains at once', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    expect(await proxy.engine.drain(30_000)).toBe(0);
  });
});

const WEBSOCKET_SWITCHED =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n';

interface EchoPod extends AsyncDisposable {
  readonly port: number;
  /** The code with which its first WebSocket was closed. */
  readonly closed: Promise<number>;
}

async function echoPod(): Promise<EchoPod> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await happens(server, 'listening');
  const closed = new Promise<number>((resolve) => {
    server.on('connection', (socket) => {
      socket.on('message', (message, binary) => socket.send(message, { binary }));
      socket.on('close', resolve);
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    closed,
    async [Symbol.asyncDispose]() {
      for (const socket of server.clients) socket.terminate();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function webSocket(port: number): Promise<WebSocket> {
  const client = new WebSocket(`ws://127.0.0.1:${port}/`, { headers: { Host: 'app.test' } });
  await happens(client, 'open');
  return client;
}

async function echoOf(client: WebSocket, text: string): Promise<string> {
  client.send(text);
  const [echo] = (await happens(client, 'message')) as [Buffer];
  return echo.toString();
}
