import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Pod, startPod } from '../e2e/pod.ts';
import { askOn, gatewayTable, startGatewayPlane } from '../support/gateway-plane.ts';
import { heldPort, loopbackAddress } from '../support/loopback.ts';
import { rawClient } from '../support/raw-client.ts';
import { authority, secureClient } from '../support/tls-proxy.ts';
import { happens, until } from '../support/until.ts';

const PORT = await heldPort();
const keys = { 'default/any.test': authority().issue(['any.test']) };
/** Of this process, and so of all of its threads. */
const descriptors = (): number => readdirSync('/proc/self/fd').length;

let pod: Pod;
let podPort: number;

beforeAll(async () => {
  pod = await startPod('pod');
  podPort = Number(pod.endpoint.split(':')[1]);
});
afterAll(() => pod.stop());

/** So many ports at addresses of their own, a third of them for TLS. */
function listeners(count: number) {
  const addresses = Array.from({ length: count }, () => loopbackAddress());
  const hosts = { '': { paths: { '/': podPort } } };
  return Array.from({ length: count }, (_, index) => ({
    address: addresses[index] ?? '',
    port: PORT,
    hosts,
    isTls: index % 3 === 0,
    certificates: { '': 'default/any.test' },
  }));
}

it.skipIf(process.platform !== 'linux')('ports that come and go quickly leave nothing behind', async () => {
  await using plane = await startGatewayPlane({ keys });
  const stays = { address: loopbackAddress(), port: PORT, hosts: { '': { paths: { '/': podPort } } } };
  await plane.serve({ ports: [stays] });
  using client = await rawClient(PORT, stays.address);
  expect(await askOn(client, 'any.test')).toMatchObject({ status: 200 });
  const many = listeners(80);
  // Once, so that what is made once is there.
  await plane.serve({ ports: [stays, ...many] });
  await plane.serve({ ports: [stays] });
  await until(() => plane.threads.isPortBound(`${stays.address}:${PORT}`));
  const before = descriptors();
  for (let turn = 0; turn < 20; turn++) {
    plane.distribute(gatewayTable({ ports: turn % 2 === 0 ? [stays, ...many] : [stays] }));
    expect(await askOn(client, 'any.test')).toMatchObject({ status: 200 });
  }
  await until(() => descriptors() <= before);
  expect(plane.threads.portFailures().size).toBe(0);
});

it('a listener that goes while clients shake hands ends them, and comes back', async () => {
  await using plane = await startGatewayPlane({ keys, threads: 1 });
  const secure = {
    ...{ address: loopbackAddress(), port: PORT, isTls: true },
    hosts: { '': { paths: { '/': podPort } } },
    certificates: { '': 'default/any.test' },
  };
  await plane.serve({ ports: [secure] });
  const silent = connect(PORT, secure.address);
  silent.on('error', () => undefined);
  await happens(silent, 'connect');
  using begun = await rawClient(PORT, secure.address);
  begun.send(Buffer.from([0x16, 3, 1, 1]));
  await plane.serve({});
  silent.resume();
  await until(() => silent.closed);
  await begun.ended;
  await plane.serve({ ports: [secure] });
  using client = await secureClient(PORT, 'any.test', { host: secure.address });
  expect(client.shown).toBe('any.test');
  for (const name of ['a..b', 'x'.repeat(255), '*.any.test', '__proto__', '-', '1.2.3.4x']) {
    using hostile = await secureClient(PORT, name, { host: secure.address });
    expect([name, hostile.shown]).toEqual([name, 'any.test']);
  }
});
