import type { CompileConfig } from '../config/config.ts';
import { EXIT } from '../config/exit-codes.ts';
import { type Problem, problem, referenceTo } from '../model/problem.ts';
import { get } from '../model/sharded-map.ts';
import { asObject, asString } from '../model/untyped.ts';
import type { Compilation } from '../routing/compile/compile.ts';
import { type LeftOut, leftOut } from '../routing/left-out.ts';
import { type TableCounts, countTable } from '../routing/table-view.ts';
import { githubReport, junitReport, sarifReport } from './ci-reports.ts';
import type { CheckOutput, CheckResult } from './check-result.ts';
import { textReport } from './check-text.ts';
import { compileOnce } from './compile-once.ts';
import { differenceProblems } from './differences.ts';
import { gatewaysLeftOut } from './gateways-left-out.ts';

export interface CheckOptions {
  readonly output: CheckOutput;
  /** Codes of problems that do not count. */
  readonly ignore: readonly string[];
  /** Warnings fail, too. */
  readonly strict: boolean;
  /** What a cluster or cert-manager makes is taken as given: Secrets, endpoints, the IngressClass. */
  readonly offline: boolean;
}

/** Problems with what is not in the manifests of an application, because something in the cluster makes it. */
const MADE_BY_THE_CLUSTER: ReadonlySet<string> = new Set([
  'BackendCaMissing',
  'ClientCaMissing',
  'GatewayClassNotFound',
  'NoEndpoints',
  'ParentNotFound',
  'SecretNotFound',
]);

/** `portico check`: prints every problem; the exit code is 1 when one of them is an error. */
export async function runCheck(
  config: CompileConfig,
  env: NodeJS.ProcessEnv,
  { output, ignore, strict, offline }: CheckOptions,
  write: (text: string) => void,
): Promise<number> {
  const compiled = await compileOnce(config, env, { assumeClass: offline });
  if (compiled.kind !== 'compiled') {
    console.error(`portico check: ${compiled.message}`);
    return compiled.kind === 'no-input' ? EXIT.noInput : EXIT.unavailable;
  }
  const { compilation, locate } = compiled;
  const counts = countTable(compilation.table);
  const groups = leftOut(compilation);
  const found = [
    ...compiled.problems,
    ...leftOutProblems(groups, compilation, counts),
    ...gatewaysLeftOut(compilation),
    ...differenceProblems(compilation),
  ];
  for (const code of ignore) {
    if (!found.some((each) => each.code === code))
      console.error(`portico check: --ignore ${code}: no problem has this code`);
  }
  const problems = found
    .filter(({ code }) => !ignore.includes(code) && !(offline && MADE_BY_THE_CLUSTER.has(code)))
    .map((each) => ({ ...each, place: locate(each) }));
  const fails = ({ severity }: Problem): boolean =>
    severity === 'error' || (strict && severity === 'warning');
  write(REPORTS[output]({ counts, problems, leftOut: groups, fails }));
  return problems.some(fails) ? EXIT.failure : EXIT.ok;
}

const REPORTS: Readonly<Record<CheckOutput, (result: CheckResult) => string>> = {
  text: textReport,
  json: ({ counts, problems, leftOut: groups }) =>
    `${JSON.stringify({ ...counts, problems, leftOut: groups }, null, 2)}\n`,
  github: githubReport,
  sarif: sarifReport,
  junit: junitReport,
};

/** One for each class that Ingresses name and Portico does not serve, at the first of them. */
function leftOutProblems(
  groups: readonly LeftOut[],
  { snapshot, settings }: Compilation,
  { routes }: TableCounts,
): readonly Problem[] {
  return groups.flatMap(({ className, ingresses: [first, ...others] }) => {
    if (first === undefined) return [];
    const object = referenceTo('Ingress', first, get(snapshot.ingresses, first));
    const subject = others.length === 0 ? 'This Ingress' : `This Ingress and ${others.length} more`;
    if (className === '') {
      const advice = `write ingressClassName: ${settings.ingressClass}, or use --watch-ingress-without-class`;
      const message = `${subject} name no class, so Portico does not serve them; ${advice}.`;
      return problem('warning', 'IngressesLeftOut', object, 'spec', singular(message, others.length));
    }
    const controller = asString(
      asObject(asObject(get(snapshot.ingressClasses, className))['spec'])['controller'],
    );
    const flags = `--ingress-class ${className}${controller === undefined ? '' : ` --controller-name ${controller}`}`;
    const message = `${subject} are of class "${className}", so Portico does not serve them; to see what they would get, use ${flags}.`;
    // Other controllers have Ingresses too; but who checks manifests of which nothing is served made a mistake.
    const severity = routes === 0 ? 'warning' : 'info';
    return problem(
      severity,
      'IngressesLeftOut',
      object,
      'spec.ingressClassName',
      singular(message, others.length),
    );
  });
}

/** The sentence about one Ingress rather than several. */
function singular(message: string, others: number): string {
  if (others > 0) return message;
  return message
    .replace(' name ', ' names ')
    .replace(' are ', ' is ')
    .replace('serve them', 'serve it')
    .replace('they', 'it');
}
