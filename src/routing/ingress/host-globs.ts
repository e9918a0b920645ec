import type { AnnotationReader } from '../../policies/annotation-reader.ts';
import type { AnnotationSpec } from '../../policies/annotation-spec.ts';
import { quote } from '../../model/untyped.ts';
import { type HostGlob, MAX_GLOBS, parseHostGlob, splitGlobs } from '../glob.ts';

/** Where an Ingress is served beside its own hosts: no policy, but part of what it claims. */
export const HOST_GLOBS: AnnotationSpec = {
  name: 'host-globs',
  values: 'host globs, separated by commas',
  default: 'none',
  scope: 'path',
  about:
    'Further hosts that the rules of the Ingress are served for, such as `{www,shop}.example.com` or `pr-*.example.com`. ' +
    '`*` and `?` stay within one label, a label `**` stands for any number of labels, `[a-c]` and `{blue,green}` choose. A ' +
    `glob must end in two literal labels, and one Ingress may name ${MAX_GLOBS}. ` +
    '[More about globs](hosts-and-paths.md#host-globs) and their limits.',
};

/** The globs that can be served; each of the others is reported and left out. */
export function readHostGlobs(read: AnnotationReader): readonly HostGlob[] {
  const list = read.text(HOST_GLOBS);
  if (list === null) return [];
  const globs: HostGlob[] = [];
  const written = [...new Set(splitGlobs(list))];
  if (written.length > MAX_GLOBS) {
    const message = `Only the first ${MAX_GLOBS} globs are used; give the others an Ingress of their own.`;
    read.error('HostGlobInvalid', HOST_GLOBS, message);
  }
  for (const glob of written.slice(0, MAX_GLOBS)) {
    const result = parseHostGlob(glob);
    if (result.kind === 'glob') globs.push(result.glob);
    else
      read.error('HostGlobInvalid', HOST_GLOBS, `The glob ${quote(glob)} ${result.reason}; it is ignored.`);
  }
  return globs;
}
