#!/usr/bin/env node
import { readProbeArguments, runProbe } from './cli/probe.ts';

// A probe is started every few seconds, so nothing else is loaded for it. A data-plane thread runs this file too.
const probe = readProbeArguments(process.argv.slice(2));
if (probe) process.exit(await runProbe(probe, (text) => process.stdout.write(text)));

const { isMainThread } = await import('node:worker_threads');
if (isMainThread) {
  const { main } = await import('./cli/program.ts');
  process.exit(await main(process.argv, new URL(import.meta.url)));
} else {
  const { serve } = await import('./proxy/threads/thread.ts');
  await serve();
}
