import { defineConfig } from 'vitest/config';

/** Two noisy cores: a slow machine must not look like a failure. `npm run test:stress` asks for more. */
const TIMEOUT_MS = Number(process.env['PORTICO_TEST_TIMEOUT_MS'] ?? 60_000);

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: TIMEOUT_MS,
    hookTimeout: TIMEOUT_MS,
    // Twice the two cores: half of what a test does is wait, for a drain, a back-off or a deadline.
    maxWorkers: 4,
    // A test that asserts nothing cannot fail.
    expect: { requireAssertions: true },
    // Processes, not threads: a test may start threads, and its process has signals and an environment of its own.
    pool: 'forks',
    // Test files share four processes: to start one for each file, and load everything there, takes as long as the tests.
    isolate: false,
    // Node loads the source as it is, as in the image: with Vite's loader each use of an import is the call of a getter.
    experimental: { viteModuleRunner: false, nodeLoader: false },
    globalSetup: 'test/support/bundle.ts',
  },
});
