import { describe, expect, it } from 'vitest';
import { SuiteLog } from './suite.ts';

describe('the log of the suite', () => {
  const read = (log: SuiteLog, text: string): unknown[] =>
    text
      .split('\n')
      .map((line) => log.read(line))
      .filter((result) => result !== null);

  it('gives each test with how it ended and what it logged, its subtests included', () => {
    const log = new SuiteLog();
    const results = read(
      log,
      [
        '\u0016=== RUN   TestConformance',
        '    conformance.go:1: Running conformance tests with:',
        '\u0016=== RUN   TestConformance/HTTPRouteWeight',
        '    apply.go:1: 2026-11-28T15:54:07.98Z: Creating weighted-backends HTTPRoute',
        '\u0016=== RUN   TestConformance/HTTPRouteWeight/Requests_are_spread',
        '    weight.go:1: distribution failed',
        '\u0016--- FAIL: TestConformance/HTTPRouteWeight/Requests_are_spread (2.50s)',
        '\u0016--- FAIL: TestConformance/HTTPRouteWeight (3.25s)',
        '\u0016=== RUN   TestConformance/MeshBasic',
        '    conformance.go:1: Skipping MeshBasic: suite does not support Mesh',
        '\u0016--- SKIP: TestConformance/MeshBasic (0.00s)',
        '\u0016--- FAIL: TestConformance (4.00s)',
      ].join('\n'),
    );
    expect(results).toEqual([
      {
        name: 'HTTPRouteWeight',
        outcome: 'failed',
        seconds: 3.25,
        log: [
          '    apply.go:1: Creating weighted-backends HTTPRoute',
          '    weight.go:1: distribution failed',
          '\u0016--- FAIL: TestConformance/HTTPRouteWeight/Requests_are_spread (2.50s)',
        ],
      },
      {
        name: 'MeshBasic',
        outcome: 'skipped',
        seconds: 0,
        log: ['    conformance.go:1: Skipping MeshBasic: suite does not support Mesh'],
      },
    ]);
    expect(log.besides).toEqual([
      '    conformance.go:1: Running conformance tests with:',
      '\u0016--- FAIL: TestConformance (4.00s)',
    ]);
  });

  it('keeps what tests log side by side apart, and says once what is tried again and again', () => {
    const log = new SuiteLog();
    const results = read(
      log,
      [
        '\u0016=== CONT  TestConformance/A',
        '    a.go:1: 2026-11-28T15:54:07.98Z: not ready yet',
        '\u0016=== CONT  TestConformance/B',
        '    b.go:1: something else',
        '\u0016=== NAME  TestConformance/A',
        '    a.go:1: 2026-11-28T15:54:08.08Z: not ready yet',
        '\u0016--- PASS: TestConformance/A (0.10s)',
        '\u0016--- PASS: TestConformance/B (0.20s)',
      ].join('\n'),
    );
    expect(results).toEqual([
      { name: 'A', outcome: 'passed', seconds: 0.1, log: ['    a.go:1: not ready yet'] },
      { name: 'B', outcome: 'passed', seconds: 0.2, log: ['    b.go:1: something else'] },
    ]);
  });
});
