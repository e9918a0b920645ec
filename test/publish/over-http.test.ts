import { expect, test } from 'vitest';
import { OTHER_CLASS, OUR_CLASS, ingressOf, startPublisherHarness } from './fixture.ts';

const PROTOCOLS = ['http', 'https', 'h2'] as const;

test.each(PROTOCOLS)(
  'over %s every Ingress we serve gets the addresses, and no other anything',
  async (protocol) => {
    await using harness = await startPublisherHarness({
      protocol,
      objects: [
        OUR_CLASS,
        OTHER_CLASS,
        ingressOf('shop/ours', 'portico'),
        ingressOf('shop/theirs', 'nginx', '192.0.2.1'),
        ingressOf('shop/nobodys', 'missing'),
        ingressOf('shop/right', 'portico', '203.0.113.7'),
      ],
    });
    await harness.addReplica('a');
    await harness.until(() => harness.status('shop/ours') !== '');
    await harness.advance(30_000);
    expect(['ours', 'theirs', 'nobodys', 'right'].map((name) => harness.status(`shop/${name}`))).toEqual([
      '203.0.113.7',
      '192.0.2.1',
      '',
      '203.0.113.7',
    ]);
    const [write, ...more] = harness.writes();
    expect(more).toEqual([]);
    expect(write).toMatchObject({
      method: 'PATCH',
      path: '/apis/networking.k8s.io/v1/namespaces/shop/ingresses/ours/status',
    });
    expect(write?.headers['content-type']).toBe('application/merge-patch+json');
  },
);
