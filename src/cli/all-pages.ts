import type { Page } from '../admin/api/answers.ts';

const PAGE = 500;
/** A list that changes while it is read is read again; one that changes all the time is taken as it came. */
const TRIES = 3;

/** A whole list, page by page. `get` is given the part of a query that says which page. */
export async function allPages<T, P extends Page<T>>(get: (range: string) => Promise<P>): Promise<P> {
  let read = await readAll(get);
  for (let tries = 1; read.changed && tries < TRIES; tries++) read = await readAll(get);
  return read.list;
}

async function readAll<T, P extends Page<T>>(
  get: (range: string) => Promise<P>,
): Promise<{ readonly list: P; readonly changed: boolean }> {
  const first = await get(`offset=0&limit=${PAGE}`);
  const items = [...first.items];
  let changed = false;
  while (items.length < first.total) {
    const next = await get(`offset=${items.length}&limit=${PAGE}`);
    if (next.items.length === 0) break;
    changed ||= next.generation !== first.generation;
    items.push(...next.items);
  }
  return { list: { ...first, total: items.length, items }, changed };
}
