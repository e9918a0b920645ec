import { networkInterfaces } from 'node:os';
import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { recordingUpstream } from '../../support/upstream.ts';

/** A machine may have no IPv6. */
const LOOPBACK = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .map(({ address }) => address)
  .filter((address) => address === '127.0.0.1' || address === '::1');

contract('listening', (behaves) => {
  behaves("a port that is taken is the system's error", async (create) => {
    await using first = await startProxy(create, []);
    const second = startProxy(create, [], { listen: { port: first.port } });
    await expect(second).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  behaves(
    'without an address it listens on IPv4 and IPv6, and knows an IPv4 client by its IPv4 address',
    async (create) => {
      await using upstream = await recordingUpstream();
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }], {
        listen: { host: undefined },
      });
      for (const [index, host] of LOOPBACK.entries()) {
        using client = await rawClient(proxy.port, host);
        client.send(get('/'));
        expect((await client.message()).status).toBe(200);
        expect((await proxy.exchange(index)).clientAddress).toBe(host);
        expect(upstream.requests[index]?.values('x-forwarded-for')).toEqual([host]);
      }
    },
  );

  behaves('two engines share a port', async (create) => {
    await using one = await startProxy(create, [], { listen: { reusePort: true } });
    await using other = await startProxy(create, [], { listen: { reusePort: true, port: one.port } });
    expect(other.port).toBe(one.port);
    using client = await rawClient(one.port);
    client.send(get('/'));
    expect((await client.message()).status).toBe(404);
    expect(one.exchanges.length + other.exchanges.length).toBe(1);
  });
});
