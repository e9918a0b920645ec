import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VERSION } from '../../src/version.ts';
import { type Daemon, HTTP_PORT, STATUS_PORT, eventually, startDaemon } from '../support/daemon.ts';
import { nativeBuckets, readFamilies } from '../support/protobuf.ts';
import { checkResponse, checkServer } from '../support/ext-authz.ts';
import { rawClient } from '../support/raw-client.ts';
import { type Folder, createFolder } from './folder.ts';
import { type Pod, startPod } from './pod.ts';
import { INGRESS_CLASS, ingressOf, manifest, siteObjects } from './site.ts';

/** What one Ingress is counted under. */
const of = (ingress: string): string => `namespace="default",ingress="${ingress}"`;

describe('the status port', () => {
  let daemon: Daemon;
  let folder: Folder;
  let pod: Pod;
  beforeAll(async () => {
    pod = await startPod('pod');
    folder = createFolder();
    const lonely = ingressOf({ host: 'lonely.test', name: 'lonely', endpoints: [] });
    const shop = { host: 'shop.test', name: 'shop', endpoints: [pod.endpoint] };
    const blog = { host: 'blog.test', name: 'blog', endpoints: [pod.endpoint] };
    await folder.put('all.yaml', manifest(INGRESS_CLASS, ...siteObjects(shop), ...siteObjects(blog), lonely));
    daemon = startDaemon({ args: ['--manifests', folder.path, '--access-log', 'off', '--workers', '2'] });
    await daemon.ready();
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
    await pod.stop();
  });

  it('counts requests by Ingress and status class, over all threads', async () => {
    const ask = async (host: string, count: number): Promise<void> => {
      for (let asked = 0; asked < count; asked++) await daemon.request(host, `/${asked}`);
    };
    await Promise.all([
      ask('shop.test', 40),
      ask('blog.test', 24),
      ask('lonely.test', 3),
      ask('nobody.test', 2),
    ]);
    expect(await daemon.metric(`portico_requests_total{${of('shop')},status="2xx"}`)).toBe(40);
    expect(await daemon.metric(`portico_requests_total{${of('blog')},status="2xx"}`)).toBe(24);
    expect(await daemon.metric(`portico_requests_total{${of('lonely')},status="5xx"}`)).toBe(3);
    expect(await daemon.metric('portico_requests_total{namespace="",ingress="",status="4xx"}')).toBe(2);
    expect(await daemon.metric(`portico_request_duration_seconds_count{${of('shop')}}`)).toBe(40);
    expect(await daemon.metric(`portico_request_duration_seconds_bucket{${of('shop')},le="+Inf"}`)).toBe(40);
    expect(await daemon.metric(`portico_request_duration_seconds_sum{${of('shop')}}`)).toBeGreaterThan(0);
    expect(await daemon.metric(`portico_upstream_duration_seconds_count{${of('shop')}}`)).toBe(40);
    expect(await daemon.metric(`portico_upstream_duration_seconds_count{${of('lonely')}}`)).toBe(0);
    const reasons = 'class="upstream",reason="backend-unavailable"';
    expect(await daemon.metric(`portico_local_responses_total{${of('lonely')},${reasons}}`)).toBe(3);
    expect(await daemon.metric(`portico_response_bytes_total{${of('shop')}}`)).toBe(40 * 'pod'.length);
    const { body } = await daemon.status('/metrics');
    expect(body).not.toContain('shop.test');
    expect(body).not.toMatch(/="\/\d/);
  });

  it('shows what is under way: requests, connections, tunnels', async () => {
    const clients = await Promise.all(Array.from({ length: 6 }, () => daemon.connect()));
    for (const client of clients) client.send('GET /slow HTTP/1.1\r\nHost: shop.test\r\n\r\n');
    await pod.holds(6);
    await daemon.metricBecomes('portico_requests_in_flight', 6);
    expect(await daemon.metric('portico_client_connections')).toBe(6);
    pod.release();
    for (const client of clients) expect((await client.message()).status).toBe(200);
    for (const client of clients) client[Symbol.dispose]();
    await Promise.all([
      daemon.metricBecomes('portico_requests_in_flight', 0),
      daemon.metricBecomes('portico_client_connections', 0),
    ]);
  });

  it('shows the table, its generation and its problems, and follows a change', async () => {
    expect(await daemon.metric('portico_hosts')).toBe(3);
    expect(await daemon.metric('portico_routes')).toBe(3);
    expect(await daemon.metric('portico_problems{severity="error"}')).toBe(1);
    const generation = await daemon.metric('portico_table_generation');
    const compiled = await daemon.metric('portico_compile_duration_seconds_count');
    expect(await daemon.metric('portico_table_adopted_generation')).toBe(generation);

    const more = { host: 'more.test', name: 'more', endpoints: [pod.endpoint] };
    await folder.put('more.yaml', manifest(...siteObjects(more)));
    await eventually(async () => (await daemon.request('more.test')).status === 200, daemon.exited);
    await daemon.metricBecomes('portico_routes', 4);
    expect(await daemon.metric('portico_table_generation')).toBeGreaterThan(generation);
    expect(await daemon.metric('portico_compile_duration_seconds_count')).toBeGreaterThan(compiled);
    expect(await daemon.metric('portico_data_plane_threads')).toBe(2);
    expect(await daemon.metric(`portico_build_info{version="${VERSION}"}`)).toBe(1);
  });

  // Each waits for some scrapes, of which there is a new one every second.
  it.concurrent('ends the series of an Ingress that is deleted', async ({ expect }) => {
    const brief = { host: 'brief.test', name: 'brief', endpoints: [pod.endpoint] };
    await folder.put('brief.yaml', manifest(...siteObjects(brief)));
    await eventually(async () => (await daemon.request('brief.test')).status === 200, daemon.exited);
    const sample = `portico_requests_total{${of('brief')},status="2xx"}`;
    await daemon.metricBecomes(sample, 1);
    await folder.remove('brief.yaml');
    await eventually(async () => (await daemon.request('brief.test')).status === 404, daemon.exited);
    await daemon.metricBecomes(sample, 0);
    expect((await daemon.status('/metrics')).body).not.toContain(of('brief'));
    expect(await daemon.metric(`portico_requests_total{${of('shop')},status="2xx"}`)).toBeGreaterThan(0);
    // Made again, it is counted from the start.
    await folder.put('brief.yaml', manifest(...siteObjects(brief)));
    await eventually(async () => (await daemon.request('brief.test')).status === 200, daemon.exited);
    await daemon.metricBecomes(sample, 1);
  });

  it.concurrent('counts a route of Gateway API and an Ingress of the same name apart, asks by gRPC, and ends the series of the route', async ({
    expect,
  }) => {
    await using auth = await checkServer(({ headers }) =>
      checkResponse(headers['x-pass'] === 'yes' ? { ok: {} } : { code: 7 }),
    );
    const apiVersion = 'gateway.networking.k8s.io/v1';
    const controllerName = 'portico.dev/gateway-controller';
    const listeners = [{ name: 'http', port: HTTP_PORT, protocol: 'HTTP' }];
    const backendRefs = [{ name: 'shop', port: 80 }];
    const externalAuth = { protocol: 'GRPC', grpc: {}, backendRef: { name: 'auth', port: 80 } };
    const matches = [{ path: { type: 'PathPrefix', value: '/guarded' } }];
    const rules = [
      { matches, filters: [{ type: 'ExternalAuth', externalAuth }], backendRefs },
      { backendRefs },
    ];
    const [, ...service] = siteObjects({ host: '', name: 'auth', endpoints: [`127.0.0.1:${auth.port}`] });
    await folder.put('auth.yaml', manifest(...service));
    const gateway = manifest(
      { apiVersion, kind: 'GatewayClass', metadata: { name: 'portico' }, spec: { controllerName } },
      {
        apiVersion,
        kind: 'Gateway',
        metadata: { name: 'web' },
        spec: { gatewayClassName: 'portico', listeners },
      },
    );
    const route = {
      ...{ apiVersion, kind: 'HTTPRoute', metadata: { name: 'shop' } },
      spec: { parentRefs: [{ name: 'web' }], hostnames: ['route.test'], rules },
    };
    await folder.put('gateway.yaml', gateway);
    await folder.put('route.yaml', manifest(route));
    const before = await daemon.metric(`portico_requests_total{${of('shop')},status="2xx"}`);
    await eventually(async () => (await daemon.request('route.test')).status === 200, daemon.exited);
    const sample = 'portico_requests_total{namespace="default",kind="HTTPRoute",route="shop",status="2xx"}';
    await daemon.metricBecomes(sample, 1);
    // This scrape would have forgotten the route, if it were taken for one that is deleted.
    await daemon.request('route.test');
    await daemon.metricBecomes(sample, 2);
    expect(await daemon.metric(`portico_requests_total{${of('shop')},status="2xx"}`)).toBe(before);
    const ask = (...fields: readonly string[]) => daemon.request('route.test', '/guarded', { fields });
    expect([(await ask()).status, (await ask('X-Pass: yes')).status]).toEqual([403, 200]);
    const asked = 'namespace="default",kind="HTTPRoute",route="shop",policy="external-auth-filter"';
    await Promise.all(
      ['denied', 'allowed'].map((verdict) =>
        daemon.metricBecomes(`portico_auth_requests_total{${asked},verdict="${verdict}",cached="false"}`, 1),
      ),
    );
    await folder.remove('auth.yaml');
    await folder.remove('route.yaml');
    await eventually(async () => (await daemon.request('route.test')).status === 404, daemon.exited);
    await daemon.metricBecomes(sample, 0);
    await folder.remove('gateway.yaml');
  });

  it.concurrent('counts what an authentication server says, and what is remembered of it', async ({
    expect,
  }) => {
    const ingress = ingressOf({ host: 'guarded.test', name: 'guarded', endpoints: [] });
    const annotations = {
      'portico.dev/auth-url': `http://${pod.endpoint}/`,
      'portico.dev/auth-cache-key': '$http_authorization',
    };
    const site = { host: 'guarded.test', name: 'guarded', endpoints: [pod.endpoint] };
    const [, ...others] = siteObjects(site);
    const guarded = { ...ingress, metadata: { ...ingress.metadata, annotations } };
    await folder.put('guarded.yaml', manifest(guarded, ...others));
    const fields = ['Authorization: Bearer a'];
    await eventually(
      async () => (await daemon.request('guarded.test', '/', { fields })).status === 200,
      daemon.exited,
    );
    for (let asked = 0; asked < 10; asked++) await daemon.request('guarded.test', '/', { fields });
    await daemon.metricBecomes(`portico_requests_total{${of('guarded')},status="2xx"}`, 11);
    const labels = `${of('guarded')},policy="external-auth",verdict="allowed"`;
    const asked = await daemon.metric(`portico_auth_requests_total{${labels},cached="false"}`);
    // Each of the two threads remembers for itself.
    expect([1, 2]).toContain(asked);
    expect(await daemon.metric(`portico_auth_requests_total{${labels},cached="true"}`)).toBe(11 - asked);
  });

  it('is OpenMetrics for those that prefer it', async () => {
    const ask = async (accept: string): Promise<Response> =>
      fetch(`http://${daemon.address}:${STATUS_PORT}/metrics`, { headers: { accept, connection: 'close' } });
    const response = await ask('application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3');
    expect(response.headers.get('content-type')).toContain('application/openmetrics-text; version=1.0.0');
    expect(response.headers.get('vary')).toBe('Accept');
    const lines = (await response.text()).split('\n');
    expect(lines.slice(-2)).toEqual(['# EOF', '']);
    expect(lines).toContain('# TYPE portico_requests counter');
    // Every sample belongs to the family before it.
    let family = '';
    for (const line of lines.slice(0, -2)) {
      const [, word, name = ''] = /^# (TYPE|HELP) (\S+) /.exec(line) ?? [];
      if (word === 'TYPE') family = name;
      expect(word === undefined ? line.startsWith(family) : name === family, line).toBe(true);
    }
  });

  it('is protobuf with native histograms for those that prefer it', async () => {
    const accept =
      'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,' +
      'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1';
    const response = await fetch(`http://${daemon.address}:${STATUS_PORT}/metrics`, {
      headers: { accept, connection: 'close' },
    });
    expect(response.headers.get('content-type')).toContain('proto=io.prometheus.client.MetricFamily');
    const families = readFamilies(await response.bytes());
    const text = (await daemon.status('/metrics')).body;
    expect(families.map(({ name }) => name)).toEqual(
      [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name),
    );
    const durations = families.find(({ name }) => name === 'portico_request_duration_seconds');
    const shop = durations?.metric?.find(({ label }) => label?.some(({ value }) => value === 'shop'));
    const histogram = shop!.histogram!;
    expect(histogram).toMatchObject({ schema: 3, sampleCount: histogram.bucket.at(-1)?.cumulativeCount });
    const counted = [...nativeBuckets(histogram).values()].reduce((sum, count) => sum + count, 0);
    expect([counted > 0, counted + (histogram.zeroCount ?? 0)]).toEqual([true, histogram.sampleCount]);
  });

  it('is text that Prometheus reads: every family has one HELP, one TYPE, and samples of its name', async () => {
    const { body } = await daemon.status('/metrics');
    const families = [...body.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name]) => name);
    expect(new Set(families).size).toBe(families.length);
    expect([...body.matchAll(/^# HELP (\S+) \S/gm)].map(([, name]) => name)).toEqual(families);
    for (const line of body.split('\n').filter((text) => text !== '' && !text.startsWith('#'))) {
      const [, name = ''] =
        /^([a-zA-Z_:][\w:]*)(?:\{(?:\w+="(?:[^"\\\n]|\\.)*",?)*\})? -?(?:[\d.e+-]+|NaN|\+Inf)$/.exec(line) ??
        [];
      expect(families, line).toContain(
        families.includes(name) ? name : name.replace(/_(bucket|sum|count)$/, ''),
      );
    }
  });

  it('answers /healthz, /readyz, /readyz?verbose and /routes', async () => {
    expect(await daemon.status('/healthz')).toEqual({ status: 200, body: 'ok\n' });
    expect(await daemon.status('/readyz')).toEqual({ status: 200, body: 'ok\n' });
    const verbose = await daemon.status('/readyz?verbose');
    expect(verbose.body).toMatch(/^\[\+\]watch-Ingress \d+ objects$/m);
    expect(verbose.body).toMatch(/^\[\+\]data-plane every thread serves table generation \d+$/m);
    const routes = await daemon.status('/routes');
    const { hosts, backends } = JSON.parse(routes.body) as {
      hosts: { host: string; routes: { ingress: string }[] }[];
      backends: Record<string, { endpoints: object[] }>;
    };
    expect(hosts.find(({ host }) => host === 'shop.test')?.routes).toMatchObject([
      { ingress: 'default/shop' },
    ]);
    const [address, port] = pod.endpoint.split(':');
    expect(backends['default/shop:http']?.endpoints).toEqual([{ address, port: Number(port) }]);
  });

  it('is another port than the traffic has: neither answers for the other', async () => {
    expect((await daemon.request('shop.test', '/metrics')).body).toBe('pod');
    expect((await daemon.status('/cart')).status).toBe(404);
    using client = await rawClient(STATUS_PORT, daemon.address);
    client.send('POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n');
    const refused = await client.message();
    expect([refused.status, refused.field('allow')]).toEqual([405, 'GET, HEAD']);
    expect(HTTP_PORT).not.toBe(STATUS_PORT);
  });
});
