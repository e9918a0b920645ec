/** A program with its arguments. */
export interface ShellCommand {
  /** What is set for it alone, as in `NAME=value program`. */
  readonly env: Readonly<Record<string, string>>;
  readonly words: readonly string[];
}

/** Commands of which each reads what the one before it writes. */
export interface Pipeline {
  readonly text: string;
  readonly commands: readonly ShellCommand[];
  /** The file that the output goes to. */
  readonly into: string | null;
}

/** A blank, a comment, an operator or a word. */
const TOKEN =
  /[ \t]+|#[^\n]*|(?<operator>\n|&&|\|\||[|;>])|(?<word>(?:'[^']*'|"[^"]*"|<\([^)]*\)|\\.|[^\s'"|;&>\\])+)/y;

/** What a block of `sh` runs. It knows the part of the language that documents use, and throws where there is more. */
export function pipelinesIn(block: string): readonly Pipeline[] {
  const text = block.replaceAll(/\\\n\s*/g, '');
  const pipelines: Pipeline[] = [];
  let commands: string[][] = [[]];
  let into: string | null = null;
  let start = 0;
  let isTarget = false;
  const end = (at: number): void => {
    const given = commands.filter((words) => words.length > 0).map(commandOf);
    if (given.length > 0) pipelines.push({ text: text.slice(start, at).trim(), commands: given, into });
    [commands, into, start] = [[[]], null, at + 1];
  };
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const groups = TOKEN.exec(text)?.groups;
    if (!groups) throw new Error(`not understood: ${text.slice(at)}`);
    const { operator, word } = groups;
    if (word !== undefined && isTarget) [into, isTarget] = [unquoted(word), false];
    else if (word !== undefined) commands.at(-1)?.push(word);
    else if (operator === '>') isTarget = true;
    else if (operator === '|') commands.push([]);
    else if (operator !== undefined) end(at);
  }
  end(text.length);
  return pipelines;
}

function commandOf(words: readonly string[]): ShellCommand {
  const isSet = (word: string): boolean => /^[A-Z_]+=/.test(word);
  const first = words.findIndex((word) => !isSet(word));
  const own = first < 0 ? words : words.slice(0, first);
  const env = own.map((word) => {
    const at = word.indexOf('=');
    return [word.slice(0, at), unquoted(word.slice(at + 1))] as const;
  });
  return { env: Object.fromEntries(env), words: first < 0 ? [] : words.slice(first).map(unquoted) };
}

function unquoted(word: string): string {
  return word.replaceAll(/'([^']*)'|"([^"]*)"|\\(.)/g, (_, single, double, escaped) =>
    String(single ?? double ?? escaped),
  );
}
