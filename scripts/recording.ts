/**
 * `node scripts/recording.ts` writes docs/images/first-minute.svg: a terminal in which Portico finds a mistake, explains a
 * URL and takes a change while it serves. The commands run, and what they print is what is shown.
 */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const ROOT = join(import.meta.dirname, '..');
const TARGET = join(ROOT, 'docs/images/first-minute.svg');
const COLUMNS = 96;
const LINE_HEIGHT = 19;
const CHARACTER_WIDTH = 8.43;
/** Seconds: between the characters that are typed, before what a command prints, and after it. */
const TYPING = 0.035;
const BEFORE_OUTPUT = 0.5;
const AFTER_OUTPUT = 1.6;

interface Shown {
  readonly text: string;
  readonly kind: 'command' | 'output' | 'comment';
  /** Seconds from the start. */
  readonly at: number;
}

const folder = mkdtempSync(join(tmpdir(), 'portico-recording-'));
cpSync(join(ROOT, 'examples/quickstart'), join(folder, 'shop'), { recursive: true });
const shop = join(folder, 'shop/shop.yaml');
const shown: Shown[] = [];
let clock = 0.5;

function comment(text: string): void {
  shown.push({ text: `# ${text}`, kind: 'comment', at: clock });
  clock += 0.9;
}

function command(text: string): void {
  shown.push({ text: `$ ${text}`, kind: 'command', at: clock });
  clock += text.length * TYPING + BEFORE_OUTPUT;
}

function output(text: string): void {
  for (const line of text.trimEnd().split('\n').flatMap(wrapped)) {
    shown.push({ text: line, kind: 'output', at: clock });
    clock += 0.06;
  }
  clock += AFTER_OUTPUT;
}

function wrapped(line: string): readonly string[] {
  const lines: string[] = [];
  let rest = line;
  while (rest.length > COLUMNS) {
    const space = rest.lastIndexOf(' ', COLUMNS);
    const at = space > 20 ? space : COLUMNS;
    lines.push(rest.slice(0, at));
    rest = `    ${rest.slice(at).trimStart()}`;
  }
  return [...lines, rest];
}

function edit(from: string, to: string): void {
  writeFileSync(shop, readFileSync(shop, 'utf8').replace(from, to));
}

function portico(...args: readonly string[]): string {
  const ran = spawnSync(join(ROOT, 'portico'), args, { cwd: folder, encoding: 'utf8' });
  return `${ran.stdout}${ran.stderr}`;
}

try {
  edit('- host: shop.localhost', '- hosts: shop.localhost');
  comment('A typing error: "hosts" for "host"');
  command('portico check --manifests shop');
  output(portico('check', '--manifests', 'shop'));
  edit('- hosts: shop.localhost', '- host: shop.localhost');

  comment('Where does a URL go, and why?');
  command('portico explain --manifests shop http://shop.localhost/cart');
  output(portico('explain', '--manifests', 'shop', 'http://shop.localhost/cart'));

  comment('A change while it serves: no reload, no connection closed');
  command('portico run --manifests shop --http-port 8080 &');
  const flags =
    '--manifests shop --bind-address 127.0.0.1 --http-port 18980 --status-port 0 --workers 1 --log-format text';
  const served = spawn(join(ROOT, 'portico'), ['run', ...flags.split(' ')], { cwd: folder });
  let log = '';
  served.stdout.setEncoding('utf8').on('data', (text: string) => (log += text));
  const says = async (pattern: RegExp): Promise<string> => {
    for (;;) {
      const line = log.split('\n').find((each) => pattern.test(each));
      if (line !== undefined)
        return line.slice(line.indexOf(' ') + 1).replace('port 18980 of 127.0.0.1', 'port 8080');
      await delay(50);
    }
  };
  output(await says(/ready: /));
  command("sed -i 's|path: /cart|path: /basket|' shop/shop.yaml");
  edit('path: /cart', 'path: /basket');
  output(await says(/routes? \(/));
  served.kill('SIGTERM');
} finally {
  rmSync(folder, { recursive: true, force: true });
}

const COLORS = { command: '#e2e8f0', output: '#cbd5e1', comment: '#94a3b8' } as const;
const height = shown.length * LINE_HEIGHT + 56;
const width = Math.ceil((COLUMNS + 2) * CHARACTER_WIDTH);
const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const color = ({ text, kind }: Shown): string =>
  /^(?:error|ERROR)/.test(text) ? '#fca5a5' : text.startsWith('INFO') ? '#86efac' : COLORS[kind];
const lines = shown.map((each, index) => {
  const y = 50 + index * LINE_HEIGHT;
  const appear = `<set attributeName="opacity" to="1" begin="${each.at.toFixed(2)}s" fill="freeze"/>`;
  const weight = each.kind === 'command' ? ' font-weight="600"' : '';
  return `  <text x="16" y="${y}" fill="${color(each)}"${weight} opacity="0" xml:space="preserve">${escaped(each.text)}${appear}</text>`;
});
const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="portico check names a misspelt field, portico explain says where a URL goes, portico run takes a change" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14">
  <!-- Written by \`node scripts/recording.ts\`. -->
  <rect width="${width}" height="${height}" rx="10" fill="#0f172a"/>
  <circle cx="20" cy="18" r="6" fill="#f87171"/><circle cx="40" cy="18" r="6" fill="#fbbf24"/><circle cx="60" cy="18" r="6" fill="#4ade80"/>
${lines.join('\n')}
</svg>
`;
writeFileSync(TARGET, svg);
console.log(`${TARGET}: ${shown.length} lines, ${clock.toFixed(0)} s`);
