/** The text of all metrics at one moment. */
export interface Scrape {
  readonly contentType: string;
  readonly chunks: readonly Buffer[];
  readonly bytes: number;
}

const FRESH_MS = 1_000;
/** While this many scrapes are being read, the newest of them is read again: memory before freshness. */
const MAX_HELD = 3;

/**
 * Shares scrapes between requests: one is built at a time, and serves for a second. The function that is returned calls
 * `read` with a scrape, which is kept until the promise of `read` settles.
 */
export function shareScrapes(
  build: () => Promise<Scrape>,
): (read: (scrape: Scrape) => Promise<void>) => Promise<void> {
  const readers = new Map<Scrape, number>();
  let building: Promise<Scrape> | null = null;
  let newest: { readonly scrape: Scrape; readonly staleAt: number } | null = null;

  const isReusable = (staleAt: number): boolean => performance.now() < staleAt || readers.size >= MAX_HELD;
  const dropStale = (): void => {
    if (newest && !isReusable(newest.staleAt)) newest = null;
  };
  const buildNext = async (): Promise<Scrape> => {
    const staleAt = performance.now() + FRESH_MS;
    try {
      const scrape = await build();
      newest = { scrape, staleAt };
      setTimeout(dropStale, FRESH_MS).unref();
      return scrape;
    } finally {
      building = null;
    }
  };

  return async (read) => {
    dropStale();
    const scrape = building ? await building : (newest?.scrape ?? (await (building = buildNext())));
    readers.set(scrape, (readers.get(scrape) ?? 0) + 1);
    try {
      await read(scrape);
    } finally {
      const left = (readers.get(scrape) ?? 1) - 1;
      if (left > 0) readers.set(scrape, left);
      else readers.delete(scrape);
      dropStale();
    }
  };
}
