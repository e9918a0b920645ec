import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { SUITE } from './binaries.ts';

/** How one test of the suite ended. */
export interface TestResult {
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  readonly seconds: number;
  /** What it and its subtests logged, each line once for those that follow each other. */
  readonly log: readonly string[];
}

export interface SuiteRun {
  /** Of the suite itself: 0 when no test failed. */
  readonly exitCode: number;
  readonly results: readonly TestResult[];
  /** What it logged before its tests and after them. */
  readonly log: readonly string[];
}

export interface SuiteOptions {
  readonly binaries: string;
  /** Where `suite.log` goes, with everything that the suite says. */
  readonly folder: string;
  readonly kubeconfig: string;
  readonly flags: readonly string[];
  /** Ends the suite. */
  readonly signal: AbortSignal;
  /** Called for each test when it has ended. */
  readonly onResult: (result: TestResult) => void;
}

/** Runs the conformance suite. */
export async function runSuite(options: SuiteOptions): Promise<SuiteRun> {
  const { binaries, folder, kubeconfig, flags, signal, onResult } = options;
  const child = spawn(join(binaries, SUITE), ['-test.v=test2json', '-test.timeout=60m', ...flags], {
    cwd: folder,
    env: { ...process.env, KUBECONFIG: kubeconfig },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const stop = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', stop);
  const ended = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
  const file = createWriteStream(join(folder, 'suite.log'));
  const results: TestResult[] = [];
  const log = new SuiteLog();
  for await (const line of createInterface({ input: child.stdout })) {
    file.write(`${line}\n`);
    const result = log.read(line);
    if (result === null) continue;
    results.push(result);
    onResult(result);
  }
  file.end();
  const exitCode = await ended;
  signal.removeEventListener('abort', stop);
  return { exitCode, results, log: log.besides };
}

/** Whether a line begins what a test says, and how it says that a test has ended. */
const BEGIN = /^\u0016?=== (?:RUN|NAME|CONT)\s+(\S+)/;
const END = /^\u0016?\s*--- (PASS|FAIL|SKIP): TestConformance\/([^/\s]+) \(([\d.]+)s\)$/;
const OUTCOMES = { PASS: 'passed', FAIL: 'failed', SKIP: 'skipped' } as const;
/** The suite logs each try of what it waits for, with the time. */
const TIME = / \d{4}-\d\d-\d\dT[\d:.]+Z:/;

/** Reads the output of a test program, in the form for test2json, line by line. */
export class SuiteLog {
  /** The lines of no test. */
  readonly besides: string[] = [];
  readonly #logs = new Map<string, string[]>([['', this.besides]]);
  /** The lines of the test that speaks. */
  #current = this.besides;

  /** The test that ended with this line; null when none did. */
  read(line: string): TestResult | null {
    const ended = END.exec(line);
    if (ended) {
      const [, outcome, name = '', seconds] = ended;
      const log = this.#logs.get(name) ?? [];
      this.#logs.delete(name);
      this.#current = this.besides;
      return { name, outcome: OUTCOMES[outcome as keyof typeof OUTCOMES], seconds: Number(seconds), log };
    }
    const began = BEGIN.exec(line)?.[1];
    if (began === undefined) {
      const text = line.replace(TIME, '');
      if (this.#current.at(-1) !== text) this.#current.push(text);
      return null;
    }
    const name = began.split('/')[1] ?? '';
    const lines = this.#logs.get(name) ?? [];
    this.#logs.set(name, lines);
    this.#current = lines;
    return null;
  }
}
