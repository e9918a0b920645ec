import type { ServerResponse } from 'node:http';

export interface OpenAnswersOptions {
  /** How many answers may be under way at once. */
  readonly limit: number;
  /** An answer that takes longer is ended. */
  readonly timeoutMs: number;
}

/** The answers of one kind that are under way. */
export interface OpenAnswers {
  /** At the limit, the peer with the most open answers loses its oldest one, so that nobody can keep others out. */
  add(peer: string, response: ServerResponse): void;
}

export function createOpenAnswers({ limit, timeoutMs }: OpenAnswersOptions): OpenAnswers {
  const open = new Map<ServerResponse, string>();
  const endOne = (): void => {
    const byPeer = Map.groupBy(open, ([, peer]) => peer).values();
    const most = [...byPeer].reduce((most, answers) => (answers.length > most.length ? answers : most));
    const [oldest] = most[0]!;
    open.delete(oldest);
    oldest.destroy();
  };
  return {
    add(peer, response) {
      if (open.size >= limit) endOne();
      open.set(response, peer);
      const timer = setTimeout(() => response.destroy(), timeoutMs);
      response.once('close', () => {
        clearTimeout(timer);
        open.delete(response);
      });
    },
  };
}
