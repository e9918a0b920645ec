import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Two noisy cores: a slow machine must not look like a failure.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    // The code under test runs as it does in production, without a transform in between.
    pool: 'forks',
  },
});
