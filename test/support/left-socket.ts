import { renameSync } from 'node:fs';
import { createServer } from 'node:net';
import { happens } from './until.ts';

/** Leaves a Unix socket at `path` that nobody listens on, as a process that was killed does. */
export async function leaveSocket(path: string): Promise<void> {
  const server = createServer().listen(`${path}.first`);
  await happens(server, 'listening');
  renameSync(`${path}.first`, path);
  server.close();
}
