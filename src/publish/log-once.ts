import type { Log } from '../kubernetes/log.ts';

/** Logs each problem once when it begins and once when it ends. */
export interface LogOnce {
  warnOnce(topic: string, message: string): void;
  resolve(topic: string): void;
}

export function createLogOnce(log: Log): LogOnce {
  const open = new Map<string, string>();
  return {
    warnOnce(topic, message) {
      if (open.get(topic) === message) return;
      open.set(topic, message);
      log('warn', message);
    },
    resolve(topic) {
      if (open.delete(topic)) log('info', `${topic}: works again`);
    },
  };
}
