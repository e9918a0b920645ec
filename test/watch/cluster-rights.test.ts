import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { ingress, secret, watchCluster, watchOverSockets } from './cluster-fixture.ts';

test('Secrets that may not be listed are a problem that names the right, and hold nothing up', async () => {
  await using cluster = await watchCluster({
    objects: [ingress('shop/web'), secret('shop/tls', { 'tls.crt': '', 'tls.key': '' })],
    before: (api) => api.forbid('secrets'),
  });
  const { api, source, clock } = cluster;
  await source.synced;
  expect(cluster.state('Secret')).toMatchObject({ synced: true, objects: 0 });
  expect(source.problems()).toEqual([
    {
      code: 'ListForbidden',
      severity: 'warning',
      object: { kind: 'Secret', name: '*' },
      field: '',
      message:
        'Portico may not read secrets: grant it the verbs "list" and "watch" on resource "secrets" in API group "" ' +
        'with a ClusterRole (see deploy/rbac.yaml). Meanwhile every host gets the default certificate. (secrets is ' +
        'forbidden: User "system:serviceaccount:portico:portico" cannot watch resource "secrets" in API group "" at ' +
        'the cluster scope)',
    },
  ]);
  expect(cluster.state('Secret').lastError).toMatch(/^Portico may not read secrets: grant it the verbs/);

  api.delete('Secret', 'shop/tls');
  cluster.dirty.length = 0;
  api.allow('secrets');
  await cluster.until(() => clock.pending().some((ms) => ms >= 30_000 && ms <= 30_250));
  await cluster.advance(30_250);
  await cluster.until(() => source.problems().length === 0);
  // Although there is none: what was said of those that are missing is another thing now.
  expect(cluster.dirty).toContain('routes');
  expect(cluster.state('Secret').lastError).toBeNull();
});

test('Ingresses that may not be listed are waited for', async () => {
  await using cluster = await watchCluster({
    objects: [ingress('shop/web')],
    before: (api) => api.forbid('ingresses'),
  });
  const { api, source } = cluster;
  let synced = false;
  void source.synced.then(() => (synced = true));
  await cluster.until(
    () => source.states().filter(({ synced }) => synced).length === 4 && source.problems().length === 1,
  );
  expect(synced).toBe(false);
  expect(source.problems()[0]).toMatchObject({ severity: 'error', object: { kind: 'Ingress' } });
  api.allow('ingresses');
  await cluster.advance(30_250);
  await source.synced;
  expect(cluster.ingresses()).toEqual(['shop/web@401']);
});

test('a right that is taken away leaves what was known', async () => {
  await using cluster = await watchCluster({ objects: [ingress('shop/web')] });
  const { api, source } = cluster;
  await source.synced;
  await api.until(() => api.watches() === 5);
  api.forbid('ingresses');
  api.endWatches();
  await cluster.pass(() => source.problems().length === 1);
  expect(cluster.ingresses()).toEqual(['shop/web@401']);
});

test('in one namespace the missing right is a Role there', async () => {
  await using cluster = await watchCluster({
    source: { namespaces: ['shop'] },
    before: (api) => api.forbid('services'),
  });
  await cluster.until(() => cluster.source.problems().length === 1);
  expect(cluster.source.problems()[0]).toMatchObject({
    object: { kind: 'Service', namespace: 'shop', name: '*' },
    message: expect.stringContaining('with a Role in namespace "shop"') as string,
  });
});

test('a token that rotates in its file is read again after a 401', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'portico-token-'));
  const tokenFile = join(directory, 'token');
  await writeFile(tokenFile, 'first\n');
  try {
    await using cluster = await watchOverSockets('http', {
      token: 'first',
      objects: [ingress('shop/web')],
      kubeconfig: (api) => api.kubeconfig({ tokenFile }),
    });
    const { api, source } = cluster;
    await source.synced;
    await api.until(() => api.watches() === 5);
    api.token = 'second';
    await writeFile(tokenFile, 'second\n');
    api.bookmark();
    api.endWatches();
    const renewed = (): number =>
      api.requests.filter(({ headers }) => headers['authorization'] === 'Bearer second').length;
    await until(() => renewed() === 5 && api.watches() === 5);
    expect(source.states().map(({ errors }) => errors)).toEqual([0, 0, 0, 0, 0]);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('credentials that are refused are said in one line, and tried again', async () => {
  await using cluster = await watchOverSockets('http', { token: 'right', objects: [ingress('shop/web')] });
  const { api, source } = cluster;
  await source.synced;
  api.token = 'other';
  await api.until(() => api.watches() === 5);
  api.endWatches();
  await until(() => source.states().every(({ errors }) => errors > 0));
  expect(cluster.state('Ingress').lastError).toBe(
    'the API server does not accept our credentials (401 Unauthorized): renew the token or the kubeconfig',
  );
  api.token = 'right';
  await until(() => source.states().every(({ lastError }) => lastError === null));
  await api.until(() => api.watches() === 5);
});
