import { type Socket, connect } from 'node:net';
import { expect, it } from 'vitest';
import { HTTP_PORT, eventually, startDaemon } from '../support/daemon.ts';
import { createFolder } from './folder.ts';
import { startPod } from './pod.ts';
import { INGRESS_CLASS, manifest, siteObjects } from './site.ts';

/** A process has some 40 open before the first connection. */
const LIMIT = 160;

it('silent connections that take every file descriptor give way, and the log says what is missing', async () => {
  const pod = await startPod('pod');
  await using folder = createFolder();
  const site = { host: 'app.test', name: 'app', endpoints: [pod.endpoint] };
  await folder.put('all.yaml', manifest(INGRESS_CLASS, ...siteObjects(site)));
  await using daemon = startDaemon({
    args: ['--manifests', folder.path, '--access-log', 'off'],
    through: ['sh', '-c', `ulimit -n ${LIMIT}; exec "$@"`, 'sh'],
  });
  await daemon.ready();
  const silent: Socket[] = [];
  for (let i = 0; i < 2 * LIMIT; i++) {
    const socket = connect(HTTP_PORT, daemon.address);
    socket.on('error', () => undefined);
    silent.push(socket.resume());
  }
  const line = await daemon.line(/no file descriptor is left/);
  expect(line).toContain('ulimit -n');
  await eventually(async () => (await daemon.request('app.test')).status === 200);
  await eventually(async () => (await daemon.metric('portico_descriptor_failures_total')) > 0);
  expect(await daemon.metric('portico_client_connections_evicted_total')).toBeGreaterThan(0);
  for (const socket of silent) socket.destroy();
  await pod.stop();
});
