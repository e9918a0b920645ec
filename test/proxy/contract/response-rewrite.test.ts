import { expect } from 'vitest';
import { contract } from '../../support/engines.ts';
import { startProxy } from '../../support/proxy.ts';
import { get, rawClient } from '../../support/raw-client.ts';
import { recordingUpstream } from '../../support/upstream.ts';

contract('rewriting responses', (behaves) => {
  behaves('changes each cookie by itself, and leaves what needs no change', async (create) => {
    const head = [
      'Set-Cookie: a=1; Path=/app',
      'set-cookie: b=2, c; path=/other',
      'Set-Cookie: d=3;Path=/app/x;Secure',
    ];
    const response = `HTTP/1.1 200 OK\r\n${head.join('\r\n')}\r\nLocation: /app/next\r\nContent-Length: 2\r\n\r\nok`;
    await using upstream = await recordingUpstream('cookies', () => response);
    const policies = {
      'cookie-rewrite': { domain: null, path: { from: '/app', to: '/shop' } },
      'location-rewrite': { from: ['/app/'], to: [{ variable: 'scheme', name: '' }, '://new.test/'] },
    } as const;
    await using proxy = await startProxy(create, [{ ports: [upstream.port], policies }]);
    using client = await rawClient(proxy.port);
    client.send(get('/'));
    const { fields } = await client.message();
    const values = (name: string) =>
      fields.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value);
    expect(values('set-cookie')).toEqual([
      'a=1; Path=/shop',
      'b=2, c; path=/other',
      'd=3;Path=/shop/x;Secure',
    ]);
    expect(values('location')).toEqual(['http://new.test/next']);
  });
});
