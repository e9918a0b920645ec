import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Folder, createFolder } from '../e2e/folder.ts';
import { type Daemon, HTTPS_PORT, startDaemon } from '../support/daemon.ts';
import { loopbackAddress } from '../support/loopback.ts';
import { type Difference, type DifferentialCase, loadDifferentialCases } from './case.ts';
import { EVERYWHERE } from './everywhere.ts';
import { type Place, manifestsOf } from './manifests.ts';
import { nginxConfig, nginxMissing, startNginx } from './nginx.ts';
import { differencesOf, observe } from './observe.ts';
import { type EchoPod, startEchoPod } from './pods.ts';

const missing = nginxMissing();
const cases = loadDifferentialCases();

describe.skipIf(missing !== null)(`Portico beside nginx${missing === null ? '' : `: ${missing}`}`, () => {
  const pods = new Map<string, EchoPod>();
  const NGINX = loopbackAddress();
  const scratch = mkdtempSync(join(tmpdir(), 'portico-nginx-'));
  let folder: Folder;
  let daemon: Daemon;
  let nginx: AsyncDisposable;

  beforeAll(async () => {
    for (const { pods: named } of cases)
      for (const pod of Object.keys(named)) if (!pods.has(pod)) pods.set(pod, await startEchoPod(pod));
    // Cases take turns, so that they can share the Pods of a name.
    const places = (_: DifferentialCase, pod: string): Place => ({
      address: '127.0.0.1',
      port: pods.get(pod)?.port ?? 0,
    });
    nginx = await startNginx(nginxConfig(cases, NGINX, scratch, places), NGINX, scratch);
    folder = createFolder();
    await folder.put('cases.yaml', manifestsOf(cases, places));
    const args = ['--manifests', folder.path, '--drop-in', 'ingress-nginx'];
    daemon = startDaemon({ args: [...args, '--https-port', String(HTTPS_PORT), '--access-log', 'off'] });
    await daemon.ready();
  });
  afterAll(async () => {
    await daemon?.[Symbol.asyncDispose]();
    await nginx?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
    for (const pod of pods.values()) await pod[Symbol.asyncDispose]();
    rmSync(scratch, { recursive: true, force: true });
  });

  test.each(cases)('$name', async (each) => {
    const named = new Map([...pods].filter(([pod]) => pod in each.pods));
    const found: Omit<Difference, 'why'>[] = [];
    for (const request of each.requests) {
      const portico = await observe(each, request, daemon.address, named);
      found.push(...differencesOf(request, portico, await observe(each, request, NGINX, named)));
    }
    const surprising = found.filter((difference) => !declared(each, difference));
    const gone = each.differences.filter((declaration) => !found.some(fits(declaration)));
    expect(surprising.map(shown), 'differences that the case does not declare').toEqual([]);
    expect(gone.map(shown), 'declared differences that do not occur').toEqual([]);
  });
});

function declared({ differences }: DifferentialCase, found: Omit<Difference, 'why'>): boolean {
  return [...differences, ...EVERYWHERE].some((declaration) => fits(declaration)(found));
}

/** `GET http://a.test/ status: "200" of Portico, "404" of nginx` */
function shown({ request = 'a request', what, portico, nginx }: Omit<Difference, 'why'>): string {
  return `${request} ${what}: ${JSON.stringify(portico)} of Portico, ${JSON.stringify(nginx)} of nginx`;
}

function fits({ request, what, portico, nginx }: Omit<Difference, 'why'>) {
  return (found: Omit<Difference, 'why'>): boolean =>
    (request === undefined || request === found.request) &&
    what === found.what &&
    (portico === undefined || portico === found.portico) &&
    (nginx === undefined || nginx === found.nginx);
}
