/**
 * The part of CEL, the Common Expression Language, that the CustomResourceDefinitions of Gateway API use in their
 * `x-kubernetes-validations`: what an API server asks of an object that its schema cannot say. The expressions are
 * those of the release; objects are only what they look at.
 */
export type CelExpression =
  | { readonly op: 'literal'; readonly value: unknown }
  | { readonly op: 'list'; readonly items: readonly CelExpression[] }
  | { readonly op: 'name'; readonly name: string }
  | { readonly op: 'member'; readonly of: CelExpression; readonly name: string }
  | { readonly op: 'index'; readonly of: CelExpression; readonly at: CelExpression }
  | {
      readonly op: 'call';
      readonly name: string;
      readonly of: CelExpression | null;
      readonly args: readonly CelExpression[];
    }
  | { readonly op: 'not'; readonly of: CelExpression }
  | {
      readonly op: 'binary';
      readonly operator: string;
      readonly left: CelExpression;
      readonly right: CelExpression;
    }
  | {
      readonly op: 'if';
      readonly condition: CelExpression;
      readonly whenTrue: CelExpression;
      readonly whenFalse: CelExpression;
    };

const TOKEN =
  /\s*(?:(?<raw>r"""[^]*?""")|(?<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?<number>\d+)|(?<name>[A-Za-z_]\w*)|(?<sign>&&|\|\||[=!<>]=|[-+!<>?:.,()[\]]))/y;

interface Token {
  readonly kind: 'text' | 'number' | 'name' | 'sign';
  readonly text: string;
}

/** From the loosest to the tightest. */
const BINARY: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['==', '!=', '<', '<=', '>', '>=', 'in'],
  ['+'],
];
const CONSTANTS: Readonly<Record<string, boolean | null>> = { true: true, false: false, null: null };

/** Throws for what is not of this part of CEL. */
export function parseCel(source: string): CelExpression {
  const tokens = tokenize(source);
  let at = 0;
  const whole = conditional();
  if (at < tokens.length) throw unexpected();
  return whole;

  function unexpected(): Error {
    return new Error(`CEL: unexpected ${tokens[at]?.text ?? 'end'} in ${source}`);
  }
  function accept(sign: string): boolean {
    const token = tokens[at];
    if (token?.text !== sign || (token.kind !== 'sign' && sign !== 'in')) return false;
    at++;
    return true;
  }
  function expect(sign: string): void {
    if (!accept(sign)) throw unexpected();
  }
  function name(): string {
    const token = tokens[at++];
    if (token?.kind !== 'name') throw unexpected();
    // A field whose name is a keyword of CEL is escaped so.
    return token.text.replace(/^__(\w+)__$/, '$1');
  }
  function conditional(): CelExpression {
    const condition = binary(0);
    if (!accept('?')) return condition;
    const whenTrue = conditional();
    expect(':');
    return { op: 'if', condition, whenTrue, whenFalse: conditional() };
  }
  function binary(level: number): CelExpression {
    const operators = BINARY[level];
    if (!operators) return unary();
    let left = binary(level + 1);
    for (;;) {
      const operator = operators.find(accept);
      if (operator === undefined) return left;
      left = { op: 'binary', operator, left, right: binary(level + 1) };
    }
  }
  function unary(): CelExpression {
    return accept('!') ? { op: 'not', of: unary() } : postfix(primary());
  }
  function postfix(of: CelExpression): CelExpression {
    if (accept('.')) {
      const called = name();
      return postfix(
        accept('(') ? { op: 'call', name: called, of, args: list(')') } : { op: 'member', of, name: called },
      );
    }
    if (!accept('[')) return of;
    const index = conditional();
    expect(']');
    return postfix({ op: 'index', of, at: index });
  }
  function primary(): CelExpression {
    if (accept('(')) {
      const inner = conditional();
      expect(')');
      return inner;
    }
    if (accept('[')) return { op: 'list', items: list(']') };
    const token = tokens[at];
    if (token?.kind === 'text' || token?.kind === 'number') {
      at++;
      return { op: 'literal', value: token.kind === 'text' ? token.text : Number(token.text) };
    }
    const word = name();
    if (accept('(')) return { op: 'call', name: word, of: null, args: list(')') };
    const constant = CONSTANTS[word];
    return constant === undefined ? { op: 'name', name: word } : { op: 'literal', value: constant };
  }
  function list(end: string): CelExpression[] {
    const items: CelExpression[] = [];
    if (accept(end)) return items;
    do items.push(conditional());
    while (accept(','));
    expect(end);
    return items;
  }
}

function tokenize(source: string): readonly Token[] {
  const tokens: Token[] = [];
  const end = source.trimEnd().length;
  for (TOKEN.lastIndex = 0; TOKEN.lastIndex < end;) {
    const { raw, text, number, name, sign } = TOKEN.exec(source)?.groups ?? {};
    if (raw !== undefined) tokens.push({ kind: 'text', text: raw.slice(4, -3) });
    else if (text !== undefined) tokens.push({ kind: 'text', text: unescape(text.slice(1, -1)) });
    else if (number !== undefined) tokens.push({ kind: 'number', text: number });
    else if (name !== undefined) tokens.push({ kind: 'name', text: name });
    else if (sign !== undefined) tokens.push({ kind: 'sign', text: sign });
    else throw new Error(`CEL: cannot read ${source}`);
  }
  return tokens;
}

function unescape(text: string): string {
  return text.replace(/\\(.)/g, '$1');
}
