import { describe, expect, it } from 'vitest';
import { compile } from '../../src/routing/compile/compile.ts';
import { type Explanation, explain, explainInSteps } from '../../src/routing/explanation.ts';
import { type ObjectChange, snapshotOf } from '../../src/model/snapshot.ts';
import { CASE_SETTINGS, loadCase } from '../support/cases.ts';
import { explanationText } from '../../src/cli/explanation-text.ts';
import type { Claims } from '../../src/routing/ingress/claims.ts';
import { edit, entries } from '../../src/model/sharded-map.ts';
import { explainFully, parseUrl } from '../../src/routing/explain-url.ts';
import { OUR_CLASS } from './arbitrary-cluster.ts';

function explained(name: string, host: string, path: string, scheme: 'http' | 'https' = 'http'): Explanation {
  const { objects, settings } = loadCase(name);
  return explain(compile(snapshotOf(objects), settings), { scheme, host, path }, { port: 443 });
}

function losers({ otherRules }: Explanation): readonly string[] {
  return otherRules.map(({ route, reason }) => `${route.ingress} ${route.pathType} ${route.path} ${reason}`);
}

function ageOf({ object }: ObjectChange): number {
  return Date.parse(object?.metadata?.creationTimestamp ?? '');
}

describe('explain', () => {
  it('names the class that owns the host and those that come after it', () => {
    const { outcome, steps, otherRules } = explained('host-class-owns', 'a.foo.com', '/miss');
    expect(outcome).toMatchObject({ kind: 'refuse', status: 404, reason: 'no-route' });
    expect(steps).toEqual([
      'The rules of host "a.foo.com" own this host.',
      'None of its rules takes "/miss". There is no default backend, so the answer is 404.',
    ]);
    expect(otherRules.map(({ route, because }) => `${route.ingress}: ${because}`)).toEqual([
      'shop/wild: The request belongs to host "a.foo.com", which comes before host "*.foo.com".',
      'shop/any: The request belongs to host "a.foo.com", which comes before all hosts.',
    ]);
  });

  it('says how the wildcard and the hostless rules were reached', () => {
    expect(explained('host-class-owns', 'b.foo.com', '/').steps.slice(0, 2)).toEqual([
      'No rule has exactly this host.',
      'The rules of host "*.foo.com" own this host.',
    ]);
    expect(explained('host-class-owns', 'x.org', '/').steps).toHaveLength(5);
  });

  it('says on which port a Gateway has the host', () => {
    const gateway = (port: number) => ({
      kind: 'Gateway' as const,
      key: `shop/on-${port}`,
      object: {
        metadata: { namespace: 'shop', name: `on-${port}` },
        spec: { gatewayClassName: 'portico', listeners: [{ name: 'http', port, protocol: 'HTTP' }] },
      },
    });
    const gatewayClass = {
      kind: 'GatewayClass' as const,
      key: 'portico',
      object: {
        metadata: { name: 'portico' },
        spec: { controllerName: 'portico.dev/gateway-controller' },
      },
    };
    const parentRefs = [8081, 8080].map((port) => ({ name: `on-${port}` }));
    const route = {
      kind: 'HTTPRoute' as const,
      key: 'shop/web',
      object: {
        metadata: { namespace: 'shop', name: 'web' },
        spec: { parentRefs, hostnames: ['shop.example.com'], rules: [{}] },
      },
    };
    const objects = [gatewayClass, gateway(8081), gateway(8080), route] as unknown as readonly ObjectChange[];
    const settings = { ...CASE_SETTINGS, gatewayController: 'portico.dev/gateway-controller' };
    const at = (host: string): readonly string[] =>
      explain(compile(snapshotOf(objects), settings), { scheme: 'http', host, path: '/' }).steps;
    expect(at('shop.example.com')).toContain(
      'A Gateway has this host at http://shop.example.com:8080/, http://shop.example.com:8081/: explain one of these URLs.',
    );
    expect(at('shop.example.com:8080').join()).not.toContain('A Gateway has');
  });

  it('says what clients must show', () => {
    const step = (name: string, host: string, path: string): string | undefined =>
      explained(name, host, path).steps.find((each) => each.includes('certificate'));
    expect(step('client-certificate', 'ours.example.com', '/')).toBe(
      'Clients must show a certificate, over TLS that ends here, as Ingress shop/ours says.',
    );
    expect(step('client-certificate', 'nginx.example.com', '/')).toContain('Clients may show');
    expect(step('client-certificate', 'open.wild.example.com', '/')).toBe(undefined);
    expect(step('client-certificate-refused', 'missing.example.com', '/')).toContain(
      'every request gets 503',
    );
    expect(step('client-certificate-conflict', 'shop.example.com', '/loser')).toContain('on other terms');
  });

  it('says what the data plane answers: the redirect of a host with TLS, and what a client without TLS gets', () => {
    const plain = explained('tls-good', 'shop.example.com', '/a?b=1');
    expect(plain.outcome).toMatchObject({
      kind: 'redirect',
      status: 308,
      location: 'https://shop.example.com/a?b=1',
    });
    expect(plain.steps.at(-1)).toContain('explain the https URL');
    expect(explained('tls-good', 'shop.example.com', '/', 'https').outcome.kind).toBe('forward');
    const asked = (scheme: 'http' | 'https') =>
      explained('client-certificate', 'ours.example.com', '/', scheme).outcome;
    expect(asked('http')).toMatchObject({ status: 403, reason: 'client-certificate-not-available' });
    expect(asked('https').kind).toBe('forward');
  });

  it('says 503 where the client CA is missing, and for whatever else closes a path', () => {
    const missing = explained('client-certificate-refused', 'missing.example.com', '/', 'https');
    expect(missing.outcome).toMatchObject({ kind: 'refuse', status: 503, reason: 'closed-by-policy' });
    const closed = explained('annotation-access-policy', 'shop.example.com', '/admin');
    expect(closed.outcome).toMatchObject({ kind: 'refuse', status: 503, reason: 'closed-by-policy' });
    expect(closed.steps.at(-1)).toContain('(unsupported-access)');
  });

  it('says why each other rule lost', () => {
    expect(losers(explained('path-longest', 'shop.example.com', '/a/b/c'))).toEqual([
      'shop/web Prefix /a/b shorter-path',
      'shop/web Prefix / shorter-path',
    ]);
    expect(losers(explained('path-type-order', 'shop.example.com', '/x'))).toEqual([
      'shop/web Prefix /x path-type',
      'shop/web ImplementationSpecific /x path-type',
    ]);
    expect(losers(explained('conflict-older-wins', 'shop.example.com', '/'))).toEqual([
      'shop/young Prefix / newer-ingress',
    ]);
    expect(losers(explained('conflict-name-decides', 'shop.example.com', '/'))).toEqual([
      'shop/a Prefix / later-name',
      'shop/b Prefix / later-name',
    ]);
    expect(losers(explained('conflict-same-backend', 'shop.example.com', '/'))).toEqual([
      'shop/web Prefix / later-rule',
    ]);
    expect(losers(explained('default-of-host', 'shop.example.com', '/b'))).toEqual([
      'shop/middle DefaultBackend  default-backend',
      'shop/young DefaultBackend  default-backend',
    ]);
  });

  it('gives the endpoints, or why there are none', () => {
    expect(explained('host-precise', 'shop.example.com', '/').outcome).toMatchObject({
      kind: 'forward',
      backend: { endpoints: [{ address: '10.0.0.1', port: 8080 }] },
    });
    expect(explained('service-missing', 'shop.example.com', '/gone').outcome).toMatchObject({
      kind: 'refuse',
      status: 503,
      unavailable: 'service-not-found',
    });
    expect(explained('default-of-controller', 'unknown.org', '/').steps.at(-1)).toContain(
      "the controller's default backend",
    );
    expect(explained('host-precise', 'a b', '/').outcome).toMatchObject({ status: 400, reason: 'bad-host' });
    expect(explained('host-precise', 'a', '/..').outcome).toMatchObject({ status: 400 });
  });

  it('may be interrupted while it looks for Ingresses that are not served', () => {
    const ingresses = Array.from({ length: 200 }, (_, index): ObjectChange => {
      const metadata = { namespace: 'shop', name: `a${index}` };
      const others = Array.from({ length: 9 }, (__, rule) => ({ host: `other-${rule}.test` }));
      const rules = [...others, { host: `A${index}.test` }];
      const object = { metadata, spec: { ingressClassName: 'other', rules } };
      return { kind: 'Ingress', key: `shop/a${index}`, object };
    });
    const compilation = compile(snapshotOf(ingresses), CASE_SETTINGS);
    const work = explainInSteps(compilation, { scheme: 'http', host: 'a199.test', path: '/' });
    let steps = 0;
    let last = work.next();
    for (; !last.done; last = work.next()) steps++;
    expect(steps).toBeGreaterThan(2);
    expect(last.value.notServed.map(({ ingress }) => ingress)).toEqual(['shop/a199']);
  });

  it.each([['none'], ['namespace']] as const)(
    'names the nearest of the many Ingresses that share a host and path, some at a time, with owners: %s',
    (hostOwnership) => {
      const COUNT = 1_500;
      const backend = { service: { name: 'web', port: { number: 80 } } };
      const http = { paths: [{ path: '/a', pathType: 'Prefix', backend }] };
      const ingresses = Array.from({ length: COUNT }, (_, index): ObjectChange => {
        const name = `web-${index}`;
        // Of all ages, in no order.
        const creationTimestamp = new Date(1e12 + ((index * 7) % COUNT) * 1_000).toISOString();
        const spec = { ingressClassName: 'portico', rules: [{ host: 'a.test', http }] };
        const object = { metadata: { namespace: 'shop', name, creationTimestamp }, spec };
        return { kind: 'Ingress', key: `shop/${name}`, object };
      });
      const settings = { ...CASE_SETTINGS, hostOwnership };
      const compilation = compile(snapshotOf([OUR_CLASS, ...ingresses]), settings);
      let looked = 0;
      const claims = edit(compilation.claims);
      for (const [key, { scopes, yields, ...rest }] of entries(compilation.claims)) {
        const counted = {
          get scopes() {
            looked++;
            return scopes;
          },
          get yields() {
            looked++;
            return yields;
          },
        };
        claims.set(
          key,
          Object.defineProperties({ ...rest } as Claims, Object.getOwnPropertyDescriptors(counted)),
        );
      }
      const options = {
        redirect: null,
        health: null,
        problems: () => [],
        locate: () => null,
        hidesValues: false,
      };
      const request = { scheme: 'http', host: 'a.test', path: '/a' } as const;
      const work = explainFully({ ...compilation, claims: claims.done() }, request, options);
      let [most, all] = [0, 0];
      let last;
      do {
        looked = 0;
        last = work.next();
        most = Math.max(most, looked);
        all += looked;
      } while (!last.done);
      expect(all).toBeGreaterThanOrEqual(2 * COUNT);
      expect(most).toBeLessThanOrEqual(500);
      const { outcome, otherRules, otherRuleCount } = last.value;
      expect(outcome.route?.ingress).toBe('shop/web-0');
      expect(otherRuleCount).toBe(COUNT - 1);
      const byAge = ingresses.toSorted((a, b) => ageOf(a) - ageOf(b)).map(({ key }) => key);
      expect(otherRules.map(({ route }) => route.ingress)).toEqual(byAge.slice(1, 101));
      expect(explanationText('http://a.test/a', last.value)).toContain('\n  and 1399 more\n');
    },
  );
});

it.each([
  ['https://bücher.example/a', 'xn--bcher-kva.example'],
  ['BÜCHER.example:8443', 'xn--bcher-kva.example:8443'],
  ['http://shop。example/', 'shop.example'],
  ['http://[::1]:80/', '[::1]:80'],
])('asks for the host that a browser sends: %s', (url, host) => {
  expect(parseUrl(url)).toMatchObject({ kind: 'request', request: { host } });
});

it('says which host can be none', () => {
  const reason = "'bü cher.example' is not a host name";
  expect(parseUrl('http://bü cher.example/')).toEqual({ kind: 'invalid', reason });
});
