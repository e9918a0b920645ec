import { expect, it } from 'vitest';
import { hasNetworkOfItsOwn } from '../src/controller/tcp-migration.ts';

const LONG = `portico-${'x'.repeat(54)}-7d4b9c6f5-abcde`;

it.each([
  ['a Pod of a Deployment', 'portico-7d4b9c6f5-abcde', 'portico-7d4b9c6f5-abcde', true],
  ['a Pod whose name is too long for a host', LONG, LONG.slice(0, 62), true],
  ['a Pod on the network of its node', 'portico-abcde', 'node-1', false],
  ['a process that is in no Pod', undefined, 'laptop', false],
])('%s: has its ports to itself or shares them with the next one', (_, podName, host, own) => {
  expect(hasNetworkOfItsOwn(podName, host)).toBe(own);
});
