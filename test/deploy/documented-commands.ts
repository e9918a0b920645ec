/** A command line of Portico, as a document shows it. */
export interface DocumentedCommand {
  /** Whether it goes through the plugin of kubectl. */
  readonly isPlugin: boolean;
  readonly name: string;
  readonly args: readonly string[];
  readonly text: string;
}

const PROGRAMS = new Set(['portico', './portico', 'github:portico-dev/portico']);

/** What Markdown shows as code: the lines of its blocks, continued ones as one, and the spans of its text. */
function codeIn(markdown: string): readonly string[] {
  const code: string[] = [];
  const text = markdown.replaceAll(/^ *```(\w*)\n([^]*?)^ *```$/gm, (_, language: string, block: string) => {
    if (language !== 'promql') code.push(...block.replaceAll(/\\\n\s*/g, '').split('\n'));
    return '';
  });
  return [...code, ...[...text.matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span)];
}

/** The commands of Portico in a document. Those that only name the program are left out. */
export function commandsIn(markdown: string): readonly DocumentedCommand[] {
  return codeIn(markdown)
    .flatMap((line) => line.split(/\||&&|;|(?:^|\s)#\s|\s>\s/))
    .flatMap((part) => {
      const words = [...part.trim().matchAll(/'[^']*'|"[^"]*"|\S+/g)].map(([word]) =>
        word.replaceAll(/^(['"])(.*)\1$/g, '$2'),
      );
      // As the value of a flag it is a name, such as that of a namespace.
      const at = words.findIndex((word, index) => PROGRAMS.has(word) && !words[index - 1]?.startsWith('-'));
      const [name, ...args] = words.slice(at + 1);
      if (at < 0 || name === undefined || !/^[a-z]+$/.test(name)) return [];
      return [{ isPlugin: words[at - 1] === 'kubectl', name, args, text: part.trim() }];
    });
}
