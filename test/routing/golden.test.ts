import { readFileSync, writeFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { formatted } from '../../scripts/formatted.ts';
import { type YAMLMap, type YAMLSeq, parse, parseDocument, stringify } from 'yaml';
import { describe, expect, it } from 'vitest';
import { statusOf } from '../../src/http/local-response.ts';
import { compile, listProblems } from '../../src/routing/compile/compile.ts';
import { get } from '../../src/model/sharded-map.ts';
import { applyChanges, snapshotOf } from '../../src/model/snapshot.ts';
import type { RouteTable } from '../../src/routing/table.ts';
import {
  CASES,
  type CaseRequest,
  type ExpectedDecision,
  type ExpectedFields,
  type ExpectedUpstream,
  loadCases,
  observedFields,
  observedUpstream,
  parseManifests,
} from '../support/cases.ts';
import { type GoldenExchange, goldenExchange } from '../support/golden-exchange.ts';
import { describeStatuses } from '../support/status-text.ts';
import { describeEndpoint, describeProblem, describeTable, routeName } from '../support/table-text.ts';

const rewrite = process.env['PORTICO_REWRITE_GOLDENS'] === '1';

/** What `npm run golden` works out; everything else of a request is stated by the author of the case. */
const COMPUTED = ['status', 'reason', 'route', 'ingress', 'backend', 'endpoints'] as const;

function outcome(table: RouteTable, { decision, verdict, local }: GoldenExchange): ExpectedDecision {
  const { route } = decision;
  const found = route && {
    route: routeName(route),
    ...(route.ingress !== '' && { ingress: route.ingress }),
    backend: route.backend,
  };
  if (verdict.kind === 'refuse')
    return { status: statusOf(verdict.reason), reason: verdict.reason, ...found };
  if (verdict.kind === 'respond' && local)
    return { status: local.status, ...(verdict.detail && { reason: verdict.detail }), ...found };
  if (decision.kind === 'redirect') return { status: decision.status, ...found };
  if (decision.kind === 'refuse') {
    const { reason } = decision;
    const status = statusOf(reason);
    if (reason === 'no-route' || (status === 400 && route === null)) return { status };
    const why =
      route && reason === 'backend-unavailable' ? get(table.backends, route.backend)?.unavailable : reason;
    return { status, reason: why ?? reason, ...found };
  }
  const { backend } = decision;
  const { externalName } = backend;
  const endpoints = externalName
    ? [`${externalName.host}:${externalName.port}`]
    : backend.endpoints.map(describeEndpoint);
  return { ...found, backend: backend.key, endpoints };
}

/** What there is of all that the case states. */
function observed(
  { response, upstream }: CaseRequest,
  exchange: GoldenExchange,
): { response?: ExpectedFields; upstream?: ExpectedUpstream | null } {
  return {
    ...(response && { response: observedFields(response, exchange.response) }),
    ...(upstream && { upstream: observedUpstream(upstream, exchange.upstream) }),
  };
}

/** Sets what is computed in the text of a case's requests, and leaves every other line as it is written. */
async function rewritten(text: string, computed: readonly ExpectedDecision[], file: string): Promise<string> {
  const document = parseDocument<YAMLSeq<YAMLMap>>(text);
  for (const [index, entry] of document.contents?.items.entries() ?? []) {
    const before = entry.toJSON() as ExpectedDecision;
    for (const key of COMPUTED) {
      const value = computed[index]?.[key];
      if (isDeepStrictEqual(before[key], value)) continue;
      if (value === undefined) entry.delete(key);
      else entry.set(key, document.createNode(value));
    }
  }
  return formatted(file, document.toString({ lineWidth: 0 }));
}

describe('golden cases', () => {
  const cases = loadCases();

  it('are dozens', () => {
    expect(cases.length).toBeGreaterThanOrEqual(40);
  });

  // The real process and kubectl read YAML 1.1, in which `name: off` is false.
  it('quote names that are booleans elsewhere', () => {
    const misread = cases.filter(({ manifests }) => /\bname: (?:on|off|yes|no|y|n)$/im.test(manifests));
    expect(misread.map(({ name }) => name)).toEqual([]);
  });

  it.each(cases)('$name', async (golden) => {
    const { name, before, objects, settings } = golden;
    const last = snapshotOf(before === null ? [] : parseManifests(before));
    const compilation = compile(applyChanges(last, objects), settings, compile(last, settings));
    const { table } = compilation;
    const output = {
      table: describeTable(table),
      problems: listProblems(compilation).map(describeProblem),
      ...(compilation.gateways.classes.size > 0 && { statuses: describeStatuses(compilation) }),
    };
    const requestsFile = `${CASES}${name}.requests.yaml`;
    const text = readFileSync(requestsFile, 'utf8');
    const requests = parse(text) as readonly CaseRequest[];
    const exchanges: GoldenExchange[] = [];
    for (const request of requests) exchanges.push(await goldenExchange(compilation, golden, request));
    const computed = exchanges.map((exchange) => outcome(table, exchange));
    if (rewrite) {
      writeFileSync(`${CASES}${name}.out.yaml`, stringify(output, { lineWidth: 0 }));
      writeFileSync(requestsFile, await rewritten(text, computed, requestsFile));
    }
    expect(output).toEqual(parse(readFileSync(`${CASES}${name}.out.yaml`, 'utf8')));
    const expected = parse(readFileSync(requestsFile, 'utf8')) as readonly CaseRequest[];
    expect(
      exchanges.map((exchange, index) => {
        const stated = Object.entries(expected[index] ?? {}).filter(([key]) => !isComputed(key));
        const request = Object.fromEntries(stated) as unknown as CaseRequest;
        return { ...request, ...computed[index], ...observed(request, exchange) };
      }),
    ).toEqual(expected);
  });
});

function isComputed(key: string): boolean {
  return (COMPUTED as readonly string[]).includes(key);
}
