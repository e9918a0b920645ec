import { readFileSync, writeFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';
import { describe, expect, it } from 'vitest';
import { type Decision, decide } from '../../src/routing/decide.ts';
import { statusOf } from '../../src/http/local-response.ts';
import { compile, listProblems } from '../../src/routing/compile/compile.ts';
import { get } from '../../src/model/sharded-map.ts';
import { applyChanges, snapshotOf } from '../../src/model/snapshot.ts';
import type { RouteTable } from '../../src/routing/table.ts';
import {
  CASES,
  CASE_SETTINGS,
  type ExpectedDecision,
  loadCases,
  parseManifests,
  splitRequest,
} from '../support/cases.ts';
import { NO_FIELDS } from '../../src/http/head-text.ts';
import { RequestEdit, type RequestView } from '../../src/http/request-view.ts';
import { policyBinder } from '../../src/policies/bound-policies.ts';
import type { Verdict } from '../../src/policies/policy.ts';
import { askPolicies } from '../../src/policies/run-policies.ts';
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
  const verdict = verdictOf(decision, request);
  if (verdict.kind === 'respond') return { status: verdict.response.status, ...found };
  if (verdict.kind === 'refuse')
    return { status: statusOf(verdict.reason), reason: verdict.reason, ...found };
  const { backend } = decision;
  const { externalName } = backend;
  const endpoints = externalName
    ? [`${externalName.host}:${externalName.port}`]
    : backend.endpoints.map(describeEndpoint);
  return { ...found, endpoints };
}

const bind = policyBinder({ now: () => CASE_SETTINGS.now });

/** What the policies of a route make of a request of 127.0.0.1 in clear text. */
function verdictOf({ route }: Decision, request: string): Verdict {
  const { method, host, target } = splitRequest(request);
  const view: RequestView = {
    ...{ method, host, target: target === '' ? '/' : target, scheme: 'http', httpVersion: '1.1' },
    ...{ clientAddress: '127.0.0.1', requestId: '' },
    connectionInfo: {
      peer: '127.0.0.1',
      trusted: false,
      clientAddress: '127.0.0.1',
      scheme: 'http',
      port: 80,
      tls: false,
    },
    value: NO_FIELDS.value,
  };
  const verdict = askPolicies(bind(route?.policies ?? null).onRequest, view, new RequestEdit(view));
  if (verdict instanceof Promise) throw new Error('a policy of a golden case waits for something');
  return verdict;
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
