import type { ObjectKey } from '../model/objects.ts';
import { plural } from '../model/plural.ts';
import { type Problem, problem, referenceTo } from '../model/problem.ts';
import { entries, get } from '../model/sharded-map.ts';
import { INGRESS_NGINX } from '../policies/annotation-spec.ts';
import { asWritten, writtenAnnotations } from '../policies/written-annotations.ts';
import { isImplemented, judgeKey } from '../policies/ingress-nginx/verdict.ts';
import type { Compilation } from '../routing/compile/compile.ts';

/**
 * What is different from ingress-nginx in annotations that a policy reads: one for each annotation, at the first Ingress that
 * has it.
 */
export function differenceProblems({ snapshot, claims, settings }: Compilation): readonly Problem[] {
  const { annotationsPrefix } = settings;
  const byName = new Map<string, ObjectKey[]>();
  for (const [ingress] of entries(claims)) {
    for (const fullName of Object.keys(
      writtenAnnotations(get(snapshot.ingresses, ingress), annotationsPrefix),
    )) {
      const name = fullName.startsWith(INGRESS_NGINX) ? fullName.slice(INGRESS_NGINX.length) : '';
      if (!isImplemented(name) || judgeKey(name).verdict !== 'reported difference') continue;
      const having = byName.get(name);
      if (having) having.push(ingress);
      else byName.set(name, [ingress]);
    }
  }
  return [...byName].flatMap(([name, ingresses]) => {
    const [first = '', ...others] = ingresses.toSorted();
    const object = referenceTo('Ingress', first, get(snapshot.ingresses, first));
    const more =
      others.length === 0 ? '' : ` (and ${plural(others.length, 'other Ingress', 'other Ingresses')})`;
    const message = `Not exactly as in ingress-nginx${more}: ${judgeKey(name).reason}`;
    return problem(
      'info',
      'AnnotationDiffers',
      object,
      asWritten(`metadata.annotations[${INGRESS_NGINX}${name}]`, annotationsPrefix),
      message,
    );
  });
}
