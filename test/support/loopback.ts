import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import { happens } from './until.ts';

/** Far more than there are in use at a time: the first is free again when the last is given. */
const ADDRESSES = 250;
let given = 0;

/** Test processes differ in the middle two numbers, by their ids. */
function addressOf(last: number): string {
  const { pid } = process;
  return `127.${64 + ((pid >> 8) % 128)}.${pid % 256}.${last}`;
}

/**
 * A loopback address that nobody else uses: the whole of 127.0.0.0/8 is this machine, so on an address of its own a test
 * can have every port that nobody listens on at all addresses.
 */
export function loopbackAddress(): string {
  given = (given % ADDRESSES) + 1;
  return addressOf(given);
}

/**
 * A port that is free on every address of `loopbackAddress()`, and stays so for as long as this process runs: it is
 * held on an address where nothing else is, so nobody gets it at all addresses.
 */
export async function heldPort(): Promise<number> {
  const holder = createServer().unref();
  holder.listen(0, addressOf(251));
  await happens(holder, 'listening');
  return (holder.address() as AddressInfo).port;
}

const held: Socket[] = [];

/**
 * A port of 127.0.0.1 that refuses connections for as long as this process runs: a connection that goes out from there
 * keeps everybody from listening.
 */
export async function unusedPort(): Promise<number> {
  const server = createServer().unref();
  server.on('connection', (socket) => held.push(socket.unref()));
  server.listen(0, addressOf(251));
  await happens(server, 'listening');
  const { address, port } = server.address() as AddressInfo;
  const out = connect({ host: address, port, localAddress: '127.0.0.1' });
  await happens(out, 'connect');
  held.push(out.unref());
  return out.localPort ?? 0;
}
