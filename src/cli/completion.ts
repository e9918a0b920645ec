/** A command of the command line, as far as a shell completes it. */
export interface CompletedCommand {
  readonly name: string;
  readonly description: string;
  readonly flags: readonly CompletedFlag[];
}

export interface CompletedFlag {
  /** With its dashes. */
  readonly name: string;
  /** The values it may have, where they are few; otherwise files are completed. */
  readonly choices: readonly string[];
}

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** The script that a shell reads to complete commands, flags and values. */
export function completionScript(shell: Shell, commands: readonly CompletedCommand[]): string {
  switch (shell) {
    case 'bash':
      return bash(commands);
    case 'zsh':
      return `#compdef portico\nautoload -U +X bashcompinit && bashcompinit\n${bash(commands)}`;
    case 'fish':
      return fish(commands);
  }
}

function bash(commands: readonly CompletedCommand[]): string {
  const flags = commands.map(
    ({ name, flags }) => `    ${name}) words='${flags.map((flag) => flag.name).join(' ')}' ;;`,
  );
  const values = [...valuesOf(commands)].map(([flag, choices]) => `    ${flag}) words='${choices}' ;;`);
  return `_portico() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} words=
  if [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W '${commands.map(({ name }) => name).join(' ')} --help --version' -- "$word"))
    return
  fi
  case $before in
${values.join('\n')}
  esac
  if [[ -z $words && $word == -* ]]; then
    case \${COMP_WORDS[1]} in
${flags.join('\n')}
    esac
  fi
  if [[ -n $words ]]; then COMPREPLY=($(compgen -W "$words" -- "$word")); else COMPREPLY=($(compgen -f -- "$word")); fi
}
complete -o filenames -F _portico portico
`;
}

function fish(commands: readonly CompletedCommand[]): string {
  const lines = commands.flatMap(({ name, description, flags }) => [
    `complete -c portico -n __fish_use_subcommand -f -a ${name} -d '${description.replaceAll("'", '')}'`,
    ...flags.map(({ name: flag, choices }) => {
      const values = choices.length === 0 ? '' : ` -x -a '${choices.join(' ')}'`;
      return `complete -c portico -n '__fish_seen_subcommand_from ${name}' -l ${flag.slice(2)}${values}`;
    }),
  ]);
  return `${lines.join('\n')}\n`;
}

/** The values of each flag with few of them, of whatever command. */
function valuesOf(commands: readonly CompletedCommand[]): Map<string, string> {
  const values = new Map<string, string>();
  for (const { name, choices } of commands.flatMap(({ flags }) => flags)) {
    const all = new Set([...(values.get(name)?.split(' ') ?? []), ...choices]);
    if (choices.length > 0) values.set(name, [...all].join(' '));
  }
  return values;
}
