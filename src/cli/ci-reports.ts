import { type SourceLocation, formatProblem, problemSubject } from '../model/format-problem.ts';
import type { Severity } from '../model/problem.ts';
import { VERSION } from '../version.ts';
import type { CheckResult, CheckedProblem } from './check-result.ts';

/** Annotations of GitHub Actions: workflow commands, one a line. */
export function githubReport({ problems }: CheckResult): string {
  const lines = problems.map((each) => {
    const { place, code } = each;
    const properties = [
      // A stream has no file to annotate.
      ...(place && !place.file.startsWith('<')
        ? [`file=${property(place.file)}`, `line=${place.line}`, `col=${place.column}`]
        : []),
      `title=${property(code)}`,
    ];
    return `::${GITHUB_COMMANDS[each.severity]} ${properties.join(',')}::${data(formatProblem(each, null))}\n`;
  });
  return lines.join('');
}

const GITHUB_COMMANDS: Readonly<Record<Severity, string>> = {
  error: 'error',
  warning: 'warning',
  info: 'notice',
};

function data(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

function property(text: string): string {
  return data(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}

const TROUBLESHOOT = 'https://github.com/portico-dev/portico/blob/main/docs/troubleshoot.md';

/** SARIF 2.1.0, as code scanning of GitHub and GitLab reads it. */
export function sarifReport({ problems }: CheckResult): string {
  const rules = [...new Set(problems.map(({ code }) => code))].toSorted();
  const results = problems.map((each) => ({
    ruleId: each.code,
    ruleIndex: rules.indexOf(each.code),
    level: SARIF_LEVELS[each.severity],
    message: { text: formatProblem(each, null) },
    locations: [
      {
        ...(each.place && { physicalLocation: physicalLocation(each.place) }),
        logicalLocations: [{ fullyQualifiedName: problemSubject(each) }],
      },
    ],
  }));
  const driver = {
    name: 'portico check',
    version: VERSION,
    informationUri: TROUBLESHOOT,
    rules: rules.map((id) => ({ id, helpUri: `${TROUBLESHOOT}#every-problem-by-its-reason` })),
  };
  const log = {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [{ tool: { driver }, columnKind: 'utf16CodeUnits', results }],
  };
  return `${JSON.stringify(log, null, 2)}\n`;
}

const SARIF_LEVELS: Readonly<Record<Severity, string>> = { error: 'error', warning: 'warning', info: 'note' };

function physicalLocation({ file, line, column }: SourceLocation) {
  return {
    artifactLocation: { uri: encodeURI(file) },
    region: { startLine: line, startColumn: column },
  };
}

/** JUnit XML: a test case for each object with a problem, which fails if one of its problems fails the check. */
export function junitReport({ problems, fails }: CheckResult): string {
  const byObject = [...Map.groupBy(problems, (each) => problemSubject({ ...each, field: '' }))];
  const cases = byObject.map(([name, group]) => {
    const file = group.find(({ place }) => place)?.place?.file;
    const failing = group.filter(fails);
    const others = group.filter((each) => !fails(each));
    const failure =
      failing.length === 0
        ? ''
        : `<failure message="${xml(codesOf(failing))}">${xml(linesOf(failing))}</failure>`;
    const output = others.length === 0 ? '' : `<system-out>${xml(linesOf(others))}</system-out>`;
    return `    <testcase classname="portico check" name="${xml(name)}"${file === undefined ? '' : ` file="${xml(file)}"`}>${failure}${output}</testcase>`;
  });
  // A report without a test case is an error for many readers.
  if (cases.length === 0)
    cases.push('    <testcase classname="portico check" name="all objects"></testcase>');
  const failures = byObject.filter(([, group]) => group.some(fails)).length;
  const suite = `<testsuite name="portico check" tests="${cases.length}" failures="${failures}" errors="0">`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<testsuites>',
    `  ${suite}`,
    ...cases,
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

function codesOf(problems: readonly CheckedProblem[]): string {
  return [...new Set(problems.map(({ code }) => code))].join(', ');
}

function linesOf(problems: readonly CheckedProblem[]): string {
  return problems.map((each) => `${each.severity}: ${formatProblem(each, each.place)}`).join('\n');
}

const XML_ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
};

function xml(text: string): string {
  return text
    .replaceAll(/[&<>"]/g, (char) => XML_ESCAPES[char] ?? char)
    .replaceAll(/[^\t\n\r\x20-\uFFFD]/gu, '\uFFFD');
}
