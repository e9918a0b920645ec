import { useEffect, useRef, useState } from 'preact/hooks';

interface Known {
  readonly tag: string;
  readonly body: unknown;
}

/** Answers that the server may say are still the same. */
const known = new Map<string, Known>();
const MAX_KNOWN = 100;

/** The body of `GET /api/v1/` and `path`. Rejects with what went wrong, for a person. */
export async function ask<T>(path: string, signal?: AbortSignal): Promise<T> {
  const last = known.get(path);
  const response = await fetch(`/api/v1/${path}`, {
    cache: 'no-store',
    ...(last && { headers: { 'If-None-Match': last.tag } }),
    ...(signal && { signal }),
  });
  if (response.status === 304 && last) return last.body as T;
  const body = (await response.json()) as T & { readonly error?: string };
  if (!response.ok) throw new Error(body.error ?? `the answer is ${response.status}`);
  const tag = response.headers.get('etag');
  if (tag !== null) {
    const [oldest] = known.keys();
    if (known.size >= MAX_KNOWN && oldest !== undefined) known.delete(oldest);
    known.delete(path);
    known.set(path, { tag, body });
  }
  return body;
}

export interface Asked<T> {
  /** The newest answer; null before the first, and of another path. */
  readonly answer: T | null;
  readonly error: string | null;
}

/** Asks again every `everyMs` while the page is seen. A null path asks nothing. */
export function useAnswer<T>(path: string | null, everyMs: number): Asked<T> {
  const [asked, setAsked] = useState<Asked<T> & { readonly path: string | null }>({
    path: null,
    answer: null,
    error: null,
  });
  useEffect(() => {
    if (path === null) return undefined;
    const stop = new AbortController();
    let timer = 0;
    const turn = async (): Promise<void> => {
      if (!document.hidden) {
        try {
          const answer = await ask<T>(path, stop.signal);
          if (!stop.signal.aborted) setAsked({ path, answer, error: null });
        } catch (error) {
          if (stop.signal.aborted) return;
          const text = error instanceof TypeError ? 'Portico does not answer.' : (error as Error).message;
          setAsked((before) => ({ path, answer: before.path === path ? before.answer : null, error: text }));
        }
      }
      if (!stop.signal.aborted) timer = setTimeout(() => void turn(), everyMs);
    };
    void turn();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [path, everyMs]);
  return asked.path === path ? asked : { answer: null, error: null };
}

/** A value that stays the same until it has not changed for a moment, as while a person types. */
export function useSettled<T>(value: T, afterMs = 150): T {
  const [settled, setSettled] = useState(value);
  const first = useRef(true);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return undefined;
    }
    const timer = setTimeout(() => setSettled(value), afterMs);
    return () => clearTimeout(timer);
  }, [value, afterMs]);
  return settled;
}
