import { expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { endpointSlice, ingress, service, watchOverSockets } from './cluster-fixture.ts';

test.each(['http', 'https', 'h2'] as const)(
  'lists every kind and follows changes over %s',
  async (protocol) => {
    await using cluster = await watchOverSockets(protocol, {
      objects: [ingress('shop/web'), service('shop/web'), endpointSlice('shop/web-1', 'web', '10.0.0.1')],
    });
    const { api, source, dirty } = cluster;
    await source.synced;
    expect(cluster.ingresses()).toEqual(['shop/web@401']);
    expect(dirty).toEqual(['routes']);
    expect(source.states().map(({ kind, synced, objects }) => [kind, synced, objects])).toEqual([
      ['Ingress', true, 1],
      ['IngressClass', true, 0],
      ['Service', true, 1],
      ['EndpointSlice', true, 1],
      ['Secret', true, 0],
    ]);
    await api.until(() => api.watches() === 5);

    api.apply(endpointSlice('shop/web-1', 'web', '10.0.0.1', '10.0.0.2'));
    await until(() => dirty.length === 2);
    expect(dirty[1]).toBe('endpoints');

    api.apply(ingress('shop/second'));
    await until(() => dirty.length === 3);
    expect(dirty[2]).toBe('routes');
    expect(cluster.ingresses()).toEqual(['shop/second@405', 'shop/web@401']);

    api.delete('Ingress', 'shop/web');
    await until(() => dirty.length === 4);
    expect(cluster.ingresses()).toEqual(['shop/second@405']);
    expect(source.problems()).toEqual([]);
  },
);
