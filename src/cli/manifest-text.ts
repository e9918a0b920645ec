import { isObject } from '../model/untyped.ts';

/**
 * One document of YAML, with comments before it. Whatever a text says, it stays a text: what is not a plain word is quoted
 * as in JSON, with everything escaped that any reader could take for the end of a line, and a comment is one line.
 */
export function manifestText(object: object, comments: readonly string[]): string {
  const lines = comments.map((comment) => `# ${onOneLine(comment)}`);
  return `${[...lines, ...blockOf(object, 0)].join('\n')}\n`;
}

/** Without anything that ends a line, moves a cursor, or changes the direction of writing. */
export function onOneLine(text: string): string {
  return text.replace(UNSAFE, '\uFFFD');
}

/** Also NEL and the separators of lines, which end a line in YAML 1.1, lone surrogates, and a byte order mark. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const ESCAPED = /[^\x20-\x7e]/g;
/** A word that no version of YAML takes for anything but text. */
const WORD = /^[A-Za-z][A-Za-z0-9]*(?:[./-][A-Za-z0-9]+)*$/;
const RESERVED = /^(?:true|false|yes|no|y|n|on|off|null|nan|inf)$/i;
const INDENT = '  ';

function blockOf(value: unknown, depth: number): readonly string[] {
  const indent = INDENT.repeat(depth);
  if (Array.isArray(value)) {
    return value.flatMap((item: unknown) => {
      const [first = '', ...rest] = isBlock(item) ? blockOf(item, depth + 1) : [scalarOf(item)];
      return [`${indent}- ${first.trimStart()}`, ...rest];
    });
  }
  if (!isObject(value)) return [`${indent}${scalarOf(value)}`];
  return Object.entries(value).flatMap(([name, each]) => {
    if (each === undefined) return [];
    const key = `${indent}${textOf(name)}:`;
    return isBlock(each) ? [key, ...blockOf(each, depth + 1)] : [`${key} ${scalarOf(each)}`];
  });
}

function isBlock(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  return isObject(value) && Object.keys(value).length > 0;
}

function scalarOf(value: unknown): string {
  if (typeof value === 'string') return textOf(value);
  if (Array.isArray(value)) return '[]';
  return isObject(value) ? '{}' : JSON.stringify(value);
}

function textOf(text: string): string {
  if (WORD.test(text) && !RESERVED.test(text)) return text;
  return JSON.stringify(text).replace(
    ESCAPED,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
