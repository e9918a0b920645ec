import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { defineConfig } from 'vitest/config';

/** Two noisy cores: a slow machine must not look like a failure. `npm run test:stress` asks for more. */
const TIMEOUT_MS = Number(process.env['PORTICO_TEST_TIMEOUT_MS'] ?? 60_000);

/**
 * Tests of whole processes wait the most. They come at even distances among the others, so that there is something to
 * do meanwhile, and none of them runs alone at the end.
 */
class EvenlySpread extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isOfProcesses = ({ moduleId }: TestSpecification): boolean =>
      /\/test\/(?:e2e|attack)\//.test(moduleId);
    const others = sorted.filter((file) => !isOfProcesses(file));
    const ofProcesses = sorted.filter(isOfProcesses);
    // The shortest of the others stay for the end.
    const between = Math.floor(others.length / (ofProcesses.length + 5));
    return [...ofProcesses.flatMap((file) => [file, ...others.splice(0, between)]), ...others];
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: TIMEOUT_MS,
    hookTimeout: TIMEOUT_MS,
    // Three times the two cores: a third of the time a test waits, for a drain, a back-off or a deadline.
    maxWorkers: 6,
    // A test that asserts nothing cannot fail.
    expect: { requireAssertions: true },
    // Processes, not threads: a test may start threads, and its process has signals and an environment of its own.
    pool: 'forks',
    // Test files share six processes: to start one for each file, and load everything there, takes as long as the tests.
    isolate: false,
    // Most of what a test makes is soon garbage: a young generation with room for it is collected less often.
    execArgv: ['--min-semi-space-size=16', '--max-semi-space-size=32'],
    sequence: { sequencer: EvenlySpread },
    // Node loads the source as it is, as in the image: with Vite's loader each use of an import is the call of a getter.
    experimental: { viteModuleRunner: false, nodeLoader: false },
    globalSetup: 'test/support/bundle.ts',
  },
});
