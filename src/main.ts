#!/usr/bin/env node
import { isMainThread } from 'node:worker_threads';

// The bundle is one file, and a data-plane thread runs the same one.
if (isMainThread) {
  const { main } = await import('./cli/program.ts');
  process.exit(await main(process.argv, new URL(import.meta.url)));
} else {
  const { serve } = await import('./proxy/threads/thread.ts');
  await serve();
}
