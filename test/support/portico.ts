import { Readable } from 'node:stream';
import { vi } from 'vitest';
import { main } from '../../src/cli/program.ts';

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Surroundings {
  /** What it reads from standard input. */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a command of Portico to its end in this process, which costs a hundredth of a process of its own. */
export async function portico(
  args: readonly string[],
  { input = '', env = {} }: Surroundings = {},
): Promise<Finished> {
  const written = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((chunk, ...more) => {
      written[name] += String(chunk);
      const then = more.find((each) => typeof each === 'function');
      if (then) process.nextTick(then);
      return true;
    }),
  );
  // That of vitest goes elsewhere.
  const complain = vi.spyOn(console, 'error').mockImplementation((text) => {
    written.stderr += `${String(text)}\n`;
  });
  const before = { env: process.env, stdin: Object.getOwnPropertyDescriptor(process, 'stdin') };
  const listeners = process.stdout.listeners('error');
  process.env = { ...process.env, ...env };
  Object.defineProperty(process, 'stdin', { configurable: true, value: Readable.from([input]) });
  try {
    const code = await main(['node', 'portico', ...args], new URL('file:///nothing'));
    return { code, ...written };
  } finally {
    for (const spy of [...spies, complain]) spy.mockRestore();
    process.env = before.env;
    if (before.stdin) Object.defineProperty(process, 'stdin', before.stdin);
    for (const each of process.stdout.listeners('error'))
      if (!listeners.includes(each)) process.stdout.off('error', each as () => void);
  }
}
