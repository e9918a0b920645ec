import { mkdir, mkdtemp, readFile, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { entries } from '../../src/model/sharded-map.ts';
import { type Snapshot, snapshotOf } from '../../src/model/snapshot.ts';
import { readSnapshotFile, removeStrays, writeSnapshotFile } from '../../src/watch/snapshot-file.ts';
import { parseManifests } from '../support/cases.ts';

const SERVER = 'https://10.0.0.1:6443';
const KEY = 'c2VjcmV0IGtleQ==';
const OBJECTS = `
kind: Ingress
metadata: { name: web, namespace: shop }
spec: { ingressClassName: portico }
---
kind: IngressClass
metadata: { name: portico }
spec: { controller: portico.dev/ingress-controller }
---
kind: Service
metadata: { name: web, namespace: shop, annotations: { note: "line\\nbreak and \\u2028 and ✓" } }
spec: { ports: [{ port: 80 }] }
---
kind: EndpointSlice
metadata: { name: web-1, namespace: shop, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
endpoints: [{ addresses: [10.0.0.7] }]
---
kind: Secret
metadata: { name: tls, namespace: shop }
type: kubernetes.io/tls
data: { tls.crt: YQ==, tls.key: ${KEY} }
---
kind: GatewayClass
metadata: { name: portico }
spec: { controllerName: portico.dev/gateway-controller }
---
kind: Gateway
metadata: { name: web, namespace: shop, generation: 3 }
spec: { gatewayClassName: portico }
status: { addresses: [{ value: 192.0.2.1 }] }
---
kind: ReferenceGrant
metadata: { name: routes, namespace: shop }
spec: { from: [], to: [] }
---
kind: Namespace
metadata: { name: shop, labels: { team: web } }
`;

/** Objects as they arrive carry neither their kind nor an index. */
function snapshot(): Snapshot {
  const changes = parseManifests(OBJECTS);
  for (const { object } of changes) delete (object as { kind?: string }).kind;
  return snapshotOf(changes);
}

function contents(of: Snapshot): Record<string, unknown> {
  const { generation: _, ...collections } = of;
  return Object.fromEntries(
    Object.entries(collections).map(([name, map]) => [name, Object.fromEntries(entries<unknown>(map))]),
  );
}

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portico-snapshot-'));
  path = join(folder, 'snapshot');
});
afterEach(() => rm(folder, { recursive: true }));

const save = (withSecrets = false): Promise<void> =>
  writeSnapshotFile(path, SERVER, { snapshot: snapshot(), savedAt: 1234, withSecrets });
const read = (wanted: (namespace: string) => boolean = () => true) => readSnapshotFile(path, SERVER, wanted);

describe('a snapshot file', () => {
  it('holds everything but Secrets, for nobody else to read, and leaves nothing beside it', async () => {
    await save();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(['snapshot']);
    const text = await readFile(path, 'utf8');
    expect(text).not.toContain(KEY);
    expect(text).not.toContain('tls');
    const outcome = await read();
    if (outcome.kind !== 'read') throw new Error(outcome.kind);
    expect(outcome).toMatchObject({ savedAt: 1234, withSecrets: false });
    expect(contents(outcome.snapshot)).toEqual({ ...contents(snapshot()), secrets: {} });
  });

  it('holds keys when it is asked to', async () => {
    await save(true);
    const outcome = await read();
    if (outcome.kind !== 'read') throw new Error(outcome.kind);
    expect(contents(outcome.snapshot)).toEqual(contents(snapshot()));
  });

  it('gives only the namespaces that are wanted, and what has none', async () => {
    await save();
    const outcome = await read(() => false);
    if (outcome.kind !== 'read') throw new Error(outcome.kind);
    const { ingressClasses, gatewayClasses, namespaces } = outcome.snapshot;
    expect([ingressClasses.size, gatewayClasses.size, namespaces.size]).toEqual([1, 1, 1]);
    expect(outcome.snapshot.ingresses.size + outcome.snapshot.endpointSlices.size).toBe(0);
  });

  it('that is not there is no mistake', async () => {
    expect(await read()).toEqual({ kind: 'absent' });
  });

  it('that cannot be read, is empty or is something else is of no use', async () => {
    const reason = async (): Promise<string> => {
      const outcome = await read();
      return outcome.kind === 'unusable' ? outcome.reason : outcome.kind;
    };
    await mkdir(path);
    expect(await reason()).toMatch(/^cannot be read: EISDIR/);
    await rm(path, { recursive: true });
    for (const foreign of ['', '\n', 'null\n', '[]\n', '{"apiVersion":"v1","kind":"List"}\n', '\0\xff']) {
      await writeFile(path, foreign);
      expect(await reason()).toBe('is not a snapshot of Portico');
    }
    await save();
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace('"version":1', '"version":2'));
    expect(await reason()).toBe('has version 2, but this Portico reads version 1');
    await save();
    expect(await readSnapshotFile(path, 'https://10.9.9.9', () => true)).toEqual({
      kind: 'unusable',
      reason: 'is of another API server, "https://10.0.0.1:6443"',
    });
  });

  it('that was cut anywhere, or changed in one byte, is found out', async () => {
    await save(true);
    const whole = await readFile(path);
    const headerEnd = whole.indexOf('\n') + 1;
    for (let length = headerEnd; length < whole.length - 1; length += 41) {
      await writeFile(path, whole.subarray(0, length));
      expect(await read()).toMatchObject({ kind: 'unusable', reason: expect.stringContaining('damaged') });
    }
    for (let at = headerEnd; at < whole.length - 4; at += 29) {
      const changed = Buffer.from(whole);
      changed[at]! ^= 1;
      await writeFile(path, changed);
      expect(await read()).toMatchObject({ kind: 'unusable', reason: expect.stringContaining('damaged') });
    }
  });

  it('with objects of no known shape under a right checksum gives the others', async () => {
    const odd = { kind: 'Ingress', key: 'shop/odd', object: { metadata: { name: 7 } } };
    const known = parseManifests(OBJECTS)[0]!;
    const mixed = snapshotOf([odd as never, known]);
    await writeSnapshotFile(path, SERVER, { snapshot: mixed, savedAt: 1, withSecrets: false });
    const outcome = await read();
    if (outcome.kind !== 'read') throw new Error(outcome.kind);
    expect([...entries(outcome.snapshot.ingresses)].map(([key]) => key)).toEqual(['shop/web']);
  });

  it('that a killed Portico was writing is taken away after a while, and nothing else is', async () => {
    const names = ['snapshot.0123abcd.tmp', 'snapshot.89abcdef.tmp', 'snapshot.mine.tmp', 'snapshot'];
    for (const name of names) await writeFile(join(folder, name), '');
    const now = Date.now();
    for (const name of names.filter((_, index) => index !== 1))
      await utimes(join(folder, name), now / 1000 - 3600, now / 1000 - 3600);
    await removeStrays(path, now);
    expect((await readdir(folder)).sort()).toEqual(names.slice(1).sort());
  });
});
