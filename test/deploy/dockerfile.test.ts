import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { V1DaemonSet } from '@kubernetes/client-node';
import { expect, test } from 'vitest';
import { VERSION } from '../../src/version.ts';
import { ROOT, theOnly } from './manifests.ts';

const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
const stages = dockerfile.split(/^(?=FROM )/m).slice(1);
const instructions = (name: string): string[] =>
  [...(stages.at(-1) ?? '').matchAll(new RegExp(`^${name} (.*)$`, 'gm'))].map(([, rest = '']) => rest);

test('the image runs as the user of the DaemonSet, and its version is the one of the package', () => {
  const spec = theOnly<V1DaemonSet>('DaemonSet').spec?.template.spec;
  const { runAsUser, runAsGroup } = spec?.securityContext ?? {};
  expect(instructions('USER')).toEqual([`${runAsUser}:${runAsGroup}`]);
  expect(spec?.containers[0]?.image).toMatch(new RegExp(`/portico:${VERSION}$`));
});

test('the node that is started is the one with the capability', () => {
  const [entry = '[]'] = instructions('ENTRYPOINT');
  const command = JSON.parse(entry) as string[];
  const [node, script] = [command[0], command.at(-1)];
  expect(stages[0]).toContain(`setcap cap_net_bind_service=+ep ${node}`);
  expect(instructions('COPY')).toContain(`--from=build ${node} ${node}`);
  expect(script).toBe('/portico/portico.js');
  expect(instructions('COPY')).toContain('--from=build /portico/dist /portico');
});

test('what the build copies is not ignored, and nothing else is sent to it', () => {
  const sent = readFileSync(join(ROOT, '.dockerignore'), 'utf8').trim().split('\n');
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, from = '']) =>
    from.split(' '),
  );
  expect(sent).toEqual(['*', ...sent.slice(1)]);
  expect(sent.slice(1).toSorted()).toEqual(copied.map((path) => `!${path}`).toSorted());
});

test('the Node of the image is of the major version that the package asks for', () => {
  const { engines } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    engines: { node: string };
  };
  expect(engines.node).toBe('>=24');
  expect(stages[0]).toMatch(/^FROM node:24-/);
});
