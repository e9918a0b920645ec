import { createPod } from './pod.ts';

/** The pod of the benchmarks as a program: a port, and an address other than the loopback. */
createPod().listen(Number(process.argv[2]), process.argv[3] ?? '127.0.0.1', () =>
  process.stdout.write('listening\n'),
);
