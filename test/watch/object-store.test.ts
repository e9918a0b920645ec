import { expect, test } from 'vitest';
import type { Ingress } from '../../src/model/objects.ts';
import { ObjectStore } from '../../src/watch/object-store.ts';

const web = (uid: string, resourceVersion: string): Ingress => ({
  metadata: { namespace: 'shop', name: 'web', uid, resourceVersion },
});

test('the same version of the same object is no change; another uid is another object', () => {
  const store = new ObjectStore('Ingress');
  const first = web('a', '1');
  expect(store.put(first)).toEqual({ kind: 'Ingress', key: 'shop/web', object: first });
  expect(store.put(web('a', '1'))).toBeUndefined();
  expect(store.put(web('a', '2'))?.object).toEqual(web('a', '2'));
  expect(store.put(web('b', '2'))?.object).toEqual(web('b', '2'));
  expect(store.size).toBe(1);
});

test('deleting what is not there is no change', () => {
  const store = new ObjectStore('Ingress');
  expect(store.delete('shop/web')).toBeUndefined();
  store.put(web('a', '1'));
  expect(store.delete('shop/web')).toEqual({ kind: 'Ingress', key: 'shop/web', object: undefined, uid: 'a' });
  expect(store.delete('shop/web')).toBeUndefined();
});

test('what a complete list does not have is dropped', () => {
  const store = new ObjectStore('Ingress');
  store.put(web('a', '1'));
  expect(store.retain(new Set(['shop/web']))).toEqual([]);
  expect(store.retain(new Set())).toEqual([
    { kind: 'Ingress', key: 'shop/web', object: undefined, uid: 'a' },
  ]);
  expect(store.size).toBe(0);
});

test('in doubt everything put is a change, and what is held can still be found missing', () => {
  const store = new ObjectStore('Ingress');
  store.put(web('a', '1'));
  store.forgetVersions();
  expect(store.put(web('a', '1'))).toBeDefined();
  store.forgetVersions();
  expect(store.retain(new Set())).toHaveLength(1);
});
