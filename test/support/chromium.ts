import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { happens, soon, until } from './until.ts';

/** The program; undefined where there is none. */
export const CHROMIUM = ['chromium', 'chromium-browser', 'google-chrome'].find((program) => {
  try {
    return execFileSync('sh', ['-c', `command -v ${program}`]).length > 0;
  } catch {
    return false;
  }
});

/** A tab of a browser, driven as a person would. */
export interface Tab extends AsyncDisposable {
  goTo(url: string): Promise<void>;
  /** The value of an expression in the page. */
  evaluate<T>(expression: string): Promise<T>;
  /** Resolves when the text of the page matches. */
  shows(text: string | RegExp): Promise<void>;
  /** Presses a key, such as `/`, `Enter` or `ArrowDown`. */
  press(key: string): Promise<void>;
  /** Types into what has the focus. */
  type(text: string): Promise<void>;
  colours(scheme: 'light' | 'dark'): Promise<void>;
  /** What went wrong in the page: exceptions, errors of the console, dialogs, refusals of its content policy. */
  readonly faults: readonly string[];
}

interface Reply {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, never>;
  readonly result?: Record<string, never>;
  readonly error?: { readonly message: string };
}

const VIRTUAL_KEYS: Readonly<Record<string, number>> = {
  Enter: 13,
  Escape: 27,
  Tab: 9,
  ArrowUp: 38,
  ArrowDown: 40,
};

/** What it shows is laid out anew each time it is read. */
const LOOK_EVERY_MS = 20;

/**
 * Opens a browser with one tab, by the DevTools protocol over pipes: no port is opened. Hosts that match the pattern are at
 * the address, other hosts nowhere; any certificate is good.
 */
export async function openTab(hosts: string, address: string): Promise<Tab> {
  const profile = mkdtempSync(join(tmpdir(), 'portico-chromium-'));
  const child: ChildProcess = spawn(
    CHROMIUM ?? '',
    [
      ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'],
      ...[
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--hide-scrollbars',
      ],
      ...['--no-proxy-server', '--remote-debugging-pipe', `--user-data-dir=${profile}`],
      // One process less to start.
      '--enable-features=NetworkServiceInProcess2',
      `--host-resolver-rules=MAP ${hosts} ${address}, MAP * ~NOTFOUND, EXCLUDE ${address}`,
      ...['--ignore-certificate-errors', '--window-size=1280,800'],
      'about:blank',
    ],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], detached: true },
  );
  const to = child.stdio[3] as Writable;
  const from = child.stdio[4] as Readable;
  const waiting = new Map<number, (reply: Reply) => void>();
  const faults: string[] = [];
  let session: string | undefined;
  let nextId = 1;
  let text = '';

  const call = async (method: string, params: object = {}): Promise<Record<string, never>> => {
    const id = nextId++;
    const replied = new Promise<Reply>((resolve) => waiting.set(id, resolve));
    to.write(`${JSON.stringify({ id, method, params, ...(session && { sessionId: session }) })}\0`);
    const { result, error } = await soon(replied, () => `Chromium to answer ${method}`);
    if (error) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  };
  const onEvent = ({ method, params }: Reply): void => {
    const said = JSON.stringify(params);
    if (method === 'Runtime.exceptionThrown') faults.push(said);
    if (method === 'Log.entryAdded' && said.includes('"level":"error"')) faults.push(said);
    if (method === 'Runtime.consoleAPICalled' && said.includes('"type":"error"')) faults.push(said);
    if (method === 'Page.javascriptDialogOpening') {
      faults.push(said);
      void call('Page.handleJavaScriptDialog', { accept: true });
    }
  };
  from.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    for (let end = text.indexOf('\0'); end >= 0; end = text.indexOf('\0')) {
      const reply = JSON.parse(text.slice(0, end)) as Reply;
      text = text.slice(end + 1);
      if (reply.id === undefined) onEvent(reply);
      else waiting.get(reply.id)?.(reply);
    }
  });

  const { targetInfos } = (await call('Target.getTargets')) as unknown as {
    targetInfos: { type: string; targetId: string }[];
  };
  const page = targetInfos.find(({ type }) => type === 'page');
  const attached = await call('Target.attachToTarget', { targetId: page?.targetId, flatten: true });
  session = attached['sessionId'];
  for (const domain of ['Page', 'Runtime', 'Log']) await call(`${domain}.enable`);

  const evaluate = async <T>(expression: string): Promise<T> => {
    const { result, exceptionDetails } = (await call('Runtime.evaluate', {
      expression,
      returnByValue: true,
      awaitPromise: true,
    })) as unknown as { result: { value: T }; exceptionDetails?: object };
    if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  };
  return {
    faults,
    evaluate,
    goTo: async (url) => void (await call('Page.navigate', { url })),
    shows: (wanted) =>
      until(
        async () => {
          const shown = await evaluate<string>('document.body?.innerText ?? ""');
          return typeof wanted === 'string' ? shown.includes(wanted) : wanted.test(shown);
        },
        `${String(wanted)} in the page`,
        LOOK_EVERY_MS,
      ),
    async press(key) {
      const code = VIRTUAL_KEYS[key];
      const which =
        code === undefined
          ? { text: key }
          : { windowsVirtualKeyCode: code, ...(key === 'Enter' && { text: '\r' }) };
      await call('Input.dispatchKeyEvent', { type: 'keyDown', key, ...which });
      await call('Input.dispatchKeyEvent', { type: 'keyUp', key, ...which });
    },
    type: async (typed) => void (await call('Input.insertText', { text: typed })),
    colours: async (value) =>
      void (await call('Emulation.setEmulatedMedia', {
        features: [{ name: 'prefers-color-scheme', value }],
      })),
    async [Symbol.asyncDispose]() {
      const closed = happens(child, 'close');
      // With all the processes that it has started.
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
      await closed;
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
