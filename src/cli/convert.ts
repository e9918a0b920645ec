import { httpsRedirect } from '../config/compile-settings.ts';
import type { CompileConfig } from '../config/config.ts';
import { EXIT } from '../config/exit-codes.ts';
import { formatProblem } from '../model/format-problem.ts';
import { isSubdomain, isLabel } from '../model/names.ts';
import { plural } from '../model/plural.ts';
import {
  type Conversion,
  type ConversionNote,
  NOTE_LEVELS,
  type NoteLevel,
} from '../routing/convert/conversion.ts';
import { convertIngresses } from '../routing/convert/convert-ingresses.ts';
import { compileOnce } from './compile-once.ts';
import type { ConvertFailOn } from './convert-fail-on.ts';
import { manifestText, onOneLine } from './manifest-text.ts';

export interface ConvertRequest {
  /** `namespace/name` */
  readonly gatewayName: string;
  readonly gatewayClass: string;
  readonly portable: boolean;
  readonly failOn: ConvertFailOn;
}

/** `portico convert`: Ingresses as objects of Gateway API; the exit code is 1 when `failOn` says so. */
export async function runConvert(
  config: CompileConfig,
  env: NodeJS.ProcessEnv,
  { gatewayName, gatewayClass, portable, failOn }: ConvertRequest,
  write: (text: string) => void,
): Promise<number> {
  const fault = nameFault(gatewayName, gatewayClass);
  if (fault !== null) {
    console.error(`portico convert: ${fault}`);
    return EXIT.usage;
  }
  const compiled = await compileOnce(config, env, { assumeClass: true });
  if (compiled.kind !== 'compiled') {
    console.error(`portico convert: ${compiled.message}`);
    return compiled.kind === 'no-input' ? EXIT.noInput : EXIT.unavailable;
  }
  const { compilation, unread, locate } = compiled;
  for (const problem of unread)
    console.error(`portico convert: lost: ${onOneLine(formatProblem(problem, locate(problem)))}`);
  const conversion = convertIngresses(compilation, {
    gateway: gatewayName,
    gatewayClass,
    gatewayController: portable ? null : config.gatewayController,
    portable,
    httpPort: config.httpPort,
    httpsPort: config.httpsPort > 0 ? config.httpsPort : null,
    redirectsToHttps: httpsRedirect(config) !== null,
  });
  if (conversion.ingresses === 0) {
    console.error(
      'portico convert: no Ingress of the class is there; --ingress-class, or --drop-in ingress-nginx, names another one',
    );
    return unread.length > 0 ? EXIT.failure : EXIT.ok;
  }
  for (const text of conversionText(conversion)) write(text);
  const counts = countNotes(conversion, unread.length);
  for (const line of closedLines(conversion)) console.error(`portico convert: ${line}`);
  const totals = NOTE_LEVELS.flatMap((level) => (counts[level] > 0 ? `${counts[level]} ${level}` : []));
  const objects = plural(conversion.documents.length, 'object');
  console.error(
    `portico convert: ${plural(conversion.ingresses, 'Ingress', 'Ingresses')}, ${objects}${totals.length > 0 ? `; notes: ${totals.join(', ')}` : ''}`,
  );
  const failing = NOTE_LEVELS.slice(0, NOTE_LEVELS.indexOf(failOn) + 1);
  return failing.some((level) => counts[level] > 0) ? EXIT.failure : EXIT.ok;
}

function nameFault(gatewayName: string, gatewayClass: string): string | null {
  const [namespace = '', name = '', ...more] = gatewayName.split('/');
  if (!isLabel(namespace) || !isSubdomain(name) || more.length > 0)
    return `--gateway-name: '${onOneLine(gatewayName)}' is not namespace/name`;
  return isSubdomain(gatewayClass) ? null : `--gateway-class: '${onOneLine(gatewayClass)}' is not a name`;
}

/** The documents, each with its notes before it, and at the end what is in none of them. */
export function* conversionText({ documents, unplaced }: Conversion): Generator<string> {
  let separator = '';
  for (const { object, ingresses, notes } of documents) {
    const from = ingresses.length > 0 ? [`From Ingress ${listed(ingresses)}.`] : [];
    yield separator + manifestText(object, [...from, ...notes.map(noteText)]);
    separator = '---\n';
  }
  for (const [ingress, notes] of unplaced) {
    yield `# ${onOneLine(`Ingress ${ingress}:`)}\n`;
    for (const each of notes) yield `# ${onOneLine(noteText(each))}\n`;
  }
}

function noteText({ level, text }: ConversionNote): string {
  return `${level}: ${text}`;
}

const MAX_LISTED = 5;

function listed(names: readonly string[]): string {
  const more = names.length > MAX_LISTED ? ` and ${names.length - MAX_LISTED} more` : '';
  return `${names.slice(0, MAX_LISTED).join(', ')}${more}`;
}

function allNotes({
  documents,
  unplaced,
}: Conversion): readonly { readonly of: string; readonly note: ConversionNote }[] {
  return [
    ...documents.flatMap(({ object: { kind, metadata }, notes }) =>
      notes.map((note) => ({ of: `${kind} ${metadata.namespace ?? ''}/${metadata.name}`, note })),
    ),
    ...[...unplaced].flatMap(([ingress, notes]) => notes.map((note) => ({ of: `Ingress ${ingress}`, note }))),
  ];
}

/** What was not read is lost, too. */
function countNotes(conversion: Conversion, unread: number): Readonly<Record<NoteLevel, number>> {
  const counts = { closed: 0, lost: unread, differs: 0, 'needs Portico': 0 };
  for (const { note } of allNotes(conversion)) counts[note.level]++;
  return counts;
}

function closedLines(conversion: Conversion): readonly string[] {
  return allNotes(conversion)
    .filter(({ note }) => note.level === 'closed')
    .map(({ of, note }) => onOneLine(`${of}: ${noteText(note)}`));
}
