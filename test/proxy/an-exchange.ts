import { directConnection } from '../../src/http/connection-info.ts';
import type { ExchangeRecord } from '../../src/proxy/exchange-record.ts';
import type { Route } from '../../src/routing/table.ts';

export function aRoute(ingress: string): Route {
  return {
    path: '/cart',
    pathType: 'Prefix',
    ingress,
    field: 'spec.rules[0].http.paths[0]',
    backend: `${ingress}:80`,
    policies: null,
  };
}

/** A GET that a pod answered, but for what is said. */
export function anExchange(parts: Partial<ExchangeRecord> = {}): ExchangeRecord {
  return {
    startedAt: Date.parse('2026-01-02T03:04:05.678Z'),
    durationMs: 3.14159,
    clientAddress: '192.0.2.7',
    connectionInfo: {
      ...directConnection('192.0.2.7', false, 'https', 443),
      handshake: { version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', serverName: 'shop.test' },
    },
    scheme: 'https',
    method: 'GET',
    host: 'shop.test',
    target: '/cart?item=1',
    httpVersion: '1.1',
    status: 200,
    route: aRoute('shop/web'),
    backend: 'shop/web:80',
    canary: '',
    endpoint: '10.0.0.7:8080',
    attempts: 1,
    upstreams: [
      {
        ...{ endpoint: '10.0.0.7:8080', startMs: 0.1, connectMs: 0.5, headMs: 2, durationMs: 2.5 },
        ...{ status: 200, failure: '' },
      },
    ],
    connectFailures: [],
    headBytes: 120,
    requestBytes: 0,
    responseBytes: 12,
    requestId: 'id-1',
    traceId: '',
    keptFields: { values: ['curl/8.5', 'https://shop.test/'] },
    trace: null,
    policy: '',
    auths: [],
    droppedFields: 0,
    detail: '',
    ...parts,
  };
}
