import { array, assert, constantFrom, jsonValue, oneof, property, string, tuple } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ObjectReader } from '../../src/model/object-reader.ts';
import { EMPTY_SNAPSHOT } from '../../src/model/snapshot.ts';
import { type AnnotationSpec, INGRESS_NGINX, nginxNamesOf } from '../../src/policies/annotation-spec.ts';
import { IGNORED_KEYS } from '../../src/policies/ingress-nginx/ignored-keys.ts';
import { NGINX_KEYS } from '../../src/policies/ingress-nginx/keys.ts';
import { judgeSnippet } from '../../src/policies/ingress-nginx/snippet-verdict.ts';
import { readSnippet } from '../../src/policies/ingress-nginx/snippet.ts';
import {
  VERDICTS,
  isImplemented,
  isSnippet,
  judgeAnnotation,
  judgeKey,
} from '../../src/policies/ingress-nginx/verdict.ts';
import { POLICIES } from '../../src/policies/registry.ts';
import { type Annotations, readAnnotations } from '../../src/routing/ingress/annotations.ts';

/** What decides who gets in or what is verified, said apart from the table. */
const RESTRICTS =
  /^(auth-(?!tls-error-page$).*|(whitelist|allowlist|denylist)-source-range|satisfy|enable-modsecurity|enable-owasp-core-rules|modsecurity-.*|enable-global-auth|proxy-ssl-verify|.*-snippet)$/;

const specs = POLICIES.flatMap(({ annotations }) => annotations as readonly AnnotationSpec[]);
const names = [...NGINX_KEYS.map(({ name }) => name), ...IGNORED_KEYS.map(({ name }) => name)];

function read(annotations: Readonly<Record<string, unknown>>): Annotations {
  const reference = { kind: 'Ingress', namespace: 'shop', name: 'web' };
  return readAnnotations({ metadata: { annotations } }, reference, new ObjectReader(EMPTY_SNAPSHOT));
}

describe('the table of keys', () => {
  test('has the 136 keys of ingress-nginx 1.15.1 and its two aliases, each key once', () => {
    expect(NGINX_KEYS).toHaveLength(136 + 2);
    expect(names.toSorted()).toEqual([...new Set(names)].toSorted());
  });

  test.each(names)('%s has one verdict and a reason', (name) => {
    const { verdict, reason } = judgeKey(name);
    expect(VERDICTS).toContain(verdict);
    expect(reason).toMatch(/^[A-Zi`].*\.$/);
  });

  test('every annotation of ingress-nginx that a policy implements is in it, and follows its policy', () => {
    const known = new Set(NGINX_KEYS.map(({ name }) => name));
    for (const spec of specs) {
      for (const name of nginxNamesOf(spec)) {
        expect(known, name).toContain(name);
        expect(judgeKey(name).verdict, name).toBe(
          spec.difference === undefined ? 'same' : 'reported difference',
        );
      }
    }
    expect(specs.filter((spec) => nginxNamesOf(spec).length > 0).length).toBeGreaterThan(0);
  });

  test('exactly the keys that restrict are refused until a policy implements them', () => {
    expect(NGINX_KEYS.filter(({ unsupported }) => unsupported.restricts).map(({ name }) => name)).toEqual(
      NGINX_KEYS.map(({ name }) => name).filter((name) => RESTRICTS.test(name)),
    );
  });
});

describe('what restricts is never served as if it were absent', () => {
  const restricting = NGINX_KEYS.map(({ name }) => name).filter(
    (name) => RESTRICTS.test(name) && !isImplemented(name) && !isSnippet(name),
  );
  const unknown = tuple(
    constantFrom('auth-', 'modsecurity-', 'modsecurity'),
    string({ minLength: 1, maxLength: 12 }),
  )
    .map((parts) => parts.join(''))
    .filter((name) => !names.includes(name));

  test('whatever its value, and whatever an unknown auth-* or modsecurity* is called', () => {
    const value = oneof(string(), constantFrom('false', 'off', '0.0.0.0/0', ''), jsonValue());
    const name = oneof(constantFrom(...restricting), unknown);
    assert(
      property(name, value, (name, value) => {
        const { verdict } = judgeAnnotation(name, value);
        expect(['refused', 'same']).toContain(verdict);
        const { policies } = read({ [`${INGRESS_NGINX}${name}`]: value });
        expect(policies?.closed ?? []).toEqual(verdict === 'refused' ? ['unsupported-access'] : []);
      }),
    );
  });

  test.each([
    ['enable-modsecurity', 'false'],
    ['enable-owasp-core-rules', 'false'],
  ])('only a value that restricts nothing is open: %s: %s', (name, value) => {
    if (isImplemented(name)) return;
    expect(judgeAnnotation(name, value).verdict).toBe('same');
    expect(judgeAnnotation(name, `${value} `).verdict).toBe('refused');
  });
});

describe('snippets', () => {
  const none = (): boolean => false;

  test.each([
    'deny 10.0.0.0/8;',
    'allow 10.0.0.0/8; deny all;',
    'return 403;',
    'if ($host = a) { return 403; }',
    'location /admin { deny all; }',
    'auth_request /auth;',
    'auth_basic "Shop"; auth_basic_user_file /etc/users;',
    'satisfy any;',
    'limit_req zone=one burst=5;',
    'limit_conn one 5;',
    'limit_except GET',
    'proxy_ssl_verify on;',
    'ssl_verify_client on;',
    'rewrite ^/admin /login last;',
    'internal;',
    'include /etc/nginx/access.conf;',
    'access_by_lua "ngx.exit(403)";',
    'access_by_lua_block { ngx.exit(403) }',
    'modsecurity on;',
    'add_header X a"b; deny all; "',
    'add_header X a#b; deny all;',
    'add_header X a\\; b; deny all;',
    'set $a "${b}; c"; deny all;',
    'add_header X "a" deny all',
    'add_header X "a;',
    "gzip on; 'deny' all;",
    ';',
    '}',
    'proxy_set_header X-Remote-User "";',
    'proxy_set_header;',
    'more_clear_input_headers Authorization;',
    'more_set_input_headers "X-Real-IP: 1" "X-User: a";',
    `add_header X y; # ${'x'.repeat(20_000)}`,
    'gzip on;'.repeat(257),
  ])('%s closes', (text) => {
    expect(judgeSnippet(text, none).closesBecause).toMatch(/^line \d+ /);
    for (const name of ['configuration-snippet', 'server-snippet', 'stream-snippet'])
      expect(judgeAnnotation(name, text).verdict).toBe('refused');
  });

  test.each([
    ['', []],
    ['# deny all;', []],
    ['more_set_headers "X: y";', ['portico.dev/response-headers: "X: y"']],
    [
      `add_header\n X 'deny all; { }' always; more_set_headers Z:w;`,
      ['portico.dev/response-headers: "X: deny all; { }\\nZ:w"'],
    ],
    ['add_header X $host; more_set_headers -s 404 "X: y";', []],
    ['proxy_set_header Host $host; proxy_set_header X-Real-IP $remote_addr; gzip on;', []],
    ['set $a "${b}"; expires 1h;', []],
  ])('%s does not', (text, instead) => {
    expect(judgeSnippet(text, none)).toMatchObject({ closesBecause: null, instead });
    expect(judgeAnnotation('configuration-snippet', text).verdict).toBe('reported difference');
  });

  test('are translated to the annotations of ingress-nginx that are served', () => {
    const text =
      'client_max_body_size 8m; proxy_read_timeout 600s; proxy_set_header Host a.test; proxy_buffering off; ' +
      'return 301 https://a.test/; rewrite ^/ https://b.test/ redirect; allow 10.0.0.0/8; allow fd00::/8; deny all; auth_request /a;';
    expect(judgeSnippet(text, () => true).instead).toEqual(
      [
        'proxy-body-size: "8m"',
        'proxy-read-timeout: "600"',
        'upstream-vhost: "a.test"',
        'proxy-buffering: "off"',
        'permanent-redirect: "https://a.test/"',
        'temporal-redirect: "https://b.test/"',
        'auth-url: "..."',
        'allowlist-source-range: "10.0.0.0/8, fd00::/8"',
      ].map((each) => `${INGRESS_NGINX}${each}`),
    );
  });

  test.each([
    ['more_clear_headers Server X-Powered-By;', ['portico.dev/response-headers: "Server:\\nX-Powered-By:"']],
    ['proxy_hide_header X-Powered-By;', ['portico.dev/response-headers: "X-Powered-By:"']],
    ['more_clear_headers "X-Hidden-*";', []],
    [
      'proxy_set_header X-Remote-User ""; more_set_input_headers "X-Tenant: $host" X-Zone:a; more_clear_input_headers X-B;',
      ['portico.dev/request-headers: "X-Remote-User:\\nX-Tenant: $host\\nX-Zone: a\\nX-B:"'],
    ],
    ['proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-A $ssl_client_s_dn;', []],
    [
      'if ($scheme != "https") {\n  return 301 https://$host$request_uri;\n}\n',
      [`${INGRESS_NGINX}force-ssl-redirect: "true"`],
    ],
    ['if ($scheme = http) { return 301 https://$host$request_uri; } deny all;', []],
    ['return 403;', ['portico.dev/deny-from: "0.0.0.0/0, ::/0"']],
    [
      'return 308 https://a.test/;',
      ['portico.dev/redirect-to: "https://a.test/"', 'portico.dev/redirect-status: "308"'],
    ],
    ['return https://a.test/;', [`${INGRESS_NGINX}temporal-redirect: "https://a.test/"`]],
    // Not as it stands: the path of the request is not part of a redirect here.
    ['return 301 /new; rewrite ^/old$ https://a.test/ permanent; return 404; return 301 https://$host/;', []],
    ['rewrite ^(.*)$ https://a.test/ permanent;', [`${INGRESS_NGINX}permanent-redirect: "https://a.test/"`]],
  ])('%s has a replacement', (text, instead) => {
    expect(judgeSnippet(text, isImplemented).instead).toEqual(instead);
  });

  test.each([
    [
      'deny 10.0.0.1; deny 10.0.0.2; allow 10.0.0.0/8; deny all;',
      ['allow: 10.0.0.0/8', 'deny: 10.0.0.1, 10.0.0.2'],
    ],
    ['deny 10.0.0.1; allow all;', ['deny: 10.0.0.1']],
    ['deny 10.0.0.1;', ['deny: 10.0.0.1']],
    // The order counts in these, which lists cannot say.
    ['allow 10.0.0.1; deny 10.0.0.0/8; allow all;', []],
    ['allow 10.0.0.1;', []],
    ['allow all; deny 10.0.0.1;', []],
    ['deny all;', ['deny: 0.0.0.0/0, ::/0']],
  ])('%s as lists of addresses', (text, lists) => {
    const expected = lists.map((each) => {
      const [which, value] = each.split(': ');
      return `${INGRESS_NGINX}${which}list-source-range: "${value}"`;
    });
    expect(judgeSnippet(text, () => true).instead).toEqual(expected);
  });

  test('what stands in quotes or is escaped is one word; lines are counted', () => {
    const text = 'a "b\nc" d\\;e;\n# x\n  f \'g\' ${h};';
    expect(readSnippet(text)).toEqual({
      kind: 'directives',
      directives: [
        { name: 'a', words: ['b\nc', 'd;e'], line: 1 },
        { name: 'f', words: ['g', '${h}'], line: 4 },
      ],
    });
  });

  test('no text makes the parser fail, and a written directive is read back', () => {
    assert(property(string({ maxLength: 200 }), (text) => void judgeSnippet(text, none)));
    const word = string({ minLength: 1 });
    assert(
      property(array(word, { minLength: 1, maxLength: 5 }), (words) => {
        const written = words.map((each) => `"${each.replaceAll(/["\\]/g, '\\$&')}"`).join(' ');
        expect(readSnippet(`add_header ${written};`)).toMatchObject({ directives: [{ words }] });
      }),
    );
  });
});
