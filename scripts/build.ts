/**
 * `npm run build`: all of Portico in dist/, which needs Node and nothing else. It starts with dist/portico.js, which loads
 * of dist/chunks what a command needs: a probe nothing, a data-plane thread no API client.
 *
 *     node scripts/build.ts [outdir]
 */
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';
import { ROOT, bundle } from './bundle.ts';
import { bundlePage } from './page.ts';

const outdir = process.argv[2] ?? join(ROOT, 'dist');

await mkdir(outdir, { recursive: true });
// Their names change with what they hold.
await rm(join(outdir, 'chunks'), { recursive: true, force: true });

const { metafile } = await bundle({
  entryPoints: { portico: 'src/main.ts' },
  outdir,
  chunkNames: 'chunks/[name]-[hash]',
  minifySyntax: true,
  minifyWhitespace: true,
  // Names stay: a stack trace in a user's log should say where.
  minifyIdentifiers: false,
  legalComments: 'none',
});

const missing = Object.values(metafile.outputs)
  .flatMap((output) => output.imports)
  .filter((imported) => imported.external === true && !isBuiltin(imported.path))
  .map((imported) => imported.path);
if (missing.length > 0) {
  console.error(`build: the bundle would need these packages beside it: ${[...new Set(missing)].join(', ')}`);
  process.exit(1);
}

// The folder may lie below a package.json of another type.
await writeFile(join(outdir, 'package.json'), '{ "type": "module" }\n');
const page = await bundlePage();
await writeFile(join(outdir, 'admin-page.html'), page.html);
await writeFile(join(outdir, 'THIRD-PARTY-LICENSES.txt'), await licenses([metafile, page.metafile]));
const bytes = Object.values(metafile.outputs).reduce((sum, output) => sum + output.bytes, 0);
console.log(`${join(outdir, 'portico.js')}  ${(bytes / 1e6).toFixed(1)} MB with its chunks`);

/** The licences of the packages that are in the bundle: each asks to be passed on with copies. */
async function licenses(metafiles: readonly Metafile[]): Promise<string> {
  const inputs = metafiles.flatMap((metafile) => Object.keys(metafile.inputs));
  const folders = inputs.map((input) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0]);
  const texts: string[] = [];
  for (const folder of [...new Set(folders)].filter((name) => name !== undefined).sort()) {
    const manifest = await readFile(join(ROOT, folder, 'package.json'), 'utf8');
    const { name, version, license } = JSON.parse(manifest) as Record<string, string>;
    const file = (await readdir(join(ROOT, folder))).find((file) => /^(licen[cs]e|copying)/i.test(file));
    const text = file ? await readFile(join(ROOT, folder, file), 'utf8') : `License: ${license}\n`;
    texts.push(`${name} ${version}\n\n${text.trim()}\n`);
  }
  return texts.join(`\n${'-'.repeat(80)}\n\n`);
}
