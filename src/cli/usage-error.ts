/** What commander says of a command line, and how Portico says it. */
const WORDINGS: readonly (readonly [pattern: RegExp, ours: string])[] = [
  [/^error: /, ''],
  [/\n\(Did you mean (?:one of )?(.*)\?\)$/, '; did you mean $1?'],
  [/^unknown option '(.*?)'/, 'unknown flag $1'],
  [
    /^option '(--[\w-]+).*?' argument '(.*)' is invalid\. Allowed choices are (.*)\.$/s,
    "$1: '$2' is not valid; use $3",
  ],
  [
    /^command-argument value '(.*)' is invalid for argument '.*'\. Allowed choices are (.*)\.$/s,
    "'$1' is not valid; use $2",
  ],
  [/(; use (?:[\w-]+, )*[\w-]+), ([\w-]+)$/, '$1 or $2'],
  [/^missing required argument '(.*)'$/, '<$1> is missing'],
  [/^required option '(.*)' not specified$/, '$1 is missing'],
  [/^option '(?:-\w, )?(.*?)(?: <.*>)?' argument missing$/, '$1 needs a value'],
  [/^too many arguments for .* but got \d+: (.*)\.$/s, 'unexpected argument: $1'],
];

/** The error of commander as one line: `unknown flag --foo; did you mean --from?` */
export function usageError(message: string): string {
  return WORDINGS.reduce((text, [pattern, ours]) => text.replace(pattern, ours), message);
}
