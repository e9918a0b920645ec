import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundlePage } from '../../scripts/page.ts';
import { CHROMIUM, type Tab, openTab } from '../support/chromium.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { heldPort, loopbackAddress } from '../support/loopback.ts';
import { type Folder, createFolder } from './folder.ts';
import { until } from '../support/until.ts';
import { type Pod, startPod } from './pod.ts';
import { INGRESS_CLASS, ingressOf, manifest, siteObjects } from './site.ts';

it('the page is one small file that asks nobody but its own origin', async () => {
  const { html, metafile } = await bundlePage();
  expect(html.match(/<script/g)).toHaveLength(1);
  expect(html.match(/<style/g)).toHaveLength(1);
  expect(html).not.toContain('/*script*/');
  expect(html.match(/https?:\/\/[\w.]+/g)?.filter((url) => !/w3\.org|example\.com/.test(url)) ?? []).toEqual(
    [],
  );
  expect(html.length).toBeLessThan(100_000);
  expect(Object.keys(metafile.inputs).some((file) => file.startsWith('src/'))).toBe(false);
});

if (CHROMIUM === undefined)
  console.warn('no chromium was found: the tests that open the admin page in it are skipped');

/** What would run if anything of it were taken for HTML. */
const HOSTILE = '"><img src=x onerror=alert(1)><script>alert(2)</script>';

describe.skipIf(CHROMIUM === undefined)('the admin page in Chromium', () => {
  let daemon: Daemon;
  let folder: Folder;
  let pod: Pod;
  let tab: Tab;
  let port: number;
  beforeAll(async () => {
    [pod, port, tab] = await Promise.all([startPod('pod'), heldPort(), openTab()]);
    folder = createFolder();
    const shop = { host: 'shop.test', name: 'shop', endpoints: [pod.endpoint] };
    const many = Array.from({ length: 400 }, (_, index) =>
      ingressOf({ host: `many-${String(index).padStart(3, '0')}.test`, name: 'shop', endpoints: [] }),
    ).map((ingress, index) => ({ ...ingress, metadata: { name: `many-${index}`, namespace: 'default' } }));
    const hostile = ingressOf({ host: 'hostile.test', name: 'shop', endpoints: [] });
    const annotations = {
      'portico.dev/response-headers': HOSTILE,
      [`portico.dev/balance`]: HOSTILE,
      'portico.dev/redirect': HOSTILE,
    };
    const objects = [
      ...siteObjects(shop),
      ...many,
      { ...hostile, metadata: { name: 'hostile', namespace: 'default', annotations } },
      { ...ingressOf(shop), metadata: { name: 'younger', namespace: 'default' } },
    ];
    await folder.put('all.yaml', manifest(INGRESS_CLASS, ...objects));
    // Of 127.0.0.1 a client of another test may have the port.
    const address = `${loopbackAddress()}:${port}`;
    daemon = startDaemon({ args: ['--manifests', folder.path, '--admin-address', address] });
    await daemon.ready();
    await tab.goTo(`http://${address}/`);
  });
  afterAll(async () => {
    await tab[Symbol.asyncDispose]();
    await daemon[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
    await pod.stop();
  });

  it('shows how it is, and rates once there are requests', async () => {
    await tab.shows('402 hosts, 1 backend');
    await tab.shows(/ready/);
    await until(async () => {
      await daemon.request('shop.test');
      return /^default\/shop \//m.test(await tab.evaluate<string>('document.body.innerText'));
    }, 'the rates of a route');
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
    await tab.shows('402 routes');
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
