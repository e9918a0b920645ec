import { describe, expect, it } from 'vitest';
import { type Addressee, decide } from '../../src/proxy/decide.ts';
import { tableOf } from '../support/proxy.ts';

const TABLE = tableOf([
  { ports: [80] },
  { host: 'broken.test', ports: [], unavailable: 'service-not-found' },
]);

function outcome(request: Partial<Addressee>): string {
  const decision = decide(TABLE, { method: 'GET', target: '/', host: 'app.test', ...request });
  switch (decision.kind) {
    case 'forward':
      return decision.backend.key;
    case 'redirect':
      return decision.location;
    case 'refuse':
      return decision.reason;
  }
}

const FORWARDED = 'default/app.test:80';

describe('decide', () => {
  it.each<[string, Partial<Addressee>, string]>([
    ['a plain request', {}, FORWARDED],
    ['a host with a port, a dot and capitals', { host: 'APP.test.:8080' }, FORWARDED],
    ['an absolute-form target', { target: 'http://app.test/x' }, FORWARDED],
    ['an absolute-form target without a path', { target: 'HTTP://app.test' }, FORWARDED],
    ['an absolute-form target with a query only', { target: 'https://app.test?x' }, FORWARDED],
    ['OPTIONS *', { method: 'OPTIONS', target: '*' }, FORWARDED],
    ['GET *', { target: '*' }, 'bad-target'],
    ['an absolute-form target of another host', { target: 'http://other.test/' }, 'host-disagrees'],
    ['an absolute-form target with a user', { target: 'http://app.test@app.test/' }, 'host-disagrees'],
    ['an absolute-form target with a fragment', { target: 'http://app.test/#x' }, 'bad-target'],
    ['an authority-form target', { target: 'app.test:443' }, 'bad-target'],
    ['an empty target', { target: '' }, 'bad-target'],
    ['a climb above the root', { target: '/a/../../b' }, 'bad-target'],
    ['no host', { host: '' }, 'bad-host'],
    ['two hosts in one', { host: 'app.test, app.test' }, 'bad-host'],
    ['CONNECT', { method: 'CONNECT', target: 'app.test:443' }, 'method-not-allowed'],
    ['TRACE', { method: 'TRACE' }, 'method-not-allowed'],
    ['an unknown host', { host: 'unknown.test' }, 'no-route'],
    ['a backend that is unavailable', { host: 'broken.test' }, 'backend-unavailable'],
  ])('%s', (_, request, expected) => expect(outcome(request)).toBe(expected));

  it('says which route a refusal belongs to', () => {
    const decision = decide(TABLE, { method: 'GET', target: '/', host: 'broken.test' });
    expect(decision.route?.ingress).toBe('default/broken.test');
  });
});
