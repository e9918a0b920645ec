import type { CompileConfig } from '../config/config.ts';
import { EXIT } from '../config/exit-codes.ts';
import type { KeyVerdict } from '../policies/ingress-nginx/verdict.ts';
import { type Audit, auditIngresses } from '../routing/ingress/ingress-audit.ts';
import { withGlobalOptions } from '../routing/compile/apply-global-options.ts';
import { auditHtml } from './audit-html.ts';
import { auditMarkdown, auditText } from './audit-text.ts';
import { readOnce } from './compile-once.ts';

export type AuditOutput = 'text' | 'json' | 'markdown' | 'html';

/** Each fails for itself and for what is worse. */
export type FailOn = 'refused' | 'difference';

const FAILING: Readonly<Record<FailOn, readonly KeyVerdict[]>> = {
  refused: ['refused'],
  difference: ['refused', 'reported difference'],
};

export interface AuditRequest {
  readonly output: AuditOutput;
  readonly failOn: FailOn;
  /** Flags of ingress-nginx as they are written. */
  readonly controllerFlags: readonly string[];
}

/** `portico audit`: what becomes of every annotation of ingress-nginx; the exit code is 1 when `failOn` says so. */
export async function runAudit(
  config: CompileConfig,
  env: NodeJS.ProcessEnv,
  { output, failOn, controllerFlags }: AuditRequest,
  write: (text: string) => void,
): Promise<number> {
  const read = await readOnce(config, env);
  if (read.kind !== 'read') {
    console.error(`portico audit: ${read.message}`);
    return read.kind === 'no-input' ? EXIT.noInput : EXIT.unavailable;
  }
  const { snapshot, settings, forbiddenSecrets } = read;
  const compileSettings = { ...settings, forbiddenSecrets, now: Date.now() };
  const { settings: effective } = withGlobalOptions(compileSettings, snapshot, undefined);
  const audit = auditIngresses(snapshot, effective, controllerFlags);
  write(FORMATS[output](audit));
  const found = [...audit.annotations, ...audit.options, ...audit.flags];
  return found.some(({ verdict }) => FAILING[failOn].includes(verdict)) ? EXIT.failure : EXIT.ok;
}

const FORMATS: Readonly<Record<AuditOutput, (audit: Audit) => string>> = {
  text: auditText,
  json: (audit) => `${JSON.stringify(audit, null, 2)}\n`,
  markdown: auditMarkdown,
  html: auditHtml,
};
