import { expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { type BoundPolicy, CONTINUE } from '../../../src/policies/policy.ts';
import { http2Client } from '../../support/http2-client.ts';
import { fieldOf, http2Upstream } from '../../support/http2-upstream.ts';
import { startProxy } from '../../support/proxy.ts';
import { ok, recordingUpstream } from '../../support/upstream.ts';

const FAULT = new TypeError('a policy is wrong');

/** Throws at its moment, for requests that ask for it. */
function throwing(moment: 'request' | 'later' | 'response'): BoundPolicy {
  const isBad = (target: string): boolean => target.startsWith('/bad');
  if (moment === 'response') {
    return {
      onResponse(_edit, { target }) {
        if (isBad(target)) throw FAULT;
      },
    };
  }
  return {
    onRequest({ target }) {
      if (!isBad(target)) return CONTINUE;
      if (moment === 'later') return Promise.reject(FAULT);
      throw FAULT;
    },
  };
}

it.each(['request', 'later', 'response'] as const)(
  'a policy that throws (%s) ends its stream with 500, and the others on its connection go on',
  async (moment) => {
    const release = Promise.withResolvers<void>();
    await using pod = await http2Upstream(async (stream, fields) => {
      if (fieldOf(fields, ':path') === '/slow') await release.promise;
      stream.respond({ ':status': 200 });
      stream.end('alive');
    });
    const site = { ports: [pod.port], protocol: 'h2c' } as const;
    await using proxy = await startProxy(nativeEngine, [site], { h2c: true, everywhere: [throwing(moment)] });
    using client = http2Client(proxy.port);
    const bystander = client.ask({ ':path': '/slow' });
    const upload = client.ask({ ':path': '/bad', ':method': 'POST' }, 'x'.repeat(100_000));
    const answers = await Promise.all([client.ask({ ':path': '/bad' }), upload]);
    expect(answers.map(({ status }) => status)).toEqual([500, 500]);
    expect((await client.ask({ ':path': '/good' })).body).toBe('alive');
    release.resolve();
    expect(await bystander).toMatchObject({ status: 200, body: 'alive' });
    expect(client.session.destroyed).toBe(false);
    expect(proxy.faults).toEqual([FAULT, FAULT]);
    expect(proxy.engine.gauges().inFlight).toBe(0);
  },
);

it('a field that only names Strict-Transport-Security does not stand in for it', async () => {
  await using pod = await recordingUpstream('ok', () =>
    ok('ok', 'Access-Control-Expose-Headers: strict-transport-security'),
  );
  const always: BoundPolicy = {
    onResponse: (edit) => edit.setDefault('Strict-Transport-Security', 'max-age=60'),
  };
  await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port] }], {
    h2c: true,
    everywhere: [always],
  });
  using client = http2Client(proxy.port);
  const { headers } = await client.ask({});
  expect(headers['strict-transport-security']).toBe('max-age=60');
});
