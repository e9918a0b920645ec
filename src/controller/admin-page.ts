import { readFile } from 'node:fs/promises';

/**
 * The page of the admin API as one file of HTML. It lies beside the bundle; in a checkout it is built when it is first
 * asked for. Null where neither is possible.
 */
export async function readPage(entry: URL): Promise<string | null> {
  try {
    if (!entry.pathname.endsWith('.ts')) return await readFile(new URL('./admin-page.html', entry), 'utf8');
    // Not a part of the program: only a checkout has it.
    const { buildPage } = (await import(new URL('../scripts/page.ts', entry).href)) as {
      buildPage: () => Promise<string>;
    };
    return await buildPage();
  } catch {
    return null;
  }
}
