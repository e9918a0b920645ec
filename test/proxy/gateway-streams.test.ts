import { type Socket as UdpSocket, createSocket } from 'node:dgram';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, expect, it } from 'vitest';
import { portKey, streamKey } from '../../src/routing/table.ts';
import { gatewayTable, startGatewayPlane } from '../support/gateway-plane.ts';
import { heldPort, loopbackAddress } from '../support/loopback.ts';
import { happens, soon, until } from '../support/until.ts';

const PORT = await heldPort();
const open: (Socket | UdpSocket)[] = [];
afterAll(() => open.forEach((socket) => ('destroy' in socket ? socket.destroy() : socket.close())));

/** Says its name to everyone who connects. */
async function tcpPod(name: string): Promise<number> {
  const server = createServer((socket) => socket.end(name))
    .listen(0, '127.0.0.1')
    .unref();
  await happens(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function udpPod(name: string): Promise<number> {
  const socket = createSocket('udp4', (_, from) => socket.send(name, from.port, from.address));
  open.push(socket.bind(0, '127.0.0.1'));
  await happens(socket, 'listening');
  return socket.address().port;
}

/** What a connection is told until its end; `reset` where there is nobody. */
async function hear(address: string): Promise<string> {
  const socket = connect(PORT, address);
  open.push(socket);
  return soon(
    text(socket).catch(() => 'reset'),
    () => 'the end of a connection',
  );
}

it('connections and datagrams go by weight to the backends of the oldest route', async () => {
  const [one, two, three] = await Promise.all([tcpPod('one'), tcpPod('two'), tcpPod('three')]);
  const dns = await Promise.all([udpPod('one'), udpPod('two')]);
  await using plane = await startGatewayPlane();
  const [split, half, unattached] = [loopbackAddress(), loopbackAddress(), loopbackAddress()];
  const tcp = { protocol: 'tcp', port: PORT } as const;
  const udp = { protocol: 'udp', port: PORT } as const;
  await plane.serve({
    streams: [
      {
        ...tcp,
        address: split,
        targets: [
          [one, 3],
          [two, 1],
          [three, 0],
        ],
      },
      {
        ...tcp,
        address: half,
        targets: [
          [one, 1],
          ['invalid-reference', 1],
        ],
      },
      { ...tcp, address: unattached, targets: null },
      {
        ...udp,
        address: split,
        targets: [
          [dns[0], 1],
          [dns[1], 0],
        ],
      },
      { ...udp, address: half, targets: [['invalid-reference', 1]] },
    ],
  });
  const heard = async (address: string, count: number): Promise<Record<string, number>> => {
    const all = await Promise.all(Array.from({ length: count }, () => hear(address)));
    return Object.fromEntries(
      [...Map.groupBy(all, (each) => each)].map(([name, { length }]) => [name, length]),
    );
  };
  const shares = await heard(split, 120);
  expect(Object.keys(shares).sort()).toEqual(['one', 'two']);
  expect(shares['one']).toBeGreaterThan(shares['two'] ?? 0);
  expect(Object.keys(await heard(half, 40)).sort()).toEqual(['one', 'reset']);
  expect(await heard(unattached, 2)).toEqual({ reset: 2 });

  const client = createSocket('udp4');
  open.push(client);
  // One that goes nowhere before one that is answered.
  client.send('who?', PORT, half);
  client.send('who?', PORT, split);
  const [answer, from] = await happens(client, 'message');
  expect([String(answer), from.address]).toEqual(['one', split]);
});

it('a stream that cannot be bound is said, and one that leaves is closed', async () => {
  const pod = await tcpPod('pod');
  await using plane = await startGatewayPlane({ threads: 1 });
  const address = loopbackAddress();
  const holder = createServer().listen(PORT, address);
  await happens(holder, 'listening');
  const stream = { protocol: 'tcp', address, port: PORT, targets: [[pod, 1]] } as const;
  const key = streamKey('tcp', portKey(address, PORT));
  plane.distribute(gatewayTable({ streams: [stream] }));
  await until(() => plane.threads.portFailures().get(key) === 'EADDRINUSE');
  holder.close();
  await until(() => plane.threads.isPortBound(key));
  expect(await hear(address)).toBe('pod');
  await plane.serve({});
  await until(() => !plane.threads.isPortBound(key));
  await until(async () => (await hear(address)) === 'reset');
});

it('a port that is TCP cannot be HTTP as well', async () => {
  const pod = await tcpPod('pod');
  await using plane = await startGatewayPlane();
  const address = loopbackAddress();
  const http = { address, port: PORT, hosts: { '': {} } };
  const stream = { protocol: 'tcp', address, port: PORT, targets: [[pod, 1]] } as const;
  await plane.serve({ ports: [http] });
  plane.distribute(gatewayTable({ ports: [http], streams: [stream] }));
  await until(() => plane.threads.portFailures().get(portKey(address, PORT)) === 'EADDRINUSE');
  await until(() => plane.threads.isPortBound(streamKey('tcp', portKey(address, PORT))));
  for (let turn = 0; turn < 8; turn++) expect(await hear(address)).toBe('pod');
  await plane.serve({ ports: [http] });
});
