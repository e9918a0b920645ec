import { readFileSync, writeFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';
import { describe, expect, it } from 'vitest';
import { certificateRefusal } from '../../src/proxy/client-certificate.ts';
import { compile, listProblems } from '../../src/routing/compile/compile.ts';
import { match, normalizeHost, normalizePath, routesFor } from '../../src/routing/match.ts';
import { get } from '../../src/model/sharded-map.ts';
import { applyChanges, snapshotOf } from '../../src/model/snapshot.ts';
import type { RouteTable } from '../../src/routing/table.ts';
import { CASES, type ExpectedDecision, loadCases, parseManifests, splitRequest } from '../support/cases.ts';
import { describeEndpoint, describeProblem, describeTable, routeName } from '../support/table-text.ts';

const rewrite = process.env['PORTICO_REWRITE_GOLDENS'] === '1';

function decide(table: RouteTable, request: string): ExpectedDecision {
  const { host: hostHeader, target } = splitRequest(request);
  const host = normalizeHost(hostHeader);
  const path = normalizePath(target);
  if (host === null || path === null) return { status: 400 };
  const route = match(table, host, path);
  // As a request in clear text finds it.
  const refusal = certificateRefusal(table, routesFor(table, host), route, undefined, false);
  if (refusal !== null) return { status: refusal === 'clients-unverifiable' ? 503 : 403, reason: refusal };
  if (!route) return { status: 404 };
  const backend = get(table.backends, route.backend);
  if (!backend) throw new Error(`${route.backend} is not in the table`);
  const found = {
    route: routeName(route),
    ...(route.ingress !== '' && { ingress: route.ingress }),
    backend: backend.key,
  };
  if (backend.unavailable) return { status: 503, reason: backend.unavailable, ...found };
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
    const decisions = requests.map(({ request }) => ({ request, ...decide(compilation.table, request) }));
    if (rewrite) {
      writeFileSync(`${CASES}${name}.out.yaml`, stringify(output, { lineWidth: 0 }));
      writeFileSync(`${CASES}${name}.requests.yaml`, stringify(decisions, { lineWidth: 0 }));
    }
    expect(output).toEqual(parse(readFileSync(`${CASES}${name}.out.yaml`, 'utf8')));
    expect(decisions).toEqual(parse(readFileSync(`${CASES}${name}.requests.yaml`, 'utf8')));
  });
});
