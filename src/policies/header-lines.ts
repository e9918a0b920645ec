import { parseTemplate } from '../http/variables.ts';
import { plural } from '../model/plural.ts';
import { quote } from '../model/untyped.ts';
import type { AnnotationReader } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { fieldFault } from './field-fault.ts';

/** A line `Name: value` of an annotation; without a value, the field is to be removed. */
export interface HeaderLine {
  readonly name: string;
  readonly value: string;
}

const MAX_FIELDS = 32;
/** What Portico says of the message, the client and its connection. */
const OWN_FIELD =
  /^(?:host|x-real-ip|x-request-id|cdn-loop|x-scheme|x-(?:original-)?forwarded-(?:for|host|port|proto|scheme|server)|forwarded)$/i;

/**
 * The lines of an annotation that sets header fields. `faultOf` says what is wrong with one, as the end of a sentence; such
 * lines are reported, however many there are as one problem, and left out. `closed` says what becomes of it where that closes.
 */
export function readHeaderLines(
  read: AnnotationReader,
  spec: AnnotationSpec,
  faultOf: (line: HeaderLine) => string | null,
  closed?: string,
): readonly HeaderLine[] {
  const found: HeaderLine[] = [];
  const faults: string[] = [];
  const lines = (read.text(spec) ?? '').split('\n').filter((line) => line.trim() !== '');
  for (const line of lines.slice(0, MAX_FIELDS)) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0)).trim();
    const field = { name, value: line.slice(colon + 1).trim() };
    const fault = faultOf(field);
    if (fault === null) found.push(field);
    else faults.push(`The line ${quote(line.trim())} is ${closed ? 'not valid' : 'ignored'}: it ${fault}.`);
  }
  const [first] = faults;
  if (first !== undefined) {
    const others =
      faults.length < 2
        ? ''
        : ` So ${faults.length === 2 ? 'is' : 'are'} ${plural(faults.length - 1, 'other line')}.`;
    read.fail(
      'AnnotationInvalid',
      spec,
      `${first}${others} Write each line as \`Name: value\`${closed ? `; ${closed}` : ''}.`,
    );
  }
  if (lines.length > MAX_FIELDS) {
    const message = `Only the first ${MAX_FIELDS} of ${lines.length} lines are used: set fewer header fields${closed ? `; ${closed}` : ''}.`;
    read.fail('AnnotationInvalid', spec, message);
  }
  return found;
}

/** Why a field of requests cannot be set or removed, as the end of a sentence; null when it can. */
export function requestFieldFault({ name, value }: HeaderLine): string | null {
  const fault = fieldFault(name, value === '' ? 'x' : value);
  if (fault !== null) return fault;
  if (OWN_FIELD.test(name)) return `sets ${name}, which Portico sets itself`;
  const parsed = parseTemplate(value);
  return parsed.kind === 'template' ? null : parsed.fault;
}
