import { readFileSync, writeFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';
import { describe, expect, it } from 'vitest';
import { decide } from '../../src/routing/decide.ts';
import { statusOf } from '../../src/http/local-response.ts';
import { compile, listProblems } from '../../src/routing/compile/compile.ts';
import { get } from '../../src/model/sharded-map.ts';
import { applyChanges, snapshotOf } from '../../src/model/snapshot.ts';
import type { RouteTable } from '../../src/routing/table.ts';
import { CASES, type ExpectedDecision, loadCases, parseManifests, splitRequest } from '../support/cases.ts';
import { describeEndpoint, describeProblem, describeTable, routeName } from '../support/table-text.ts';

const rewrite = process.env['PORTICO_REWRITE_GOLDENS'] === '1';

/** What a request in clear text gets, as requests state it. */
function outcome(table: RouteTable, request: string): ExpectedDecision {
  const { method, host, target } = splitRequest(request);
  const decision = decide(table, { method, target: target === '' ? '/' : target, host });
  const { route } = decision;
  const found = route && {
    route: routeName(route),
    ...(route.ingress !== '' && { ingress: route.ingress }),
    backend: route.backend,
  };
  if (decision.kind === 'redirect') return { status: statusOf('https-only'), ...found };
  if (decision.kind === 'refuse') {
    const { reason } = decision;
    const status = statusOf(reason);
    if (reason === 'no-route' || status === 400) return { status };
    const why =
      route && reason === 'backend-unavailable' ? get(table.backends, route.backend)?.unavailable : reason;
    return { status, reason: why ?? reason, ...found };
  }
  const { backend } = decision;
  const { externalName } = backend;
  const endpoints = externalName
    ? [`${externalName.host}:${externalName.port}`]
    : backend.endpoints.map(describeEndpoint);
  return { ...found, endpoints };
}

describe('golden cases', () => {
  const cases = loadCases();

  it('are dozens', () => {
    expect(cases.length).toBeGreaterThanOrEqual(40);
  });

  it.each(cases)('$name', ({ name, before, objects, settings, requests }) => {
    const last = snapshotOf(before === null ? [] : parseManifests(before));
    const compilation = compile(applyChanges(last, objects), settings, compile(last, settings));
    const problems = listProblems(compilation).map(describeProblem);
    const output = { table: describeTable(compilation.table), problems };
    const decisions = requests.map(({ request }) => ({ request, ...outcome(compilation.table, request) }));
    if (rewrite) {
      writeFileSync(`${CASES}${name}.out.yaml`, stringify(output, { lineWidth: 0 }));
      writeFileSync(`${CASES}${name}.requests.yaml`, stringify(decisions, { lineWidth: 0 }));
    }
    expect(output).toEqual(parse(readFileSync(`${CASES}${name}.out.yaml`, 'utf8')));
    expect(decisions).toEqual(parse(readFileSync(`${CASES}${name}.requests.yaml`, 'utf8')));
  });
});
