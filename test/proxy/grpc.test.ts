import { expect, it } from 'vitest';
import { callTimeoutMs, isGrpc } from '../../src/proxy/grpc.ts';

it.each([
  ['5S', 5_000],
  ['2M', 120_000],
  ['1H', 3_600_000],
  ['250m', 250],
  ['1500u', 2],
  ['10n', 1],
  ['0S', 0],
  ['99999999H', 2 ** 31 - 1],
  ['999999999S', null],
  ['5', null],
  ['5s', null],
  ['-5S', null],
  ['5 S', null],
  ['', null],
])('grpc-timeout: %s is %s ms', (written, ms) => {
  expect(callTimeoutMs(written)).toBe(ms);
});

it.each([
  ['content-type', 'application/grpc', true],
  ['content-type', 'application/grpc+proto', true],
  ['content-type', 'application/GRPC', true],
  ['content-type', 'text/plain; application/grpc', false],
  ['x-content-type', 'application/grpc', false],
  ['content-type', 'application/json', false],
])('%s: %s is gRPC: %s', (name, value, is) => {
  expect(isGrpc([':status', '200', name, value, 'date', ''])).toBe(is);
});
