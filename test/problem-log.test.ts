import { type Logger, pino } from 'pino';
import { expect, it } from 'vitest';
import { createProblemLog } from '../src/controller/problem-log.ts';
import type { Problem } from '../src/model/problem.ts';

/** A real logger that writes `level message`. */
function listen(): { logger: Logger; said: string[] } {
  const said: string[] = [];
  const logger = pino(
    { base: null },
    {
      write(line) {
        const { level, msg } = JSON.parse(line) as { level: number; msg: string };
        said.push(`${pino.levels.labels[level]} ${msg}`);
      },
    },
  );
  return { logger, said };
}

function aProblem(name: string, severity: Problem['severity'] = 'error'): Problem {
  return {
    code: 'ServiceNotFound',
    severity,
    object: { kind: 'Ingress', namespace: 'shop', name },
    field: 'spec.defaultBackend',
    message: 'there is no such Service.',
  };
}

it('says a problem when it comes, at its place and level, and once more when it is gone', () => {
  const { logger, said } = listen();
  const log = createProblemLog(logger, ({ object }) =>
    object.name === 'a' ? { file: 'shop.yaml', line: 3, column: 7 } : null,
  );
  const [a, b, c] = [aProblem('a'), aProblem('b', 'warning'), aProblem('c', 'info')];
  log.changed([
    { before: [], after: [a] },
    { before: [], after: [b, c] },
  ]);
  expect(said.splice(0)).toEqual([
    'error shop.yaml:3:7: Ingress shop/a spec.defaultBackend: there is no such Service. (ServiceNotFound)',
    'warn Ingress shop/b spec.defaultBackend: there is no such Service. (ServiceNotFound)',
    'info Ingress shop/c spec.defaultBackend: there is no such Service. (ServiceNotFound)',
  ]);
  log.changed([
    { before: [a], after: [] },
    { before: [b, c], after: [c] },
  ]);
  expect(said).toEqual([
    'info resolved: Ingress shop/a spec.defaultBackend (ServiceNotFound)',
    'info resolved: Ingress shop/b spec.defaultBackend (ServiceNotFound)',
  ]);
});

it('says nothing of a problem that stays, even as another value', () => {
  const { logger, said } = listen();
  const log = createProblemLog(logger, () => null);
  log.changed([{ before: [aProblem('a'), aProblem('b')], after: [aProblem('b'), aProblem('a')] }]);
  log.changed([]);
  expect(said).toEqual([]);
});

it('a problem whose words change is said again, and is not resolved', () => {
  const { logger, said } = listen();
  const before = aProblem('a');
  createProblemLog(logger, () => null).changed([
    { before: [before], after: [{ ...before, message: 'the Service has no such port.' }] },
  ]);
  expect(said).toEqual([expect.stringMatching(/^error Ingress shop\/a .*no such port/)]);
});

it('spells out twenty of a flood and counts the rest', () => {
  const { logger, said } = listen();
  const log = createProblemLog(logger, () => null);
  const many = Array.from({ length: 1_000 }, (_, index) => aProblem(`web-${index}`));
  log.changed(many.map((each) => ({ before: [], after: [each] })));
  expect(said).toHaveLength(21);
  expect(said[20]).toBe('warn and 980 more; portico check lists them all');
  log.changed(many.slice(0, 20).map((each) => ({ before: [each], after: [] })));
  expect(said).toHaveLength(41);
});
