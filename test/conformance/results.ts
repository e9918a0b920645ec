import { readFile, writeFile } from 'node:fs/promises';
import { formatted } from '../../scripts/formatted.ts';
import type { TestResult } from './suite.ts';

const BEGIN = '<!-- results -->';
const END = '<!-- end of results -->';

/** Writes how each test ended between two comments of a page. */
export async function writeResults(page: string, results: readonly TestResult[]): Promise<void> {
  const text = await readFile(page, 'utf8');
  const [before = '', rest = ''] = text.split(BEGIN);
  const [, after = ''] = rest.split(END);
  await writeFile(page, await formatted('page.md', [before, BEGIN, table(results), END, after].join('\n')));
}

/** Tests of meshes are left out: Portico is none. */
function table(results: readonly TestResult[]): string {
  const rows = results
    .filter(({ name }) => !name.startsWith('Mesh'))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, outcome }) => `| ${name} | ${outcome} |`);
  return ['', '| Test | |', '| --- | --- |', ...rows, ''].join('\n');
}
