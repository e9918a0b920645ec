import { type MessagePort, parentPort } from 'node:worker_threads';
import { passwordMatches } from '../../passwords/password-hash.ts';

export interface PasswordQuestion {
  readonly id: number;
  readonly namespace: string;
  readonly hash: string;
  readonly password: Uint8Array;
}

export interface PasswordAnswer {
  readonly id: number;
  readonly matches: boolean;
}

interface Job {
  readonly question: PasswordQuestion;
  readonly port: MessagePort;
}

/**
 * The life of the thread that hashes passwords: one at a time, so that logins take one core at most. Namespaces take
 * turns, so that one that is flooded with passwords delays the others by one hash each.
 */
export function servePasswords(): void {
  const queues = new Map<string, Job[]>();
  let isRunning = false;

  const runNext = (): void => {
    const [next] = queues;
    if (!next) return void (isRunning = false);
    const [namespace, queue] = next;
    const job = queue.shift();
    // To the end of the line, if there is more.
    queues.delete(namespace);
    if (queue.length > 0) queues.set(namespace, queue);
    if (job) answer(job);
    setImmediate(runNext);
  };

  parentPort?.on('message', (port: MessagePort) => {
    port.on('message', (question: PasswordQuestion) => {
      const queue = queues.get(question.namespace) ?? [];
      queues.set(question.namespace, queue);
      queue.push({ question, port });
      if (isRunning) return;
      isRunning = true;
      setImmediate(runNext);
    });
  });
}

function answer({ question: { id, hash, password }, port }: Job): void {
  const matches = passwordMatches(hash, Buffer.from(password));
  port.postMessage({ id, matches } satisfies PasswordAnswer);
}
