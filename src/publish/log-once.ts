import type { Say } from '../kubernetes/api-request.ts';

/** Says what is wrong once, and once that it is over. */
export interface Complaints {
  raise(topic: string, message: string): void;
  settle(topic: string): void;
}

export function createComplaints(say: Say): Complaints {
  const open = new Map<string, string>();
  return {
    raise(topic, message) {
      if (open.get(topic) === message) return;
      open.set(topic, message);
      say('warn', message);
    },
    settle(topic) {
      if (open.delete(topic)) say('info', `${topic}: works again`);
    },
  };
}
