import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type FormatConfig, format } from 'oxfmt';

const CONFIG = join(import.meta.dirname, '../.oxfmtrc.json');

/** A generated file as the format check wants it; the end of its name says what it is. Throws what is no such text. */
export async function formatted(name: string, text: string, more: FormatConfig = {}): Promise<string> {
  const config = JSON.parse(await readFile(CONFIG, 'utf8')) as FormatConfig;
  const { code, errors } = await format(name, text, { ...config, ...more });
  if (errors.length > 0) throw new Error(`${name}: ${errors.map(({ message }) => message).join('; ')}`);
  return code;
}
