import { expect } from 'vitest';
import type { BoundPolicy } from '../../../src/policies/policy.ts';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient, request } from '../../support/raw-client.ts';
import { authority, secureClient, startTlsProxy } from '../../support/tls-proxy.ts';
import { recordingUpstream, scriptedUpstream } from '../../support/upstream.ts';

const FAULT = new TypeError('a policy is wrong');
const fail = (): never => {
  throw FAULT;
};
/** Throws for every request whose path begins with /bad; the bystanders ask for others. */
const bad = (policy: BoundPolicy): BoundPolicy => ({
  ...(policy.onRequest && {
    onRequest: (request, edit) =>
      request.target.startsWith('/bad') ? policy.onRequest!(request, edit) : { kind: 'continue' },
  }),
  ...(policy.onResponse && {
    onResponse(edit, request) {
      if (request.target.startsWith('/bad')) policy.onResponse!(edit, request);
    },
  }),
});
const rejecting = async (): Promise<never> => fail();

const FAULTS: readonly (readonly [what: string, policy: BoundPolicy])[] = [
  ['a policy that throws when it sees the request', bad({ onRequest: fail })],
  ['a policy whose promise is rejected', bad({ onRequest: rejecting })],
  ['a policy that throws when it sees the response', bad({ onResponse: fail })],
];

contract('faults', (behaves) => {
  for (const [what, policy] of FAULTS) {
    behaves(`${what}: 500 for that request, and nothing for others`, async (create) => {
      await using upstream = await recordingUpstream('alive');
      await using proxy = await startProxy(create, [{ ports: [upstream.port] }], { everywhere: [policy] });
      using bystander = await rawClient(proxy.port);
      bystander.send(get('/before'));
      expect((await bystander.message()).body).toBe('alive');
      for (const bytes of [get('/bad'), request('POST', '/bad', 'body')]) {
        using client = await rawClient(proxy.port);
        client.send(bytes);
        const response = await client.message();
        expect([response.status, response.body]).toEqual([500, expect.stringContaining('the proxy failed')]);
      }
      bystander.send(get('/after'));
      expect((await bystander.message()).body).toBe('alive');
      expect(proxy.faults).toEqual([FAULT, FAULT]);
      expect(await proxy.exchange(1)).toMatchObject({ status: 500, detail: 'internal-fault' });
      expect(proxy.engine.gauges().inFlight).toBe(0);
    });
  }

  behaves('over TLS, and for an upgrade, it is the same', async (create) => {
    await using upstream = await recordingUpstream('alive');
    const sites = [{ ports: [upstream.port], secret: 'shop/a' }];
    await using proxy = await startTlsProxy(create, sites, {
      keys: { 'shop/a': authority().issue(['app.test']) },
      everywhere: [bad({ onRequest: fail })],
    });
    using bystander = await secureClient(proxy.httpsPort, 'app.test');
    for (const fields of [[], ['Connection: Upgrade', 'Upgrade: websocket']]) {
      using client = await secureClient(proxy.httpsPort, 'app.test');
      client.wire.send(get('/bad', ...fields));
      expect((await client.wire.message()).status).toBe(500);
      bystander.wire.send(get('/good'));
      expect((await bystander.wire.message()).body).toBe('alive');
    }
    expect(proxy.faults).toEqual([FAULT, FAULT]);
  });

  behaves('a fault in the head of a 101 ends that tunnel and its upstream only', async (create) => {
    const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n';
    await using upstream = await scriptedUpstream(async (connection) => {
      await connection.head();
      connection.send(SWITCHED);
      await connection.closed;
    });
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }], {
      everywhere: [bad({ onResponse: fail })],
    });
    using bystander = await rawClient(proxy.port);
    bystander.send(get('/good', 'Connection: Upgrade', 'Upgrade: raw'));
    expect((await bystander.head()).status).toBe(101);
    using client = await rawClient(proxy.port);
    client.send(get('/bad', 'Connection: Upgrade', 'Upgrade: raw'));
    await client.ended;
    expect(proxy.faults).toEqual([FAULT]);
    expect(proxy.engine.gauges().tunnels).toBe(1);
  });

  behaves('a fault while an exchange is accounted ends its connection, and no other', async (create) => {
    await using upstream = await recordingUpstream('alive');
    await using proxy = await startProxy(create, [{ ports: [upstream.port] }], {
      onAccount({ target }) {
        if (target === '/bad') fail();
      },
    });
    using bystander = await rawClient(proxy.port);
    bystander.send(get('/before'));
    expect((await bystander.message()).body).toBe('alive');
    using client = await rawClient(proxy.port);
    client.send(get('/bad'));
    await client.ended;
    bystander.send(get('/after'));
    expect((await bystander.message()).body).toBe('alive');
    expect(proxy.faults).toEqual([FAULT]);
  });
});
