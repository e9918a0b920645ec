import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type ManifestSourceOptions, ManifestSource } from '../../src/watch/manifests.ts';
import type { SourceEvent } from '../../src/watch/source.ts';
import { soon } from '../support/until.ts';

/** A folder of files that is gone after the test. */
export interface Folder {
  readonly path: string;
  write(name: string, content: string | Uint8Array): Promise<string>;
  /** As most editors do it: a new file takes the name of the old one. */
  replace(name: string, content: string): Promise<void>;
  link(name: string, target: string): Promise<string>;
  remove(name: string): Promise<void>;
}

export async function folder(files: Record<string, string> = {}): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), 'portico-manifests-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  const made: Folder = {
    path,
    async write(name, content) {
      await mkdir(dirname(join(path, name)), { recursive: true });
      await writeFile(join(path, name), content);
      return join(path, name);
    },
    async replace(name, content) {
      await writeFile(join(path, `${name}.tmp`), content);
      await rename(join(path, `${name}.tmp`), join(path, name));
    },
    async link(name, target) {
      await symlink(target, join(path, `${name}.link`));
      await rename(join(path, `${name}.link`), join(path, name));
      return join(path, name);
    },
    remove: (name) => rm(join(path, name), { recursive: true }),
  };
  for (const [name, content] of Object.entries(files)) await made.write(name, content);
  return made;
}

export interface Watched {
  readonly source: ManifestSource;
  /** Every event so far, in order. */
  readonly events: readonly SourceEvent[];
  readonly lines: readonly string[];
  /** Resolves at the first event after which the condition holds; at once if it does already. */
  until(condition: () => boolean): Promise<void>;
}

/** A running source over the paths that has synced, stopped after the test. */
export async function watched(
  paths: readonly string[],
  options: Partial<ManifestSourceOptions> = {},
): Promise<Watched> {
  const events: SourceEvent[] = [];
  const lines: string[] = [];
  const log = {
    info: (line: string) => void lines.push(line),
    warn: (line: string) => void lines.push(line),
  };
  const waiting = new Set<() => void>();
  const source = new ManifestSource({ paths, log, settleMs: 20, ...options }, (event) => {
    events.push(event);
    for (const look of waiting) look();
  });
  onTestFinished(() => source.stop());
  await soon(source.synced, () => `synced from ${paths.join(', ')}: ${lines.join('\n')}`);
  return {
    source,
    events,
    lines,
    until: (condition) =>
      soon(
        new Promise((resolve) => {
          const look = () => {
            if (!condition()) return;
            waiting.delete(look);
            resolve();
          };
          waiting.add(look);
          look();
        }),
        () => condition.toString(),
      ),
  };
}

export function ingress(name: string, host = `${name}.example.test`, namespace = 'shop'): string {
  return `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: ${name}
  namespace: ${namespace}
spec:
  ingressClassName: portico
  rules:
    - host: ${host}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: web
                port:
                  number: 80
`;
}

export function service(name: string): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec:
  ports: [{ name: http, port: 80, targetPort: 8080 }]
`;
}

export function endpoints(name: string, address: string): string {
  return `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}, namespace: shop, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
ports: [{ name: http, port: 8080, protocol: TCP }]
endpoints: [{ addresses: ['${address}'] }]
`;
}

/** Documents of one file. */
export function documents(...texts: readonly string[]): string {
  return texts.join('---\n');
}
