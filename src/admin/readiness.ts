/** One condition of being ready, as `/readyz?verbose` shows it. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** What is awaited, or how it stands; one line. */
  readonly detail: string;
}

/** A detail may repeat what a server said. */
const MAX_DETAIL_CHARACTERS = 1_000;

/** The body of `/readyz`, in the way of the Kubernetes components: `[+]name ok`, `[-]name detail`. */
export function readinessText(checks: readonly Check[], verbose: boolean): string {
  const ready = checks.every((check) => check.ok);
  if (ready && !verbose) return 'ok\n';
  const lines = checks.map(
    ({ name, ok, detail }) => `[${ok ? '+' : '-'}]${name} ${detail.slice(0, MAX_DETAIL_CHARACTERS)}\n`,
  );
  return `${lines.join('')}readyz check ${ready ? 'passed' : 'failed'}\n`;
}
