/**
 * `node scripts/annotations.ts` writes docs/reference/annotations.md from the policies in src/policies; a test says when
 * that has been forgotten.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatted } from './formatted.ts';
import {
  type AnnotationSpec,
  INGRESS_NGINX,
  PORTICO,
  nginxNamesOf,
} from '../src/policies/annotation-spec.ts';
import type { PolicyModule } from '../src/policies/policy.ts';
import { POLICIES } from '../src/policies/registry.ts';
import { HOST_GLOBS } from '../src/routing/ingress/host-globs.ts';

export const ANNOTATIONS_PAGE = join(import.meta.dirname, '../docs/reference/annotations.md');

/** The page as it should be. */
export async function annotationsPage(): Promise<string> {
  const page = [
    '# Annotations',
    '',
    '<!-- Written by `node scripts/annotations.ts` from src/policies. -->',
    '',
    'Portico reads these annotations of an Ingress. They count for every path of the Ingress that carries them; where the scope',
    'is `host`, for the whole host. Those of ingress-nginx in the second column ask for the same as ours; where both are',
    'written, ours wins.',
    '',
    'A value that is not valid is reported on the Ingress and the default is used. Where a policy decides who gets in, or what',
    'is verified, it closes instead: every path of the Ingress answers 503 until the value is valid.',
    '',
    ...(POLICIES as readonly PolicyModule[])
      .filter(({ annotations }) => annotations.length > 0)
      .flatMap(policySection),
    '## Further hosts',
    '',
    ...annotationTable([HOST_GLOBS]),
    HOST_GLOBS.about,
    '',
    '## Annotations of others',
    '',
    '`kubernetes.io/ingress.class` chooses the class of an Ingress that has no `spec.ingressClassName`.',
    '',
    'What becomes of every other annotation of ingress-nginx is in [its own page](ingress-nginx.md).',
    '',
  ];
  return formatted('page.md', page.join('\n'), { printWidth: 120, proseWrap: 'always' });
}

function policySection(policy: PolicyModule): string[] {
  const closes = policy.whenInvalid === 'close' ? ' **Closes when it is not valid.**' : '';
  const more =
    policy.page === undefined ? [] : [`More in [${policy.page.title}](../${policy.page.file}).`, ''];
  return [
    `## ${heading(policy.name)}`,
    '',
    `${policy.summary}${closes}`,
    '',
    ...annotationTable(policy.annotations),
    ...policy.annotations.flatMap((spec) => [`- ${shortName(spec)}: ${spec.about}${difference(spec)}`]),
    '',
    ...more,
  ];
}

function annotationTable(specs: readonly AnnotationSpec[]): string[] {
  // What only the ConfigMap has is in the page about ingress-nginx.
  const rows = specs
    .filter((spec) => spec.name !== null || nginxNamesOf(spec).length > 0)
    .map((spec) => {
      const { name, values, default: fallback, scope } = spec;
      const ours = name === null ? '' : `\`${PORTICO}${name}\``;
      const theirs = nginxNamesOf(spec)
        .map((spelling) => `\`${spelling}\``)
        .join(', ');
      return `| ${ours} | ${theirs} | ${values} | ${fallback} | ${scope} |`;
    });
  const header = `| Annotation | \`${INGRESS_NGINX}…\` | Values | Default | Scope |`;
  return [header, '| --- | --- | --- | --- | --- |', ...rows, ''];
}

/** `client-certificate` as `Client certificate`. */
function heading(name: string): string {
  const words = name.replaceAll('-', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function shortName(spec: AnnotationSpec): string {
  return `\`${spec.name ?? nginxNamesOf(spec)[0] ?? spec.global}\``;
}

function difference({ difference }: AnnotationSpec): string {
  return difference === undefined ? '' : ` Unlike in ingress-nginx: ${difference}`;
}

if (import.meta.main) await writeFile(ANNOTATIONS_PAGE, await annotationsPage());
