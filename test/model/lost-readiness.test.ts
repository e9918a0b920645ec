import { describe, expect, it } from 'vitest';
import { get } from '../../src/model/sharded-map.ts';
import type { EndpointSlice } from '../../src/model/objects.ts';
import { EMPTY_SNAPSHOT, type ObjectChange, type Snapshot, applyChanges } from '../../src/model/snapshot.ts';

const READY = { ready: true };
const UNREADY = { ready: false };
const TERMINATING = { ready: false, serving: false, terminating: true };

/** The slice of the Service shop/web with these Pods, each at an address of its own unless said. */
function slice(pods: Readonly<Record<string, object>>, address?: string, name = 'web-1'): ObjectChange {
  const endpoints = Object.entries(pods).map(([pod, conditions]) => ({
    addresses: [address ?? `10.0.0.${pod.charCodeAt(0) - 96}`],
    targetRef: { kind: 'Pod', name: pod },
    conditions,
  }));
  const labels = { 'kubernetes.io/service-name': 'web' };
  const object = { metadata: { name, namespace: 'shop', labels }, addressType: 'IPv4', endpoints };
  return { kind: 'EndpointSlice', key: `shop/${name}`, object: object as EndpointSlice };
}

/** The Pods that have lost readiness after these changes, one snapshot for each. */
function lostAfter(...steps: readonly ObjectChange[]): readonly string[] {
  const last = steps.reduce<Snapshot>((snapshot, step) => applyChanges(snapshot, [step]), EMPTY_SNAPSHOT);
  return [...(get(last.lostReadiness, 'shop/web') ?? [])].map((id) => id.split(' ')[1] ?? '').sort();
}

describe('endpoints that lost readiness', () => {
  it('are those that were ready, whether they lost it at once or one after the other', () => {
    const all = slice({ a: READY, b: READY });
    expect(lostAfter(all, slice({ a: UNREADY, b: UNREADY }))).toEqual(['a', 'b']);
    expect(lostAfter(all, slice({ a: READY, b: UNREADY }), slice({ a: UNREADY, b: UNREADY }))).toEqual([
      'a',
      'b',
    ]);
  });

  it('are not those that never were ready', () => {
    expect(lostAfter(slice({ a: UNREADY }), slice({ a: UNREADY, b: UNREADY }))).toEqual([]);
  });

  it('are not those that terminate, also when they were lost before', () => {
    expect(lostAfter(slice({ a: READY }), slice({ a: TERMINATING }))).toEqual([]);
    expect(lostAfter(slice({ a: READY }), slice({ a: UNREADY }), slice({ a: TERMINATING }))).toEqual([]);
  });

  it('are forgotten when they are ready again or gone', () => {
    const lost = [slice({ a: READY }), slice({ a: UNREADY })];
    expect(lostAfter(...lost, slice({ a: READY }))).toEqual([]);
    expect(lostAfter(...lost, slice({}), slice({ a: UNREADY }))).toEqual([]);
  });

  it('are not another Pod that has the address now', () => {
    const at = '10.0.0.9';
    expect(lostAfter(slice({ a: READY }, at), slice({ b: UNREADY }, at))).toEqual([]);
  });

  it('are the same when they move to another slice of the Service', () => {
    const moved = [slice({}), slice({ a: UNREADY }, undefined, 'web-2')];
    const before = applyChanges(EMPTY_SNAPSHOT, [slice({ a: READY })]);
    const after = applyChanges(before, moved);
    expect(get(after.lostReadiness, 'shop/web')?.size).toBe(1);
  });
});
