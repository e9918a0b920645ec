import { connect } from 'node:net';
import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { ok, recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

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

  behaves('an empty engine drains at once', async (create) => {
    await using upstream = await recordingUpstream();
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }]);
    expect(await proxy.engine.drain(30_000)).toBe(0);
  });
});
