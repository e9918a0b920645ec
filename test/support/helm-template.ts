import { stringify } from 'yaml';

/**
 * The part of Helm's template language that our chart uses, and an error for everything else: values by their path,
 * `if`, `with`, `range`, `ne`, `quote`, `toYaml`, `nindent`, and trimming of white space to the left.
 */
export function renderTemplate(template: string, values: object): string {
  const tokens = tokenize(template);
  const [nodes, rest] = parseNodes(tokens, 0, false);
  if (rest !== tokens.length) throw new Error('{{ end }} without a beginning');
  return render(nodes, { Values: values });
}

type Token = { readonly text: string } | { readonly action: string };

type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'value'; readonly pipeline: string }
  | {
      readonly kind: 'if' | 'with' | 'range';
      readonly pipeline: string;
      readonly body: readonly Node[];
    };

function tokenize(template: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  for (const { 0: whole, 1: trim, 2: action = '', index } of template.matchAll(/\{\{(-?) (.*?) \}\}/g)) {
    const text = template.slice(at, index);
    tokens.push({ text: trim === '-' ? text.trimEnd() : text }, { action });
    at = index + whole.length;
  }
  const last = template.slice(at);
  for (const token of [...tokens, { text: last }])
    if ('text' in token && /\{\{|\}\}/.test(token.text)) throw new Error(`not understood: ${token.text}`);
  return [...tokens, { text: last }];
}

function parseNodes(tokens: readonly Token[], from: number, nested: boolean): [readonly Node[], number] {
  const nodes: Node[] = [];
  let at = from;
  for (let token = tokens[at]; token; token = tokens[++at]) {
    if ('text' in token) {
      nodes.push({ kind: 'text', text: token.text });
      continue;
    }
    if (token.action === 'end') {
      if (!nested) break;
      return [nodes, at];
    }
    const [, kind, pipeline = ''] = /^(if|with|range) (.+)$/.exec(token.action) ?? [];
    if (kind === 'if' || kind === 'with' || kind === 'range') {
      const [body, end] = parseNodes(tokens, at + 1, true);
      nodes.push({ kind, pipeline, body });
      at = end;
    } else nodes.push({ kind: 'value', pipeline: token.action });
  }
  if (nested) throw new Error('{{ end }} is missing');
  return [nodes, at];
}

function render(nodes: readonly Node[], dot: unknown): string {
  return nodes
    .map((node) => {
      switch (node.kind) {
        case 'text':
          return node.text;
        case 'value':
          return printed(evaluate(node.pipeline, dot));
        case 'if':
          return holds(evaluate(node.pipeline, dot)) ? render(node.body, dot) : '';
        case 'with': {
          const value = evaluate(node.pipeline, dot);
          return holds(value) ? render(node.body, value) : '';
        }
        case 'range': {
          const items = evaluate(node.pipeline, dot);
          if (!Array.isArray(items)) throw new Error(`range ${node.pipeline}: no list`);
          return items.map((item) => render(node.body, item)).join('');
        }
      }
    })
    .join('');
}

function evaluate(pipeline: string, dot: unknown): unknown {
  const [first = '', ...rest] = pipeline.split(' | ');
  return rest.reduce((piped: unknown, command) => call(command, dot, [piped]), call(first, dot, []));
}

function call(command: string, dot: unknown, piped: readonly unknown[]): unknown {
  const [name = '', ...words] = command.split(' ');
  if (name.startsWith('.') && words.length + piped.length === 0) return operand(name, dot);
  const [a, b, ...more] = [...words.map((word) => operand(word, dot)), ...piped];
  if (more.length > 0) throw new Error(`${command}: too many arguments`);
  switch (name) {
    case 'ne':
      return a !== b;
    case 'quote':
      return JSON.stringify(printed(a));
    case 'toYaml':
      return stringify(a, { sortMapEntries: true, lineWidth: 0 }).trimEnd();
    case 'nindent':
      return `\n${' '.repeat(Number(a))}${printed(b).replaceAll('\n', `\n${' '.repeat(Number(a))}`)}`;
    default:
      throw new Error(`${name} is not understood`);
  }
}

/** A literal, `.`, or a path that must exist. */
function operand(word: string, dot: unknown): unknown {
  if (/^(\d+|"[^"\\]*")$/.test(word)) return JSON.parse(word);
  if (word === '.') return dot;
  if (!/^(\.[A-Za-z]+)+$/.test(word)) throw new Error(`${word} is not understood`);
  return word
    .slice(1)
    .split('.')
    .reduce((value: unknown, key) => {
      if (typeof value !== 'object' || value === null || !(key in value)) throw new Error(`no value ${word}`);
      return (value as Record<string, unknown>)[key];
    }, dot);
}

function printed(value: unknown): string {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return String(value);
  throw new Error(`${JSON.stringify(value)} cannot be printed`);
}

/** What Go templates take for true. */
function holds(value: unknown): boolean {
  return typeof value === 'object' && value !== null ? Object.keys(value).length > 0 : Boolean(value);
}
