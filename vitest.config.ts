import { defineConfig } from 'vitest/config';

/** Two noisy cores: a slow machine must not look like a failure. `npm run test:stress` asks for more. */
const TIMEOUT_MS = Number(process.env['PORTICO_TEST_TIMEOUT_MS'] ?? 60_000);

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: TIMEOUT_MS,
    hookTimeout: TIMEOUT_MS,
    maxWorkers: 2,
    // A test that asserts nothing cannot fail.
    expect: { requireAssertions: true },
    // The code under test runs as it does in production, without a transform in between.
    pool: 'forks',
  },
});
