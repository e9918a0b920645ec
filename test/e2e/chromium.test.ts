import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiObject } from '../support/api-server.ts';
import { CHROMIUM, type Tab, openTab } from '../support/chromium.ts';
import { type Daemon, HTTPS_PORT, HTTP_PORT, startDaemon } from '../support/daemon.ts';
import { heldPort, loopbackAddress } from '../support/loopback.ts';
import { authority } from '../support/tls-proxy.ts';
import { until } from '../support/until.ts';
import { createFolder } from './folder.ts';
import { startAskingPod, startAuthPod, startDataPod, startEchoPod } from './page-pods.ts';
import { type Pod, startPod } from './pod.ts';
import { INGRESS_CLASS, type Site, ingressOf, manifest, siteObjects } from './site.ts';

if (CHROMIUM === undefined)
  console.warn('no chromium was found: the tests that open pages in it are skipped');

/** What would run if anything of it were taken for HTML. */
const HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>';
const NGINX = 'nginx.ingress.kubernetes.io/';

function annotated(site: Site, annotations: Readonly<Record<string, string>>): ApiObject[] {
  const [ingress, ...others] = siteObjects(site);
  return [{ ...ingress, metadata: { ...ingress?.metadata, annotations } } as ApiObject, ...others];
}

/** Many routes, two Ingresses that claim one path, and one with annotations that are no good. */
function crowd(shop: Site): ApiObject[] {
  const many = Array.from({ length: 100 }, (_, index) => ({
    ...ingressOf({ ...shop, host: `many-${String(index).padStart(3, '0')}.test` }),
    metadata: { name: `many-${index}`, namespace: 'default' },
  }));
  const annotations = {
    'portico.dev/response-headers': HOSTILE,
    'portico.dev/balance': HOSTILE,
    'portico.dev/redirect': HOSTILE,
  };
  const hostile = ingressOf({ ...shop, host: 'hostile.test' });
  return [
    ...siteObjects(shop),
    ...many,
    { ...hostile, metadata: { name: 'hostile', namespace: 'default', annotations } },
    { ...ingressOf(shop), metadata: { name: 'younger', namespace: 'default' } },
  ];
}

/** A host with TLS. */
function secureSite(site: Site): ApiObject[] {
  const [ingress, ...others] = siteObjects(site);
  const { certificate, key } = authority().issue([site.host]);
  const encode = (text: string): string => Buffer.from(text).toString('base64');
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: { name: 'site', namespace: 'default' },
    data: { 'tls.crt': encode(certificate), 'tls.key': encode(key) },
  };
  const tls = [{ hosts: [site.host], secretName: 'site' }];
  return [secret, { ...ingress, spec: { ...(ingress?.spec as object), tls } } as ApiObject, ...others];
}

/** A host where clients sign in by a path of its own. */
function signInSite(host: string, page: string, auth: string): ApiObject[] {
  const [signIn, ...authService] = siteObjects({ host, name: 'auth', endpoints: [auth] });
  const paths = [
    { path: '/oauth2', pathType: 'Prefix', backend: { service: { name: 'auth', port: { number: 80 } } } },
  ];
  return [
    ...annotated(
      { host, name: 'page', endpoints: [page] },
      {
        [`${NGINX}auth-url`]: `http://${auth}/oauth2/auth`,
        [`${NGINX}auth-signin`]: 'http://$http_host/oauth2/start?rd=$escaped_request_uri',
        [`${NGINX}auth-response-headers`]: 'X-Auth-Request-User',
      },
    ),
    { ...signIn, spec: { ...(signIn?.spec as object), rules: [{ host, http: { paths } }] } } as ApiObject,
    ...authService,
  ];
}

/** A host that pages of another origin may ask. */
function crossOriginSite(site: Site, origin: string): ApiObject[] {
  return annotated(site, {
    [`${NGINX}enable-cors`]: 'true',
    [`${NGINX}cors-allow-origin`]: origin,
    [`${NGINX}cors-allow-headers`]: 'X-Custom',
    [`${NGINX}cors-expose-headers`]: 'X-Shown',
  });
}

describe.skipIf(CHROMIUM === undefined)('Chromium', () => {
  const stack = new AsyncDisposableStack();
  const address = loopbackAddress();
  /** The methods that arrived at the Pod of the other origins. */
  const methods: (string | undefined)[] = [];
  let daemon: Daemon;
  let pod: Pod;
  let tab: Tab;

  beforeAll(async () => {
    const origins = ['open', 'shut'].map((name) => `http://${name}.test:${HTTP_PORT}`);
    const [shop, echo, page, auth, data, adminPort, opened] = await Promise.all([
      startPod('pod'),
      startEchoPod(),
      startAskingPod(origins),
      startAuthPod(),
      startDataPod(({ method }) => void methods.push(method)),
      heldPort(),
      openTab('*.test', address),
    ]);
    for (const each of [shop, echo, page, auth, data, opened]) stack.use(each);
    [pod, tab] = [shop, opened];
    const folder = stack.use(createFolder());
    const asked = (name: string): Site => ({ host: `${name}.test`, name, endpoints: [data.endpoint] });
    await folder.put(
      'all.yaml',
      manifest(
        INGRESS_CLASS,
        ...crowd({ host: 'shop.test', name: 'shop', endpoints: [pod.endpoint] }),
        ...secureSite({ host: 'waiting.test', name: 'waiting', endpoints: [echo.endpoint] }),
        ...signInSite('page.test', page.endpoint, auth.endpoint),
        ...crossOriginSite(asked('open'), `http://page.test:${HTTP_PORT}`),
        ...crossOriginSite(asked('shut'), 'https://elsewhere.test'),
      ),
    );
    const admin = `${address}:${adminPort}`;
    const args = ['--manifests', folder.path, '--admin-address', admin, '--https-port', `${HTTPS_PORT}`];
    daemon = stack.use(startDaemon({ address, args }));
    await daemon.ready();
    await tab.goTo(`http://${admin}/`);
  });
  afterAll(() => stack.disposeAsync());

  describe('on the admin page', () => {
    it('shows how it is, and rates once there are requests', async () => {
      await tab.shows('106 hosts, 6 backends');
      await tab.shows(/ready/);
      await until(
        async () => {
          await daemon.request('shop.test');
          return /^default\/shop \//m.test(await tab.evaluate<string>('document.body.innerText'));
        },
        'the rates of a route',
        100,
      );
      expect(tab.faults).toEqual([]);
    });

    it('explains a URL that is typed into its search, by keys alone', async () => {
      await tab.press('/');
      await tab.type('http://shop.test/cart');
      await tab.press('Enter');
      await tab.shows('Forwarded to default/shop:http');
      await tab.shows('The rules of host "shop.test" own this host.');
      await tab.shows('Ingress default/younger');
      expect(await tab.evaluate('location.hash')).toBe('#/explain?url=http%3A%2F%2Fshop.test%2Fcart');
    });

    it('lists routes of which only those are drawn that are seen, and goes from row to row', async () => {
      await tab.press('Escape');
      await tab.press('2');
      await tab.shows('107 routes');
      await tab.shows('many-000.test/');
      expect(await tab.evaluate<number>("document.querySelectorAll('.row').length")).toBeLessThan(60);
      await tab.evaluate("document.querySelector('.rows').scrollTop = 1e6");
      await tab.shows('shop.test/');
      await tab.evaluate(
        "document.querySelector('.rows').scrollTop = 0; document.querySelector('.rows').focus()",
      );
      await tab.shows('hostile.test/');
      await tab.press('ArrowDown');
      await tab.press('ArrowDown');
      expect(await tab.evaluate('document.activeElement.dataset.row')).toBe('1');
      await tab.press('Enter');
      await tab.shows('default/many-0');
      await tab.shows(pod.endpoint);
      await tab.evaluate("location.hash = '#/routes?filter=shop.test'");
      await tab.shows(/^1 route$/m);
    });

    it('shows conflicts and problems, and what tenants write as text', async () => {
      await tab.evaluate("location.hash = '#/conflicts'");
      await tab.shows(/^1 conflict$/m);
      await tab.shows('PathConflict');
      await tab.evaluate("location.hash = '#/problems?filter=hostile'");
      await tab.shows('onerror=alert');
      await tab.evaluate("location.hash = '#/object/Ingress/default/hostile'");
      await tab.shows('onerror=alert');
      await tab.evaluate(
        `location.hash = '#/explain?url=' + encodeURIComponent(${JSON.stringify(`http://x/${HOSTILE}`)})`,
      );
      await tab.shows('alert(2)');
      expect(await tab.evaluate('document.querySelectorAll("img, script[src]").length')).toBe(0);
    });

    it('has a dark side, and nothing in it goes wrong', async () => {
      const ground = (): Promise<string> => tab.evaluate('getComputedStyle(document.body).backgroundColor');
      await tab.colours('light');
      const light = await ground();
      await tab.colours('dark');
      expect(await ground()).not.toBe(light);
      for (const view of ['backends', 'certificates', 'system', 'overview']) {
        await tab.evaluate(`location.hash = '#/${view}'`);
        await tab.shows(
          view === 'system' ? 'Data-plane threads' : view === 'overview' ? 'Busiest routes' : /backend|TLS/,
        );
      }
      expect(tab.faults).toEqual([]);
    });
  });

  it('shows a page whose WebSocket comes back to the same host', async () => {
    await tab.goTo(`https://waiting.test:${HTTPS_PORT}/`);
    await tab.shows(`echo of through Portico, https, https://waiting.test:${HTTPS_PORT}`);
    await tab.shows('page over h2');
    // It is logged when it is over, and was on the connection of the page (RFC 8441).
    await tab.evaluate('socket.close()');
    expect(await daemon.line(/\/socket/)).toMatch(/HTTP\/2/);
  });

  it('is sent to sign in, comes back to the page that it wanted, and asks the origins that it may', async () => {
    await tab.goTo(`http://page.test:${HTTP_PORT}/a?b=c&d=%20e`);
    await tab.shows('ada wanted /a?b=c&d=%20e');
    await tab.shows(/^data too, blocked$/m);
    // Preflights are answered before a Pod sees them.
    expect(methods).toEqual(['PUT']);
  });
});
