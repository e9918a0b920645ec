import { Command, Option } from 'commander';
import {
  type ConfigResult,
  type FlagValues,
  resolveCleanupConfig,
  resolveCompileConfig,
  resolveConfig,
} from '../config/config.ts';
import { CLEANUP_FLAGS, COMPILE_FLAGS, type Flag, RUN_FLAGS, environmentName } from '../config/flags.ts';
import { EXIT } from '../config/exit-codes.ts';
import type { AuditOutput, FailOn } from './audit.ts';
import { closestMatch } from '../model/closest-match.ts';
import { VERSION } from '../version.ts';

/** Parses the command line and runs its command. Resolves with the exit code. `threadEntry` is what a data-plane thread runs. */
export async function main(argv: readonly string[], threadEntry: URL): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = new Command('portico')
    .description('A Kubernetes ingress controller that never reloads.')
    .version(VERSION)
    .exitOverride()
    .addHelpText('after', EXAMPLES);

  const run = command(program, 'run', 'watch a cluster or manifests, and serve', RUN_FLAGS);
  run.action(async (flags: FlagValues) => {
    exitCode = await withConfig(run, resolveConfig(byFlagName(flags), process.env), async (config) => {
      const [{ openLog }, { runDaemon }] = await Promise.all([
        import('../controller/log.ts'),
        import('../controller/daemon.ts'),
      ]);
      const log = openLog({ level: config.logLevel, format: config.logFormat, fd: 1 });
      const code = await runDaemon({
        config,
        env: process.env,
        log,
        threadEntry,
        stopRequested: stopSignal(),
      });
      await log.end(LOG_END_TIMEOUT_MS);
      return code;
    });
  });

  const check = command(program, 'check', 'compile without serving, and print every problem', COMPILE_FLAGS);
  check.addOption(outputOption()).action(async (flags: FlagValues) => {
    exitCode = await withConfig(
      check,
      resolveCompileConfig(byFlagName(flags), process.env),
      async (config) => {
        const { runCheck } = await import('./check.ts');
        return runCheck(config, process.env, flags['output'] === 'json' ? 'json' : 'text', write);
      },
    );
  });

  const explain = command(
    program,
    'explain',
    'show which rule, Ingress, backend and endpoint a URL reaches',
    COMPILE_FLAGS,
  );
  explain.argument('<url>', 'such as http://shop.example.com/cart');
  explain.addOption(outputOption()).action(async (url: string, flags: FlagValues) => {
    exitCode = await withConfig(
      explain,
      resolveCompileConfig(byFlagName(flags), process.env),
      async (config) => {
        const { runExplain } = await import('./explain.ts');
        return runExplain(config, process.env, url, flags['output'] === 'json' ? 'json' : 'text', write);
      },
    );
  });

  const audit = command(
    program,
    'audit',
    'say what becomes of every annotation of ingress-nginx, worst first; reads only',
    COMPILE_FLAGS,
  );
  audit
    .addOption(choiceOption('--output', ['text', 'json', 'markdown', 'html'], 'how to print', 'text'))
    .addOption(
      choiceOption(
        '--fail-on',
        ['refused', 'not-yet', 'difference'],
        'end with 1 when there is this verdict or a worse one',
        'refused',
      ),
    )
    .action(async (flags: FlagValues) => {
      exitCode = await withConfig(
        audit,
        resolveCompileConfig(byFlagName(flags), process.env),
        async (config) => {
          const { runAudit } = await import('./audit.ts');
          return runAudit(
            config,
            process.env,
            flags['output'] as AuditOutput,
            flags['failOn'] as FailOn,
            write,
          );
        },
      );
    });

  program
    .command('probe')
    .description('ask a running Portico on its Unix socket; exits with 0 if the answer is yes')
    .argument('<healthz|readyz>', 'what to ask')
    .requiredOption('--status-socket <path>', 'the socket of portico run')
    .exitOverride()
    .action(async (what: string, { statusSocket }: { statusSocket: string }) => {
      const { runProbe } = await import('./probe.ts');
      exitCode = await runProbe({ what, socketPath: statusSocket }, write);
    });

  const cleanup = command(
    program,
    'cleanup',
    'remove what Portico wrote to a cluster: addresses in the status of Ingresses, and the Lease',
    CLEANUP_FLAGS,
  );
  cleanup.action(async (flags: FlagValues) => {
    const config = resolveCleanupConfig(byFlagName(flags), process.env);
    exitCode = await withConfig(cleanup, config, async (config) => {
      const { runCleanup } = await import('./cleanup.ts');
      return runCleanup(config, process.env, write);
    });
  });

  try {
    await program.parseAsync([...argv]);
    return exitCode;
  } catch (error) {
    const { code, exitCode: suggested } = error as { code?: string; exitCode?: number };
    if (code?.startsWith('commander.')) return suggested === 0 ? EXIT.ok : EXIT.usage;
    console.error(`portico: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    return EXIT.software;
  }
}

/** What may be spent on the last lines of a log that nobody reads. */
const LOG_END_TIMEOUT_MS = 1_000;

const EXAMPLES = `
Examples:
  portico run --manifests ./manifests --http-port 8080 --https-port 8443      serve a folder, without a cluster
  portico run --kubeconfig ~/.kube/config --http-port 8080 --https-port 8443  serve a cluster from a laptop
  portico check --manifests ./manifests                                       what is wrong in these manifests?
  portico explain --manifests ./manifests http://shop.example.com/cart
  portico audit --kubeconfig ~/.kube/config --output html > audit.html     what becomes of annotations of ingress-nginx?
  portico cleanup --kubeconfig ~/.kube/config --dry-run    what would uninstalling remove?

Every flag of run, check, explain, audit and cleanup can also be set in the environment: --http-port is PORTICO_HTTP_PORT.
`;

function command(program: Command, name: string, description: string, flags: readonly Flag[]): Command {
  const sub = program.command(name).description(description).exitOverride();
  // A wrong flag is reported together with everything else that is wrong.
  sub.allowUnknownOption().allowExcessArguments();
  for (const flag of flags) sub.addOption(optionOf(flag, name === 'explain'));
  return sub;
}

/** Before an argument, an option with many values is repeated; otherwise it would take the argument as a value. */
function optionOf(flag: Flag, beforeArgument: boolean): Option {
  const value = beforeArgument ? flag.value?.replace('...', '') : flag.value;
  const option = new Option(`--${flag.name}${value ? ` ${value}` : ''}`, `${flag.description} `);
  if (flag.many && beforeArgument) {
    option.argParser((each: string, before: readonly string[] = []) => [...before, each]);
  }
  // The defaults are applied when the configuration is read, after the environment.
  const fallback = flag.default === undefined ? '' : `default: ${flag.default}, `;
  option.description += `(${fallback}env: ${environmentName(flag)})`;
  return option.helpGroup(`${flag.group}:`);
}

function choiceOption(name: string, choices: string[], description: string, fallback: string): Option {
  return new Option(`${name} <${choices.join('|')}>`, description).choices(choices).default(fallback);
}

function outputOption(): Option {
  return new Option('--output <text|json>', 'how to print (default: text)').choices(['text', 'json']);
}

/** `httpPort`, as commander names it, is the flag `http-port`. */
function byFlagName(flags: FlagValues): FlagValues {
  const name = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return Object.fromEntries(Object.entries(flags).map(([key, value]) => [name(key), value]));
}

async function withConfig<T>(
  command: Command,
  result: ConfigResult<T>,
  use: (config: T) => Promise<number>,
): Promise<number> {
  const errors = [...strayArguments(command), ...(result.kind === 'invalid' ? result.errors : [])];
  if (result.kind === 'ok' && errors.length === 0) return use(result.config);
  for (const error of errors) console.error(`portico ${command.name()}: ${error}`);
  console.error(`portico ${command.name()}: see 'portico ${command.name()} --help'`);
  return EXIT.usage;
}

function strayArguments(command: Command): string[] {
  const flags = command.options.map((option) => option.long ?? '');
  return command.args.slice(command.registeredArguments.length).map((argument) => {
    if (!argument.startsWith('-')) return `unexpected argument '${argument}'`;
    const [name = ''] = argument.split('=', 1);
    const match = closestMatch(name, flags);
    return match === null ? `unknown flag ${name}` : `unknown flag ${name}; did you mean ${match}?`;
  });
}

/** Ctrl-C under npm arrives twice at once: from the terminal, and passed on by npm. */
const SAME_SIGNAL_WITHIN_MS = 300;

/** The first signal asks to drain, a later one, of either kind, ends the process at once. */
function stopSignal(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let firstAt: number | null = null;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      firstAt ??= performance.now();
      if (performance.now() - firstAt > SAME_SIGNAL_WITHIN_MS) process.exit(EXIT.interrupted);
      resolve(signal);
    });
  }
  return promise;
}

function write(text: string): void {
  process.stdout.write(text);
}
