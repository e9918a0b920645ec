/**
 * The page of the admin API as one file of HTML, from page/: `npm run build` puts it beside the bundle, and a checkout builds
 * it when it is first asked for.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Metafile, build } from 'esbuild';

const ROOT = join(import.meta.dirname, '..');

export async function buildPage(): Promise<string> {
  return (await bundlePage()).html;
}

/** The same with what it was made of. */
export async function bundlePage(): Promise<{ readonly html: string; readonly metafile: Metafile }> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: { script: 'page/main.tsx', style: 'page/style.css' },
    outdir: 'dist',
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2023',
    minify: true,
    // Nothing may end the element that it stands in.
    charset: 'ascii',
    legalComments: 'none',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    metafile: true,
    logLevel: 'warning',
  });
  const text = (name: string): string =>
    outputFiles.find(({ path }) => path.endsWith(name))?.text.trim() ?? '';
  const template = await readFile(join(ROOT, 'page/index.html'), 'utf8');
  const html = template
    .replace('/*style*/', () => text('.css'))
    .replace('/*script*/', () => text('.js').replaceAll('</script', '<\\/script'));
  return { html, metafile };
}
