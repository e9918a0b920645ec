import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { portKey } from '../../src/routing/table.ts';
import { startPod } from '../e2e/pod.ts';
import {
  type GatewayPlane,
  type GatewayPortSpec,
  ask,
  askOn,
  gatewayTable,
  refuses,
  startGatewayPlane,
} from '../support/gateway-plane.ts';
import { heldPort, loopbackAddress } from '../support/loopback.ts';
import { rawClient } from '../support/raw-client.ts';
import { happens, until } from '../support/until.ts';

const PORT = await heldPort();
/** Of one client, between its requests: the machine is for what is tested, too. */
const PAUSE_MS = 6;

async function podPort(): Promise<{ port: number } & AsyncDisposable> {
  const pod = await startPod('pod');
  return { port: Number(pod.endpoint.split(':')[1]), [Symbol.asyncDispose]: () => pod.stop() };
}

/** A listener of its own address, with everything of one host going to a Pod. */
function listener(pod: number, address = loopbackAddress(), host = ''): GatewayPortSpec {
  return { address, port: PORT, hosts: { [host]: { paths: { '/': pod } } } };
}

const isClosed = (plane: GatewayPlane, { address, port }: GatewayPortSpec) =>
  until(async () => !plane.threads.isPortBound(portKey(address, port)) && (await refuses({ address, port })));

describe.each(['relay', 'http-proxy'] as const)('ports of Gateways: %s', (engine) => {
  // Each test has addresses of its own, and the table that it serves replaces the one before.
  let plane: GatewayPlane;
  beforeAll(async () => {
    plane = await startGatewayPlane({ engine });
  });
  afterAll(() => plane[Symbol.asyncDispose]());

  it('open and close while others serve, and no request of those fails', async () => {
    await using pod = await podPort();
    const stays = listener(pod.port);
    const comes = listener(pod.port);
    await plane.serve({ ports: [stays] });
    const clients = await Promise.all(Array.from({ length: 8 }, () => rawClient(PORT, stays.address)));
    const load = new AbortController();
    const failed: unknown[] = [];
    let served = 0;
    const lanes = clients.map(async (client) => {
      while (!load.signal.aborted) {
        const { status } = await askOn(client, 'any.test');
        served++;
        if (status !== 200) failed.push(status);
        await pause(PAUSE_MS);
      }
    });
    for (let turn = 0; turn < 5; turn++) {
      await plane.serve({ ports: [stays, comes] });
      expect(await ask(comes, 'any.test')).toMatchObject({ status: 200 });
      await plane.serve({ ports: [stays] });
      await isClosed(plane, comes);
    }
    await until(() => served > 50);
    load.abort();
    await Promise.all(lanes);
    for (const client of clients) client[Symbol.dispose]();
    expect(failed).toEqual([]);
  });

  it('serve none but their own hosts, and Ingresses have their own ports', async () => {
    await using pod = await podPort();
    const one = listener(pod.port, loopbackAddress(), 'one.test');
    const own = { address: plane.address, port: plane.httpPort };
    await plane.serve({ ports: [one], sites: [{ host: 'ingress.test', ports: [pod.port] }] });
    expect(await ask(one, 'one.test')).toMatchObject({ status: 200 });
    expect(await ask(one, 'ingress.test')).toMatchObject({ status: 404 });
    expect(await ask(own, 'ingress.test')).toMatchObject({ status: 200 });
    expect(await ask(own, 'one.test')).toMatchObject({ status: 404 });
    const lineOf = (host: string) =>
      plane.log.find((line) => line['host'] === host && line['status'] === 200);
    await until(() => lineOf('one.test') !== undefined && lineOf('ingress.test') !== undefined);
    expect(lineOf('one.test')).toMatchObject({
      port: PORT,
      listener: 'Gateway default/gateway/one.test',
      route: 'HTTPRoute default/route',
    });
    expect(lineOf('ingress.test')).toMatchObject({ ingress: 'default/ingress.test' });
    expect(lineOf('ingress.test')).not.toHaveProperty('listener');
  });

  it('that a Service leads to have the port that clients connect to, and are opened again for another', async () => {
    await using pod = await podPort();
    const inner = { ...listener(pod.port), clientPort: 80 };
    for (const [path, clientPort] of [
      ['/first', 80],
      ['/then', 8080],
    ] as const) {
      await plane.serve({ ports: [{ ...inner, clientPort }] });
      const lineOf = () => plane.log.find((line) => line['target'] === path && line['port'] === clientPort);
      await until(async () => {
        // Connections that come between the two ports are reset.
        await ask(inner, 'one.test', path).catch(() => null);
        return lineOf() !== undefined;
      });
      expect(lineOf()).toMatchObject({ status: 200 });
    }
  });

  it('that Portico has anyway are served there, beside Ingresses', async () => {
    await using pod = await podPort();
    const shared = { ...listener(pod.port, '', 'one.test'), port: plane.httpPort };
    const own = { address: plane.address, port: plane.httpPort };
    await plane.serve({ ports: [shared], sites: [{ host: 'ingress.test', ports: [pod.port] }] });
    expect(await ask(own, 'one.test')).toMatchObject({ status: 200 });
    expect(await ask(own, 'ingress.test')).toMatchObject({ status: 200 });
    await plane.serve({ sites: [{ host: 'ingress.test', ports: [pod.port] }] });
    await until(async () => (await ask(own, 'one.test')).status === 404);
    expect(await ask(own, 'ingress.test')).toMatchObject({ status: 200 });
  });

  it('ask a Service of the table whether a request may pass, and without it nobody may', async () => {
    await using pod = await podPort();
    await using auth = await podPort();
    const asking = (backend: string) => ({
      'external-auth-filter': {
        ...{ namespace: 'default', to: { backend }, prefix: '/check', allowedHeaders: [] },
        ...{ responseHeaders: null, maxBodyBytes: 0 },
      },
    });
    const paths = { '/': pod.port };
    const port = {
      ...{ address: loopbackAddress(), port: PORT },
      hosts: {
        'asked.test': { paths, policies: asking(`default/pod-${auth.port}:80`) },
        'closed.test': { paths, policies: asking('default/gone:80') },
        'auth.test': { paths: { '/': auth.port } },
      },
    };
    await plane.serve({ ports: [port] });
    expect(await ask(port, 'asked.test')).toMatchObject({ status: 200 });
    expect(await ask(port, 'closed.test')).toMatchObject({ status: 503 });
    await plane.serve({ ports: [{ ...port, hosts: { 'asked.test': port.hosts['asked.test'] } }] });
    await until(async () => (await ask(port, 'asked.test')).status === 503);
  });

  it('that close answer what is under way, and say that they close', async () => {
    await using pod = await startPod('pod');
    const goes = listener(Number(pod.endpoint.split(':')[1]));
    await plane.serve({ ports: [goes] });
    using busy = await rawClient(PORT, goes.address);
    using idle = await rawClient(PORT, goes.address);
    expect(await askOn(idle, 'any.test')).toMatchObject({ status: 200 });
    busy.send('GET /slow HTTP/1.1\r\nHost: any.test\r\n\r\n');
    await pod.holds(1);
    await plane.serve({});
    await isClosed(plane, goes);
    expect(await idle.ended).toBe('end');
    idle.end();
    pod.release();
    const response = await busy.message();
    expect([response.status, response.field('connection')]).toEqual([200, 'close']);
    expect(await busy.ended).toBe('end');
    // Else they would be waited for.
    busy.end();
    await until(async () => (await plane.threads.report()).gauges.clientConnections === 0);
  });
});

it('ports of Gateways that are taken are said, and had as soon as they are free', async () => {
  await using pod = await podPort();
  await using plane = await startGatewayPlane();
  const taken = listener(pod.port);
  const key = portKey(taken.address, taken.port);
  const holder = createServer().listen(PORT, taken.address);
  await happens(holder, 'listening');
  plane.distribute(gatewayTable({ ports: [taken] }));
  await until(() => plane.threads.portFailures().get(key) === 'EADDRINUSE');
  expect(plane.threads.isPortBound(key)).toBe(false);
  expect(plane.portChanges).toEqual([key]);
  holder.close();
  await until(() => plane.threads.isPortBound(key));
  expect(plane.threads.portFailures().size).toBe(0);
  expect(await ask(taken, 'any.test')).toMatchObject({ status: 200 });
});

it('a process takes the ports of Gateways over from another one', async () => {
  await using pod = await podPort();
  await using next = await startGatewayPlane();
  const taken = listener(pod.port);
  {
    await using first = await startGatewayPlane({ threads: 1 });
    await first.serve({ ports: [taken] });
    await next.serve({ ports: [taken] });
    using client = await rawClient(PORT, taken.address);
    expect(await askOn(client, 'any.test')).toMatchObject({ status: 200 });
    await first.threads.drain(5_000);
  }
  for (let turn = 0; turn < 8; turn++) expect(await ask(taken, 'any.test')).toMatchObject({ status: 200 });
});
