#!/usr/bin/env node
import { readProbeArguments, runProbe } from './cli/probe.ts';

// A probe is started every few seconds, so nothing else is loaded for it. The threads run this file too.
const probe = readProbeArguments(process.argv.slice(2));
if (probe) process.exit(await runProbe(probe, (text) => process.stdout.write(text)));

const { isMainThread, workerData } = await import('node:worker_threads');
if (isMainThread) {
  const { exit, main } = await import('./cli/program.ts');
  exit(await main(process.argv, new URL(import.meta.url)));
} else {
  const { PASSWORD_WORKER } = await import('./proxy/threads/messages.ts');
  if (workerData === PASSWORD_WORKER) {
    const { servePasswords } = await import('./proxy/threads/password-worker.ts');
    servePasswords();
  } else {
    const { serve } = await import('./proxy/threads/thread.ts');
    await serve();
  }
}
