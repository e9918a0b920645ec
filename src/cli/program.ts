import { Argument, Command, CommanderError, type HelpConfiguration, Option } from 'commander';
import {
  type ConfigResult,
  type FlagValues,
  resolveCleanupConfig,
  resolveCompileConfig,
  resolveConfig,
} from '../config/config.ts';
import { CLEANUP_FLAGS, COMPILE_FLAGS, type Flag, RUN_FLAGS, environmentName } from '../config/flags.ts';
import { EXIT } from '../config/exit-codes.ts';
import { shortDuration } from '../config/flag-values.ts';
import { DEBUG_TOPICS } from '../proxy/debug/debug-session.ts';
import { unknownVariables } from '../config/unknown-variables.ts';
import { CHECK_OUTPUTS, type CheckOutput } from './check-result.ts';
import { type CompletedCommand, SHELLS, type Shell } from './completion.ts';
import type { AuditOutput, FailOn } from './audit.ts';
import { CONVERT_FAIL_ON, type ConvertFailOn } from './convert-fail-on.ts';
import type { AdminClient } from './admin-client.ts';
import { LIVE_OUTPUTS, type LiveOutput } from './live-output.ts';
import { TOP_ORDERS, type TopOrder } from './top-orders.ts';
import { usageError } from './usage-error.ts';
import { closestMatch } from '../model/closest-match.ts';
import { VERSION } from '../version.ts';

/** Parses the command line and runs its command. Resolves with the exit code. `threadEntry` is what a data-plane thread runs. */
export async function main(argv: readonly string[], threadEntry: URL): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = new Command('portico')
    .description('A Kubernetes ingress controller that never reloads.')
    .version(VERSION)
    .exitOverride()
    // What is wrong is said below, in the words of Portico.
    .configureOutput({ outputError: () => {} })
    .configureHelp(HELP)
    .addHelpText('after', EXAMPLES);

  const run = command(program, 'run', 'watch a cluster or manifests, and serve', RUN_FLAGS);
  run.action(async (flags: FlagValues) => {
    exitCode = await withConfig(run, resolveConfig(byFlagName(flags), process.env), async (config) => {
      const [{ openLog }, { runDaemon }] = await Promise.all([
        import('../controller/log-sink.ts'),
        import('../controller/daemon.ts'),
      ]);
      const log = openLog({ level: config.logLevel, format: config.logFormat, fd: 1 });
      for (const line of unknownVariables(process.env)) log.logger.warn(line);
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

  const check = command(
    program,
    'check',
    'find what is wrong with manifests or a cluster, without serving',
    READING_FLAGS,
  );
  check
    .addOption(choiceOption('--output', CHECK_OUTPUTS, 'how to print', 'text'))
    .option('--ignore <code...>', 'leave out problems with these codes, such as NoEndpoints')
    .option('--strict', 'end with 1 for a warning, too')
    .option('--offline', OFFLINE)
    .action(async (flags: FlagValues) => {
      const config = resolveCompileConfig(byFlagName(flags), process.env);
      exitCode = await withConfig(check, config, async (config) => {
        const { runCheck } = await import('./check.ts');
        const options = {
          output: flags['output'] as CheckOutput,
          ignore: (flags['ignore'] ?? []) as readonly string[],
          strict: flags['strict'] === true,
          offline: flags['offline'] === true,
        };
        return runCheck(config, process.env, options, write);
      });
    });

  const explain = command(
    program,
    'explain',
    'say where a URL goes and why: rule, backend, endpoints, certificate, policies',
    READING_FLAGS,
  );
  explain.argument('<url>', 'such as http://shop.example.com/cart');
  explain
    .addOption(outputOption())
    .option('--offline', OFFLINE_CLASS)
    .option('--from <place>', `${FROM}; without it the manifests or the cluster are read`);
  explain.action(async (url: string, flags: FlagValues) => {
    const output = flags['output'] === 'json' ? 'json' : 'text';
    if (flags['from'] !== undefined) {
      const { runLiveExplain } = await import('./explain.ts');
      exitCode = await onRunning('explain', argv, String(flags['from']), (client) =>
        runLiveExplain(client, url, output, write),
      );
      return;
    }
    exitCode = await withConfig(
      explain,
      resolveCompileConfig(byFlagName(flags), process.env),
      async (config) => {
        const { runExplain } = await import('./explain.ts');
        const options = { output, offline: flags['offline'] === true } as const;
        return runExplain(config, process.env, url, options, write);
      },
    );
  });

  const audit = command(
    program,
    'audit',
    'say what becomes of every annotation of ingress-nginx, worst first; reads only',
    READING_FLAGS,
  );
  audit
    .addOption(choiceOption('--output', ['text', 'json', 'markdown', 'html'], 'how to print', 'text'))
    .addOption(
      choiceOption(
        '--fail-on',
        ['refused', 'difference'],
        'end with 1 when there is this verdict or a worse one',
        'refused',
      ),
    )
    .addOption(
      new Option(
        '--ingress-nginx-flags <flags>',
        'flags of ingress-nginx to judge too, such as "--ingress-class=public --enable-ssl-passthrough"',
      ).default(''),
    )
    .action(async (flags: FlagValues) => {
      exitCode = await withConfig(
        audit,
        resolveCompileConfig(byFlagName(flags), process.env),
        async (config) => {
          const { runAudit } = await import('./audit.ts');
          const request = {
            output: flags['output'] as AuditOutput,
            failOn: flags['failOn'] as FailOn,
            controllerFlags: String(flags['ingressNginxFlags']).split(/\s+/).filter(Boolean),
          };
          return runAudit(config, process.env, request, write);
        },
      );
    });

  const convert = command(
    program,
    'convert',
    'print Ingresses and their annotations as Gateway API; notes say what differs',
    READING_FLAGS,
  );
  convert
    .option('-f, --filename <paths...>', 'the same as --manifests')
    .option('--gateway-name <namespace/name>', 'the Gateway to write', 'portico-system/portico')
    .option('--gateway-class <name>', 'its class', 'portico')
    .option('--portable', PORTABLE)
    .addOption(
      choiceOption(
        '--fail-on',
        CONVERT_FAIL_ON,
        'end with 1 when there is a note of this kind or a worse one',
        'closed',
      ),
    )
    .action(async (flags: FlagValues) => {
      const { filename, ...others } = flags;
      const given = filename === undefined ? others : { ...others, manifests: filename };
      const config = resolveCompileConfig(byFlagName(given), process.env);
      exitCode = await withConfig(convert, config, async (config) => {
        const { runConvert } = await import('./convert.ts');
        const request = {
          gatewayName: String(flags['gatewayName']),
          gatewayClass: String(flags['gatewayClass']),
          portable: flags['portable'] === true,
          failOn: flags['failOn'] as ConvertFailOn,
        };
        return runConvert(config, process.env, request, write);
      });
    });

  const live = (name: string, description: string): Command =>
    program
      .command(name)
      .description(description)
      .option('--from <place>', `${FROM}; default: ${USUAL_FROM}`)
      .exitOverride()
      .configureHelp(HELP);
  const liveOutput = (): Option => choiceOption('--output', LIVE_OUTPUTS, 'how to print', 'text');

  live('status', 'say how a running Portico is; ends with 1 if it is not ready')
    .addOption(liveOutput())
    .action(async ({ from, output }: LiveFlags) => {
      const { runStatus } = await import('./status.ts');
      exitCode = await onRunning('status', argv, from, (client) => runStatus(client, output, write));
    });

  live('routes', 'list what a running Portico serves')
    .argument('[filter...]', 'words that occur in the host, the path, the object or a backend')
    .addOption(liveOutput())
    .action(async (filter: readonly string[], { from, output }: LiveFlags) => {
      const { runRoutes } = await import('./routes.ts');
      exitCode = await onRunning('routes', argv, from, (client) =>
        runRoutes(client, filter.join(' '), output, write),
      );
    });

  live('problems', 'list what is wrong with the objects that a running Portico serves')
    .argument('[filter]', 'text that occurs in the object, the field, the code or the message', '')
    .option('--namespace <name>', 'only of this namespace', '')
    .addOption(new Option('--severity <severity>', 'only of this severity').choices(SEVERITIES).default(''))
    .option('--conflicts', 'only where an object lost something to another one')
    .addOption(liveOutput())
    .action(async (filter: string, { from, output, namespace, severity, conflicts }: ProblemFlags) => {
      const { runProblems } = await import('./problems.ts');
      const wanted = { filter, namespace, severity, conflicts: conflicts === true };
      exitCode = await onRunning('problems', argv, from, (client) =>
        runProblems(client, wanted, output, write),
      );
    });

  live('top', 'show the busiest routes of a running Portico, until q or Ctrl-C')
    .addOption(choiceOption('--sort', TOP_ORDERS, 'what comes first: keys r, e and l change it', 'requests'))
    .option('--backends', 'backends in the place of routes: key b changes it')
    .option('--once', 'print one snapshot and end, as if it were not a terminal')
    .addOption(outputOption())
    .action(async ({ from, output, sort, backends, once }: TopFlags) => {
      const { runTop } = await import('./top.ts');
      const of = backends === true ? 'backends' : 'routes';
      const options = { order: sort, of, once: once === true, json: output === 'json' } as const;
      exitCode = await onRunning('top', argv, from, (client) => runTop(client, options, write));
    });

  live('debug', 'have a running Portico tell in its log what happens to requests, for a while')
    .addArgument(new Argument('<action>', 'what to do').choices(['on', 'off', 'list']))
    .argument('[what]', `on: ${DEBUG_TOPICS.join(',')}, or some of them; off: the number of one, or all`, '')
    .option('--for <duration>', 'how long, at most 1h', '60s')
    .option('--host <host>', 'only requests for this host', '')
    .option('--requests <n>', 'how many requests of each data-plane thread, at most 1000', '100')
    .addHelpText('after', '\nIt needs the socket of --admin-socket, or pod/NAMESPACE/NAME.')
    .action(async (action: 'on' | 'off' | 'list', what: string, flags: DebugFlags) => {
      const { runDebug } = await import('./debug.ts');
      const time = shortDuration(flags.for);
      if ('error' in time) {
        console.error(`portico debug: --for: ${time.error}`);
        exitCode = EXIT.usage;
        return;
      }
      const wanted = { action, what, seconds: Math.ceil(time.value / 1000), ...flags };
      exitCode = await onRunning('debug', argv, flags.from, (client) => runDebug(client, wanted, write));
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

  program
    .command('completion')
    .description('print a script that completes commands and flags in a shell')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .exitOverride()
    .addHelpText('after', '\nFor bash: source <(portico completion bash)')
    .action(async (shell: Shell) => {
      const { completionScript } = await import('./completion.ts');
      write(completionScript(shell, program.commands.map(completed)));
    });

  try {
    await program.parseAsync(urlLast(argv));
    // `run` writes a log: what of it is lost is counted, and is no failure.
    const failure = argv[2] === 'run' ? null : await written();
    if (failure === null) return exitCode;
    console.error(`portico ${argv[2] ?? ''}: the output cannot be written: ${failure.message}`);
    return EXIT.ioError;
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      console.error(`portico: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      return EXIT.software;
    }
    // It has printed what was asked for.
    if (error.exitCode === 0) return EXIT.ok;
    if (error.code === 'commander.help') return EXIT.usage;
    const command = program.commands.find((each) => each.name() === argv[2]);
    const words = command === undefined ? 'portico' : `portico ${command.name()}`;
    console.error(`${words}: ${usageError(error.message)}\n${words}: see '${words} --help'`);
    return EXIT.usage;
  }
}

const FROM =
  'ask a running Portico: the socket of --admin-socket, the address of --admin-address, or pod/NAMESPACE/NAME to run kubectl exec there';
const USUAL_FROM = '/run/portico/admin.sock if it is there, otherwise 127.0.0.1:10253';
const SEVERITIES = ['error', 'warning', 'info'] as const;

interface LiveFlags {
  readonly from?: string;
  readonly output: LiveOutput;
}

interface ProblemFlags extends LiveFlags {
  readonly namespace: string;
  readonly severity: string;
  readonly conflicts?: boolean;
}

/** Ends the process. */
export function exit(code: number): void {
  if (code === EXIT.killed || code === EXIT.interrupted) exitWithoutThreads(code);
  process.exit(code);
}

/**
 * Ends the process also when a thread does not end: to exit is to wait for all of them, and the first process of a container
 * gets no signal that it sends itself, not even SIGKILL. Another program in its place has none of the threads.
 */
function exitWithoutThreads(code: number): void {
  process.execve?.(process.execPath, [process.execPath, '--eval', `process.exit(${code})`], {});
}

interface DebugFlags {
  readonly from?: string;
  readonly for: string;
  readonly host: string;
  readonly requests: string;
}

interface TopFlags {
  readonly from?: string;
  readonly output?: string;
  readonly sort: TopOrder;
  readonly backends?: boolean;
  readonly once?: boolean;
}

/** Runs a command on the Portico that `from` names: here, or in its Pod. */
async function onRunning(
  name: string,
  argv: readonly string[],
  from: string | undefined,
  use: (client: AdminClient) => Promise<number>,
): Promise<number> {
  const { AdminClient, AdminFailure, parseFrom } = await import('./admin-client.ts');
  const place = parseFrom(from);
  if (place === null) {
    console.error(
      `portico ${name}: --from: '${from}' is neither a socket, an address such as 127.0.0.1:10253, nor pod/NAMESPACE/NAME`,
    );
    return EXIT.usage;
  }
  if (place.kind === 'pod') {
    const { runInPod, withoutFrom } = await import('./in-pod.ts');
    const socket = ['--from', '/run/portico/admin.sock'];
    return runInPod(place.namespace, place.name, [...withoutFrom(argv.slice(2)), ...socket]);
  }
  try {
    return await use(new AdminClient(place));
  } catch (error) {
    if (!(error instanceof AdminFailure)) throw error;
    console.error(`portico ${name}: ${error.message}`);
    return EXIT.unavailable;
  }
}

/** What may be spent on the last lines of a log that nobody reads. */
const LOG_END_TIMEOUT_MS = 1_000;

const HELP_WIDTH = 80;
const HELP_INDENT = 6;

/** Flags with their description below, since many are long: nothing is wider than a terminal. */
const HELP: HelpConfiguration = {
  helpWidth: HELP_WIDTH,
  formatItem(term, termWidth, description, helper) {
    const beside = `  ${term.padEnd(termWidth)}  `;
    const isShort = beside.length + description.length <= HELP_WIDTH && !term.startsWith('--');
    if (isShort) return `${beside}${description}`;
    const below = helper.boxWrap(description.trim(), HELP_WIDTH - HELP_INDENT);
    return `  ${term}\n${below.replaceAll(/^/gm, ' '.repeat(HELP_INDENT))}`;
  },
};

const OFFLINE =
  'take as given what a cluster makes: the Secrets and endpoints that manifests lack, and the IngressClass';

const OFFLINE_CLASS = 'take the IngressClass as given, which manifests of an application lack';

const PORTABLE =
  'use nothing that only Portico has: what needs an annotation of Portico is left out, and paths whose access rules would be lost answer nobody';

const EXAMPLES = `
Examples:
  # Serve a folder, without a cluster
  portico run --manifests ./manifests --http-port 8080 --https-port 8443
  # Serve a cluster from a laptop
  portico run --kubeconfig ~/.kube/config --http-port 8080 --https-port 8443
  # What is wrong in these manifests? In this chart?
  portico check --manifests ./manifests
  helm template ./chart | portico check --manifests - --offline
  # Where does this URL go, and why?
  portico explain --manifests ./manifests http://shop.example.com/cart
  # How is a running Portico, and what is slow?
  portico status --from 127.0.0.1:10253
  portico top --from pod/portico-system/portico-x7k2p
  # What becomes of annotations of ingress-nginx?
  portico audit --kubeconfig ~/.kube/config --output html > audit.html
  # What would they be in Gateway API?
  portico convert --drop-in ingress-nginx -f ./manifests > gateway.yaml
  # What would uninstalling remove?
  portico cleanup --kubeconfig ~/.kube/config --dry-run

Every flag of run, check, explain, audit and cleanup can also be set in the
environment: --http-port is PORTICO_HTTP_PORT.

Exit codes:
  0    success; run: stopped by SIGTERM or SIGINT
  1    check found an error, audit or convert what --fail-on names; probe,
       status: no
  64   a flag or an argument is wrong
  66   manifests or a kubeconfig cannot be read
  69   the API server or a running Portico cannot be reached, or a port is in use
  70   a fault in Portico
  74   the output cannot be written
  77   no right to listen on a port
  130  a second signal ended it
  137  a thread did not end, so Portico ended without it
`;

/** The same flags, described for commands that only read. */
const READING_FLAGS: readonly Flag[] = COMPILE_FLAGS.map(({ whenReading, ...flag }) => ({
  ...flag,
  description: whenReading ?? flag.description,
}));

function command(program: Command, name: string, description: string, flags: readonly Flag[]): Command {
  const sub = program.command(name).description(description).exitOverride().configureHelp(HELP);
  // A wrong flag is reported together with everything else that is wrong.
  sub.allowUnknownOption().allowExcessArguments();
  for (const flag of flags) sub.addOption(optionOf(flag));
  return sub;
}

function optionOf(flag: Flag): Option {
  const option = new Option(`--${flag.name}${flag.value ? ` ${flag.value}` : ''}`, `${flag.description} `);
  // The defaults are applied when the configuration is read, after the environment.
  const fallback = flag.default === undefined ? '' : `default: ${flag.default}, `;
  option.description += `(${fallback}env: ${environmentName(flag)})`;
  return option.helpGroup(`${flag.group}:`);
}

const URL_WITH_SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i;

/** `explain --manifests a b URL` as `explain --manifests a b -- URL`: a flag with many values would take the URL as one. */
function urlLast(argv: readonly string[]): string[] {
  const [node = '', script = '', name = '', ...args] = argv;
  if (name !== 'explain' || args.includes('--')) return [...argv];
  let at = args.findLastIndex((arg) => URL_WITH_SCHEME.test(arg));
  const isValue = args.at(-2)?.startsWith('--') ?? false;
  if (at < 0 && !isValue && args.at(-1)?.startsWith('-') === false) at = args.length - 1;
  if (at < 0) return [...argv];
  return [node, script, name, ...args.toSpliced(at, 1), '--', args[at] ?? ''];
}

function completed(command: Command): CompletedCommand {
  const flags = command.options.map(({ long, flags: written, argChoices }) => {
    const choices = argChoices ?? /<([\w-]+(?:\|[\w.-]+)+)>/.exec(written)?.[1]?.split('|') ?? [];
    return { name: long ?? '', choices };
  });
  return { name: command.name(), description: command.description(), flags };
}

function choiceOption(
  name: string,
  choices: readonly string[],
  description: string,
  fallback: string,
): Option {
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
  if (command.name() !== 'run') {
    for (const line of unknownVariables(process.env)) console.error(`portico ${command.name()}: ${line}`);
  }
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
      if (performance.now() - firstAt > SAME_SIGNAL_WITHIN_MS) exit(EXIT.interrupted);
      resolve(signal);
    });
  }
  return promise;
}

function write(text: string): void {
  process.stdout.write(text);
}

/**
 * Resolves when a reader has taken what was written: a pipe holds 64 KiB, and the end of the process would drop the rest. With
 * what kept it from being written, such as a full disk; null if nothing did.
 */
function written(): Promise<Error | null> {
  return new Promise((resolve) => {
    const fail = (error: NodeJS.ErrnoException): void =>
      // A reader such as `head` may have enough.
      resolve(error.code === 'EPIPE' ? null : error);
    process.stdout.on('error', fail).write('', (error) => (error ? fail(error) : resolve(null)));
  });
}
