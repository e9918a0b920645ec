import { expect, it } from 'vitest';
import { ObjectReader } from '../../src/model/object-reader.ts';
import { snapshotOf } from '../../src/model/snapshot.ts';
import { readStreamServices } from '../../src/routing/stream-services.ts';
import { loadCase } from '../support/cases.ts';

it('serves the first thousand ports that a ConfigMap lists, and says that there are more', () => {
  const { settings } = loadCase('stream-services');
  const data = Object.fromEntries(
    Array.from({ length: 1001 }, (_, i) => [String(2000 + i), 'db/postgres:5432']),
  );
  const object = { metadata: { name: 'tcp', namespace: 'ingress' }, data };
  const snapshot = snapshotOf([{ kind: 'ConfigMap', key: 'ingress/tcp', object }]);
  const { routes, problems } = readStreamServices(
    { ...settings, udpServicesConfigMap: null },
    new ObjectReader(snapshot, settings),
  );
  expect(routes.size).toBe(1000);
  expect(problems.map(({ code, field }) => [code, field])).toEqual([['TooManyStreamPorts', 'data[3000]']]);
});
