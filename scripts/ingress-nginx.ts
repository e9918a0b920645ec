/**
 * `node scripts/ingress-nginx.ts` writes docs/reference/ingress-nginx.md from the table of keys and the policies; a test
 * says when that has been forgotten.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatted } from './formatted.ts';
import { INGRESS_NGINX } from '../src/policies/annotation-spec.ts';
import { IGNORED_KEYS } from '../src/policies/ingress-nginx/ignored-keys.ts';
import { CONTROLLER_FLAGS } from '../src/policies/ingress-nginx/controller-flags.ts';
import { NGINX_KEYS } from '../src/policies/ingress-nginx/keys.ts';
import { GLOBAL_OPTIONS, judgeOption } from '../src/policies/ingress-nginx/options.ts';
import { VERDICTS, judgeKey } from '../src/policies/ingress-nginx/verdict.ts';

export const INGRESS_NGINX_PAGE = join(import.meta.dirname, '../docs/reference/ingress-nginx.md');

/** The page as it should be. */
export async function ingressNginxPage(): Promise<string> {
  const keys = NGINX_KEYS.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const page = [
    '# Annotations of ingress-nginx',
    '',
    '<!-- Written by `node scripts/ingress-nginx.ts` from src/policies. -->',
    '',
    `What becomes of each annotation \`${INGRESS_NGINX}…\` of ingress-nginx 1.15.1, its last release. \`portico audit\` says it`,
    'for the Ingresses of a cluster or of manifests ([how](../migrate-from-ingress-nginx.md)), and `portico check` and Events',
    'for those that Portico serves.',
    '',
    '| Verdict | Means | Keys |',
    '| --- | --- | --- |',
    ...VERDICTS.toReversed().map((verdict) => {
      const count = keys.filter(({ name }) => judgeKey(name).verdict === verdict).length;
      return `| **${verdict}** | ${MEANING[verdict]} | ${count} |`;
    }),
    '',
    'A value that Portico does not understand is a problem of its own; where the annotation restricts access, it closes the',
    'Ingress as well.',
    '',
    '## Every annotation',
    '',
    'The scope is that of ingress-nginx: the paths of the Ingress, or the whole host. The risk is what ingress-nginx calls it:',
    'how much harm a value can do.',
    '',
    '| Annotation | Verdict | Why | Here | Scope | Risk |',
    '| --- | --- | --- | --- | --- | --- |',
    ...keys.map(({ name, scope, risk }) => {
      const { verdict, reason, instead } = judgeKey(name);
      return `| \`${name}\` | ${verdict} | ${reason} | ${instead.map(code).join(', ')} | ${scope} | ${risk} |`;
    }),
    '',
    '## What counts as open',
    '',
    'An annotation that is refused, but restricts nothing with the value it has, closes nothing: `false` for',
    '`enable-modsecurity`, `enable-owasp-core-rules` and `enable-global-auth`; `off` for `proxy-ssl-verify`. An unknown annotation whose name begins',
    'with `auth-`, `modsecurity`, `allowlist-`, `denylist-`, `whitelist-` or `blacklist-` is refused: it may be a misspelt one.',
    '',
    '## Snippets',
    '',
    'A snippet is never executed. Portico reads its directives. If all of them are known to change only what responses look',
    'like, how they are sent or what is logged (`add_header`, `gzip`, `proxy_read_timeout`), the Ingress is served without',
    'them and a warning says what to write instead, where there is something. Otherwise every path of the Ingress answers 503:',
    '`deny`, `return`, `if`, `auth_request` and `limit_req` may keep somebody out, and so may a directive that Portico does not',
    'know, a block, or a text that cannot be read. A field of requests that Pods may trust closes as well',
    '(`proxy_set_header X-Remote-User ""`): without the snippet clients could write it themselves. `auth-snippet` and',
    '`modsecurity-snippet` always close.',
    '',
    'The warning or error has what to write instead for `add_header`, `more_set_headers`, `more_clear_headers`, `proxy_hide_header`,',
    '`proxy_set_header`, `more_set_input_headers`, `more_clear_input_headers`, `return` with 403 or a URL, `rewrite` of every path to a URL,',
    '`allow` and `deny`, and every directive that is an annotation. There is nothing that does the same as `if`, `set`, `proxy_method`, and',
    'other `return`s.',
    '',
    'A `server-snippet` counts for the whole host in ingress-nginx. Here it closes the paths of its own Ingress, so that no',
    'namespace can close those of another.',
    '',
    '## Annotations that ingress-nginx ignores',
    '',
    'Manifests still have these. They do nothing in ingress-nginx 1.15 and nothing here.',
    '',
    '| Annotation | Why | What may be meant |',
    '| --- | --- | --- |',
    ...IGNORED_KEYS.map(({ name, existed, instead }) => {
      const why = existed ? 'removed from ingress-nginx, or moved to its ConfigMap' : 'never existed';
      return `| \`${name}\` | ${why} | ${instead === null ? '' : code(instead)} |`;
    }),
    '',
    '## Global options',
    '',
    '`--ingress-nginx-configmap` names the ConfigMap of ingress-nginx. What it sets holds for all hosts and wins over flags; a',
    'change takes effect at once. Where an annotation says the same for one Ingress, the annotation wins. An option that restricts',
    'access and cannot be honoured closes every Ingress, like an annotation of that kind. Where a flag stands beside a _reported',
    'difference_, the option is not read: give Portico the flag.',
    '',
    '| | Option | Verdict | What becomes of it | Here |',
    '| --- | --- | --- | --- | --- |',
    ...GLOBAL_OPTIONS.map(({ group, name }, index) => {
      const heading = GLOBAL_OPTIONS[index - 1]?.group === group ? '' : group;
      const { verdict = '', reason = '', instead = [] } = judgeOption(name, 'VALUE') ?? {};
      return `| ${heading} | \`${name}\` | ${verdict} | ${reason} | ${instead.map(optionCode).join(', ')} |`;
    }),
    '',
    '## Flags',
    '',
    'Give them to `portico audit --ingress-nginx-flags`, and it says what to write instead.',
    '',
    '| ingress-nginx | Verdict | Here | Why |',
    '| --- | --- | --- | --- |',
    ...CONTROLLER_FLAGS.map(
      ({ name, flag, verdict, reason }) =>
        `| \`${name}\` | ${verdict} | ${flag === null ? '' : optionCode(flag)} | ${reason} |`,
    ),
    '',
  ];
  return formatted('page.md', page.join('\n'), { printWidth: 120, proseWrap: 'always' });
}

const MEANING: Readonly<Record<(typeof VERDICTS)[number], string>> = {
  same: 'Behaves as in ingress-nginx.',
  'reported difference':
    'Works, but not exactly as in ingress-nginx, or the Ingress is served without it, as the reason says.',
  'no effect': 'Does nothing here, and an Ingress does not need it.',
  refused: 'Restricts access, or is raw configuration that may: **every path of its Ingress answers 503**.',
};

/** Names are code, words between them are not. */
function code(instead: string): string {
  return /^(?:portico\.dev\/\S+(?:: \S+)?|--\S+(?: [a-z-]+)?|[a-z-]+(?:: \S+)?)$/.test(instead)
    ? `\`${instead}\``
    : instead.replaceAll(
        /portico\.dev\/[a-z-]+(?:: [a-z-]+)?|--[a-z-]+|spec\.\w+|sessionAffinity: \w+|limit-\w+/g,
        '`$&`',
      );
}

function optionCode(option: string): string {
  return `\`${option}\``;
}

if (import.meta.main) await writeFile(INGRESS_NGINX_PAGE, await ingressNginxPage());
