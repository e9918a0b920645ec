import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { policySet } from '../../src/policies/policy-set.ts';
import { createAccessLog, isLogged } from '../../src/proxy/access-log-lines.ts';
import { anExchange } from './an-exchange.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('json: one line with every field; what does not apply is left out', () => {
  const sent: string[] = [];
  const log = createAccessLog('json', (lines) => sent.push(lines));
  log.write(anExchange());
  log.write(
    anExchange({ route: null, backend: '', endpoint: '', attempts: 0, status: 404, detail: 'no-route' }),
  );
  log.write(anExchange({ backend: 'shop/next:80', canary: 'shop/canary' }));
  log.flush();
  const [served, refused, ofCanary] = sent
    .join('')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as object);
  expect(served).toEqual({
    level: 'info',
    stream: 'access',
    time: '2026-01-02T03:04:05.678Z',
    client: '192.0.2.7',
    method: 'GET',
    host: 'shop.test',
    target: '/cart?item=1',
    scheme: 'https',
    protocol: 'HTTP/1.1',
    status: 200,
    durationMs: 3.142,
    requestBytes: 0,
    responseBytes: 12,
    ingress: 'shop/web',
    path: '/cart',
    backend: 'shop/web:80',
    endpoint: '10.0.0.7:8080',
    attempts: 1,
    requestId: 'id-1',
  });
  expect(refused).toMatchObject({ status: 404, detail: 'no-route' });
  expect(ofCanary).toMatchObject({ ingress: 'shop/web', backend: 'shop/next:80', canary: 'shop/canary' });
  for (const field of ['ingress', 'path', 'backend', 'endpoint']) expect(refused).not.toHaveProperty(field);
});

it('json: whatever a client sends stays in its string, on its line', () => {
  const sent: string[] = [];
  const log = createAccessLog('json', (lines) => sent.push(lines));
  const hostile = '/"},{"status":200}\n{"level":"fatal"}\u001b[2J\u2028\ud800\\';
  log.write(anExchange({ target: hostile, host: hostile, method: hostile, requestId: hostile }));
  log.flush();
  const text = sent.join('');
  expect(text.match(/\n/g)).toHaveLength(1);
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  expect(JSON.parse(text)).toMatchObject({
    method: expect.stringContaining('{"level":"fatal"}'),
    status: 200,
  });
});

it('text: one line for a person, in which control characters are spelled out', () => {
  const sent: string[] = [];
  const log = createAccessLog('text', (lines) => sent.push(lines));
  log.write(anExchange());
  log.write(anExchange({ route: null, status: 404, detail: 'no-route', attempts: 0 }));
  log.write(anExchange({ endpoint: '', status: 503, detail: 'no-endpoint' }));
  log.write(anExchange({ method: 'G\u0008T', host: 'a\u009b', target: '/\u001b[2J\n\u007f\u0085\r' }));
  log.flush();
  expect(sent.join('').split('\n')).toEqual([
    '03:04:05.678 access GET shop.test/cart?item=1 200 3.1ms shop/web → 10.0.0.7:8080',
    '03:04:05.678 access GET shop.test/cart?item=1 404 3.1ms no route (no-route)',
    '03:04:05.678 access GET shop.test/cart?item=1 503 3.1ms shop/web → none (no-endpoint)',
    '03:04:05.678 access G\\x08T a\\x9b/\\x1b[2J\\x0a\\x7f\\x85\\x0d 200 3.1ms shop/web → 10.0.0.7:8080',
    '',
  ]);
});

it('off: nothing is formatted or sent', () => {
  const send = vi.fn<(lines: string) => void>();
  const log = createAccessLog('off', send);
  log.write(anExchange());
  log.flush();
  vi.runAllTimers();
  expect(send).not.toHaveBeenCalled();
});

it('whole lines are gathered: sent after a moment, or at once when there are many', () => {
  const sent: string[] = [];
  const log = createAccessLog('text', (lines) => sent.push(lines));
  log.write(anExchange());
  log.write(anExchange());
  expect(sent).toEqual([]);
  vi.advanceTimersByTime(100);
  expect(sent.map((lines) => lines.match(/\n/g)?.length)).toEqual([2]);

  const target = `/${'x'.repeat(4_000)}`;
  for (let written = 0; written < 20; written++) log.write(anExchange({ target }));
  expect(sent).toHaveLength(3);
  vi.advanceTimersByTime(100);
  vi.advanceTimersByTime(10_000);
  expect(sent).toHaveLength(4);
  expect(sent.join('').match(/\n/g)).toHaveLength(22);
  for (const lines of sent) expect(lines.endsWith('\n')).toBe(true);
});

it('leaves out health checks, and what an Ingress does not want logged', () => {
  const quiet = policySet({ 'access-log': { isLogged: false } }, []);
  const { route } = anExchange();
  expect(isLogged(anExchange())).toBe(true);
  expect(isLogged(anExchange({ route: null, detail: 'no-route' }))).toBe(true);
  expect(isLogged(anExchange({ route: null, detail: 'healthy' }))).toBe(false);
  expect(isLogged(anExchange({ route: route && { ...route, policies: quiet } }))).toBe(false);
});
