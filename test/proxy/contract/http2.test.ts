import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { http2Client } from '../../support/http2-client.ts';
import { http2Upstream } from '../../support/http2-upstream.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { recordingUpstream } from '../../support/upstream.ts';

contract('HTTP/2', (behaves) => {
  behaves('HTTP/2 is served to clients that ask for it', async (create) => {
    await using pod = await recordingUpstream('hello');
    await using proxy = await startProxy(create, [{ ports: [pod.port] }], { h2c: true });
    using client = http2Client(proxy.port);
    expect((await client.ask({})).body).toBe('hello');
  });

  behaves('a pod that speaks HTTP/2 is spoken to in HTTP/2', async (create) => {
    await using pod = await http2Upstream((stream) => {
      stream.respond();
      stream.end('hello');
    });
    await using proxy = await startProxy(create, [{ ports: [pod.port], protocol: 'h2c' }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    expect((await client.message()).body).toBe('hello');
  });
});
