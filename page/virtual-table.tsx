import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Page } from '../src/admin/api/answers.ts';
import { ask } from './api.ts';

export interface Column<T> {
  readonly head: string;
  /** A width of CSS grid. */
  readonly width: string;
  readonly isNumber?: true;
  readonly cell: (row: T) => ComponentChildren;
}

export interface VirtualTableProps<T, P extends Page<T>> {
  readonly label: string;
  /** Of the API, without `offset` and `limit`. */
  readonly path: string;
  readonly columns: readonly Column<T>[];
  readonly rowHeight: number;
  /** Where a row leads to. */
  readonly link: (row: T) => string;
  readonly everyMs: number;
  readonly empty: string;
  /** Called with each first page. */
  readonly onPage?: (page: P) => void;
}

/** Rows that are asked for together. */
const CHUNK = 100;
const MAX_CHUNKS = 12;

/**
 * A table of any length: only the rows that are seen, and a few around them, are asked for and drawn. Arrow keys go from
 * row to row.
 */
export function VirtualTable<T, P extends Page<T>>(props: VirtualTableProps<T, P>): JSX.Element {
  const { label, path, columns, rowHeight, link, everyMs, empty, onPage } = props;
  const box = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState({ first: 0, last: 30 });
  const [total, setTotal] = useState<number | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [chunks, setChunks] = useState<ReadonlyMap<number, readonly T[]>>(new Map());

  useEffect(() => {
    setChunks(new Map());
    setTotal(null);
    if (box.current) box.current.scrollTop = 0;
  }, [path]);

  const look = (): void => {
    const element = box.current;
    if (!element) return;
    const first = Math.max(0, Math.floor(element.scrollTop / rowHeight) - 10);
    const last = Math.ceil((element.scrollTop + element.clientHeight) / rowHeight) + 10;
    setSeen((before) => (before.first === first && before.last === last ? before : { first, last }));
  };
  useEffect(() => {
    look();
    const resized = new ResizeObserver(look);
    if (box.current) resized.observe(box.current);
    return () => resized.disconnect();
  }, []);

  const firstChunk = Math.floor(seen.first / CHUNK);
  const lastChunk = Math.floor(Math.min(seen.last, Math.max((total ?? 1) - 1, 0)) / CHUNK);
  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    const wanted = Array.from({ length: lastChunk - firstChunk + 1 }, (_, index) => firstChunk + index);
    const turn = async (): Promise<void> => {
      if (!document.hidden) {
        try {
          for (const chunk of wanted) {
            const range = `offset=${chunk * CHUNK}&limit=${CHUNK}`;
            const page = await ask<P>(`${path}${path.includes('?') ? '&' : '?'}${range}`, stop.signal);
            if (stop.signal.aborted) return;
            setTotal(page.total);
            setError(null);
            onPage?.(page);
            setChunks((before) => {
              const kept = [...before].filter(([each]) => each !== chunk).slice(1 - MAX_CHUNKS);
              return new Map([...kept, [chunk, page.items]]);
            });
          }
        } catch (cause) {
          if (stop.signal.aborted) return;
          setError(cause instanceof TypeError ? 'Portico does not answer.' : (cause as Error).message);
        }
      }
      if (!stop.signal.aborted) timer = setTimeout(() => void turn(), everyMs);
    };
    // Who scrolls past a place does not want its rows.
    timer = setTimeout(() => void turn(), total === null ? 0 : 60);
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [path, firstChunk, lastChunk, everyMs]);

  const onKeyDown = (event: KeyboardEvent): void => {
    const step = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[event.key];
    const element = box.current;
    if (step === undefined || !element || event.ctrlKey || event.metaKey || event.altKey) return;
    const active = document.activeElement;
    const at =
      active instanceof HTMLElement && active.dataset['row'] !== undefined
        ? Number(active.dataset['row'])
        : null;
    const to = at === null ? Math.floor(element.scrollTop / rowHeight) : at + step;
    if (to < 0 || to >= (total ?? 0)) return;
    event.preventDefault();
    const [top, bottom] = [to * rowHeight, (to + 1) * rowHeight];
    if (top < element.scrollTop) element.scrollTop = top;
    else if (bottom > element.scrollTop + element.clientHeight)
      element.scrollTop = bottom - element.clientHeight;
    element.querySelector<HTMLElement>(`[data-row="${to}"]`)?.focus({ preventScroll: true });
  };

  const template = columns.map(({ width }) => width).join(' ');
  const rows: JSX.Element[] = [];
  for (let index = seen.first; index < Math.min(seen.last, total ?? 0); index++) {
    const row = chunks.get(Math.floor(index / CHUNK))?.[index % CHUNK];
    const style = { top: `${index * rowHeight}px`, height: `${rowHeight}px`, gridTemplateColumns: template };
    rows.push(
      row === undefined ? (
        <div key={index} class="row waiting" style={style} role="row" aria-rowindex={index + 2} />
      ) : (
        <div key={index} class="row" style={style} role="row" aria-rowindex={index + 2}>
          {columns.map(({ head, isNumber, cell }, column) => (
            <span key={head} role="cell" class={isNumber ? 'number' : ''}>
              {column === 0 ? (
                <a class="whole" data-row={index} href={link(row)}>
                  {cell(row)}
                </a>
              ) : (
                cell(row)
              )}
            </span>
          ))}
        </div>
      ),
    );
  }
  return (
    <div class="table" role="table" aria-label={label} aria-rowcount={(total ?? 0) + 1}>
      <div class="heads" role="row" aria-rowindex={1} style={{ gridTemplateColumns: template }}>
        {columns.map(({ head, isNumber }) => (
          <span key={head} role="columnheader" class={isNumber ? 'number' : ''}>
            {head}
          </span>
        ))}
      </div>
      {error !== null && <p class="note bad">{error}</p>}
      {total === 0 && error === null && <p class="note">{empty}</p>}
      <div
        class="rows"
        ref={box}
        onScroll={look}
        onKeyDown={onKeyDown}
        tabIndex={0}
        role="rowgroup"
        aria-label={label}
      >
        <div class="all" style={{ height: `${(total ?? 0) * rowHeight}px` }}>
          {rows}
        </div>
      </div>
    </div>
  );
}
