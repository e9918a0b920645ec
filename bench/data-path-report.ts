import { checkedOut, isQuiet } from './machine.ts';
import { type Aims, type Measures, type Row, isAimed } from './rows.ts';
import { type Spread, medianOf, spreadOf } from './spread.ts';
import type { Rounds } from './turns.ts';

/** What was measured of a row. */
export interface Figures {
  readonly row: Row;
  readonly rounds: Rounds;
  /** Cores that other programs used meanwhile. */
  readonly otherCores: number;
}

const SUBJECT = 'portico';
const AIMED_AT = ['nginx', 'caddy'] as const;
const TITLES: Readonly<Record<string, string>> = {
  nginx: 'nginx',
  haproxy: 'HAProxy',
  caddy: 'Caddy',
  traefik: 'Traefik',
  envoy: 'Envoy',
  'http-proxy': 'http-proxy engine',
  portico: 'Portico',
};

/** Every subject's figures of one row, with the aims of the row. */
export function printFigures(figures: Figures): void {
  const { row, rounds, otherCores } = figures;
  console.log(`\n${row.name}${otherCores >= 0.05 ? ` (others used ${otherCores.toFixed(1)} cores)` : ''}`);
  const others = [...rounds.keys()].filter((name) => name !== SUBJECT);
  for (const [name, windows] of rounds) {
    const perSecond = medianOf(windows.map((window) => window.perSecond));
    const rate = Number.isNaN(perSecond) ? '' : `${perSecond.toFixed(perSecond < 100 ? 1 : 0)}/s`;
    const cells = [
      valueOf(figures, name),
      rate,
      name === SUBJECT ? '' : `Portico × ${told(ratio(figures, name))}`,
    ];
    console.log(name.padEnd(12) + cells.map((cell) => cell.padEnd(14)).join(''));
  }
  if (others.length > 0 && isAimed(row)) console.log(`aim ${aimText(row)}: ${result(figures)}`);
}

/** The table of docs/benchmarks.md: a row for each aim. */
export function printAims(all: readonly Figures[]): void {
  const aimed = all.filter(({ row }) => isAimed(row));
  if (aimed.length === 0) return;
  const commit = checkedOut();
  const lines = aimed.map((figures) => [
    figures.row.name,
    valueOf(figures, SUBJECT),
    ...AIMED_AT.map((other) => told(ratio(figures, other))),
    aimText(figures.row),
    result(figures),
    commit,
    isQuiet(figures.otherCores) ? 'quiet' : `busy (${figures.otherCores.toFixed(1)} cores)`,
  ]);
  printTable(['row', 'Portico', '× nginx', '× Caddy', 'aim', 'result', 'commit', 'machine'], lines);
}

/** Portico over each of the others, of all rows. */
export function printBeside(all: readonly Figures[]): void {
  const others = Object.keys(TITLES).filter(
    (name) => name !== SUBJECT && all.some(({ rounds }) => rounds.has(name)),
  );
  if (others.length === 0) return;
  printTable(
    ['Portico over', ...others.map((name) => TITLES[name] ?? name)],
    all.map((figures) => [
      figures.row.name,
      ...others.map((name) => ratio(figures, name)?.median.toFixed(2) ?? '-'),
    ]),
  );
}

/** Of Portico's values over another's, in each round; null where they are next to nothing. */
function ratio({ row, rounds }: Figures, other: string): Spread | null {
  const [ours, theirs] = [rounds.get(SUBJECT), rounds.get(other)];
  if (row.measures.kind === 'idle' || !ours || !theirs) return null;
  return spreadOf(ours.map(({ value }, index) => value / (theirs[index]?.value ?? Number.NaN)));
}

function told(spread: Spread | null): string {
  if (spread === null) return '-';
  const [lower, median, upper] = [spread.lower, spread.median, spread.upper].map((value) => value.toFixed(2));
  return lower === upper ? `${median}` : `${median} (${lower} to ${upper})`;
}

function valueOf({ row: { measures }, rounds }: Figures, name: string): string {
  const windows = rounds.get(name);
  return windows ? withUnit(measures.kind, medianOf(windows.map(({ value }) => value))) : '-';
}

function withUnit(kind: Measures['kind'], value: number): string {
  switch (kind) {
    case 'cpu':
    case 'workers':
      return value < 1_000 ? `${value.toFixed(1)} µs` : `${(value / 1_000).toFixed(1)} ms`;
    case 'p99':
      return `${value.toFixed(2)} ms`;
    case 'memory':
      return `${value.toFixed(0)} MB`;
    case 'idle':
      return `${value.toFixed(2)} %`;
  }
}

function aimText({ aims, measures }: Row): string {
  const parts = AIMED_AT.filter((name) => aims[name] !== undefined).map(
    (name) => `${aims[name]} × ${TITLES[name]}`,
  );
  if (aims.absolute !== undefined) parts.push(withUnit(measures.kind, aims.absolute));
  return `≤ ${parts.join(', ')}`;
}

/** Judged by medians as the table shows them. */
function result(figures: Figures): string {
  const { row, rounds } = figures;
  const judged = Object.entries(row.aims satisfies Aims).map(([name, limit]: [string, number]) => {
    const value =
      name === 'absolute'
        ? medianOf((rounds.get(SUBJECT) ?? []).map((window) => window.value))
        : (ratio(figures, name)?.median ?? Number.NaN);
    return Number.isNaN(value) ? 'not measured' : Number(value.toFixed(2)) <= limit ? 'met' : 'missed';
  });
  return ['missed', 'not measured', 'met'].find((each) => judged.some((one) => one === each)) ?? 'met';
}

/** As Markdown, laid out as the formatter does it. */
function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((title, column) =>
    Math.max(3, ...[head, ...rows].map((row) => (row[column] ?? title).length)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  console.log(`\n${line(head)}\n${line(widths.map((width) => '-'.repeat(width)))}`);
  for (const row of rows) console.log(line(row));
}
