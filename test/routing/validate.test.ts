import { describe, expect, it } from 'vitest';
import { validateObject } from '../../src/model/validation/validate.ts';
import type { Kind } from '../../src/model/objects.ts';

const backend = { service: { name: 'web', port: { number: 80 } } };
const metadata = { namespace: 'shop', name: 'web' };

function ingress(rule: object): object {
  return { metadata, spec: { rules: [rule] } };
}

function problemsOf(kind: Kind, object: unknown): readonly string[] {
  return validateObject(kind, object).map(({ field, severity }) => `${severity} ${field}`);
}

describe('Ingress, as a dry run against the API server showed', () => {
  it.each(['*', '*.*.com', '*foo.com', 'FOO.com', 'foo_bar.com', 'foo.com:80', '1.2.3.4', 'a..b'])(
    'refuses host %s',
    (host) => {
      expect(problemsOf('Ingress', ingress({ host }))).toEqual(['error spec.rules[0].host']);
      const tls = { metadata, spec: { rules: [{}], tls: [{ hosts: [host] }] } };
      expect(problemsOf('Ingress', tls)).toEqual(['error spec.tls[0].hosts[0]']);
    },
  );

  it.each(['*.com', '*.a.b.c.d', 'foo.com', ''])('takes host %j', (host) => {
    expect(problemsOf('Ingress', ingress({ host }))).toEqual([]);
  });

  const path = (path: string, pathType: string): object =>
    ingress({ http: { paths: [{ path, pathType, backend }] } });

  it.each(['', '/a//b', '/a/./b', '/a/../b', '/a/..', '/%2f', '/a%2Fb'])(
    'takes path %j only when implementation specific',
    (written) => {
      expect(problemsOf('Ingress', path(written, 'Exact'))).toEqual([
        'error spec.rules[0].http.paths[0].path',
      ]);
      expect(problemsOf('Ingress', path(written, 'Prefix'))).toEqual([
        'error spec.rules[0].http.paths[0].path',
      ]);
      expect(problemsOf('Ingress', path(written, 'ImplementationSpecific'))).toEqual([]);
    },
  );

  it.each(['/a b', '/foo?x', '/[a-z]+', '/é'])('takes path %s', (written) => {
    for (const type of ['Exact', 'Prefix', 'ImplementationSpecific']) {
      expect(problemsOf('Ingress', path(written, type))).toEqual([]);
    }
  });

  it('refuses a relative path of any type', () => {
    for (const type of ['Exact', 'Prefix', 'ImplementationSpecific']) {
      expect(problemsOf('Ingress', path('foo', type))).toEqual(['error spec.rules[0].http.paths[0].path']);
    }
  });

  it.each([
    ['no rules and no default', { metadata, spec: {} }, 'spec'],
    ['no paths', ingress({ http: { paths: [] } }), 'spec.rules[0].http.paths'],
    [
      'no pathType',
      ingress({ http: { paths: [{ path: '/', backend }] } }),
      'spec.rules[0].http.paths[0].pathType',
    ],
    [
      'no backend',
      ingress({ http: { paths: [{ path: '/', pathType: 'Prefix' }] } }),
      'spec.rules[0].http.paths[0].backend',
    ],
    [
      'a port that is text',
      { metadata, spec: { defaultBackend: { service: { name: 'a', port: { number: '80' } } } } },
      'spec.defaultBackend.service.port.number',
    ],
    ['no name', { metadata: { namespace: 'shop' }, spec: { defaultBackend: backend } }, 'metadata.name'],
    [
      'a number as annotation',
      { metadata: { ...metadata, annotations: { x: 1 } }, spec: { defaultBackend: backend } },
      'metadata.annotations[x]',
    ],
  ])('refuses %s', (_, object, field) => {
    expect(problemsOf('Ingress', object)).toEqual([`error ${field}`]);
  });
});

describe('other kinds', () => {
  const good: [Kind, object][] = [
    ['Service', { metadata, spec: { ports: [{ port: 80, targetPort: 'http' }] } }],
    ['Service', { metadata, spec: { clusterIP: 'None' } }],
    ['Service', { metadata, spec: { type: 'ExternalName', externalName: 'example.org.' } }],
    [
      'EndpointSlice',
      { metadata, addressType: 'IPv6', ports: [{ port: 1 }], endpoints: [{ addresses: ['fd00::1'] }] },
    ],
    ['EndpointSlice', { metadata, addressType: 'IPv4', ports: null, endpoints: null }],
    [
      'IngressClass',
      { metadata: { name: 'portico' }, spec: { controller: 'portico.dev/ingress-controller' } },
    ],
    ['Secret', { metadata, type: 'kubernetes.io/tls', data: { 'tls.crt': 'YQ==', 'tls.key': '' } }],
    ['Secret', { metadata, type: 'Opaque' }],
  ];
  it.each(good)('takes a good %s', (kind, object) => {
    expect(problemsOf(kind, object)).toEqual([]);
  });

  const bad: [Kind, object, string][] = [
    ['Service', { metadata, spec: {} }, 'spec.ports'],
    ['Service', { metadata, spec: { ports: [{ port: 80, name: 'a' }, { port: 81 }] } }, 'spec.ports[1].name'],
    [
      'Service',
      {
        metadata,
        spec: {
          ports: [
            { port: 80, name: 'a' },
            { port: 80, name: 'b' },
          ],
        },
      },
      'spec.ports[1]',
    ],
    ['Service', { metadata, spec: { ports: [{ port: 0 }] } }, 'spec.ports[0].port'],
    ['Service', { metadata, spec: { type: 'ExternalName' } }, 'spec.externalName'],
    ['EndpointSlice', { metadata, endpoints: [{ addresses: ['10.0.0.1'] }] }, 'addressType'],
    [
      'EndpointSlice',
      { metadata, addressType: 'IPv4', endpoints: [{ addresses: ['::1'] }] },
      'endpoints[0].addresses[0]',
    ],
    [
      'EndpointSlice',
      { metadata, addressType: 'IPv4', endpoints: [{ addresses: [] }] },
      'endpoints[0].addresses',
    ],
    [
      'EndpointSlice',
      {
        metadata,
        addressType: 'IPv4',
        endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: 'yes' } }],
      },
      'endpoints[0].conditions.ready',
    ],
    ['IngressClass', { metadata: { name: 'x' }, spec: {} }, 'spec.controller'],
    ['IngressClass', { metadata: { name: 'x' }, spec: { controller: 'nodomain' } }, 'spec.controller'],
    ['Secret', { metadata, type: 'kubernetes.io/tls', data: { 'tls.crt': 'YQ==' } }, 'data[tls.key]'],
    ['Secret', { metadata, data: { 'tls.key': '-----BEGIN' } }, 'data[tls.key]'],
  ];
  it.each(bad)('refuses a bad %s %j', (kind, object, field) => {
    expect(problemsOf(kind, object)).toEqual([`error ${field}`]);
  });

  it('never repeats what a Secret holds', () => {
    const secret = { metadata, data: { 'tls.key': '-----BEGIN SECRET' }, stringData: { other: 12345 } };
    const said = JSON.stringify(validateObject('Secret', secret));
    expect(said).toContain('data[tls.key]');
    expect(said).not.toMatch(/BEGIN|12345/);
  });
});
