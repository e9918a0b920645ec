/** Commands of documents that no test runs as they stand: why, and where there is one, the test of what they do. */
export const NOT_RUN: readonly {
  readonly command: RegExp;
  readonly because: string;
  readonly test?: string;
}[] = [
  { command: /^npm ci$/, because: 'it installed what runs this test', test: '.github/workflows/ci.yml' },
  { command: /^npm test$/, because: 'it is what runs' },
  { command: /^npm run (?:check|format)$/, because: '`npm test` begins with check', test: 'test/run.ts' },
  { command: /^vitest run /, because: 'it is what runs' },
  {
    command: /^npm run build$/,
    because: 'the tests begin with the same bundle',
    test: 'test/support/bundle.ts',
  },
  {
    command: /^npm start/,
    because: 'its ports are those of the documents',
    test: 'test/e2e/quickstart.test.ts',
  },
  { command: /^npm run attack$/, because: 'it takes minutes', test: 'test/attack/attack.test.ts' },
  { command: /^npm run golden$/, because: 'it writes what is compared', test: 'test/routing/golden.test.ts' },
  {
    command: /^npm run bench/,
    because: 'it takes minutes, and needs a quiet machine',
    test: 'docs/benchmarks.md',
  },
  {
    command: /^npm run (?:cluster|conformance)/,
    because: 'it takes minutes, and Go to build a Kubernetes control plane',
    test: '.github/workflows/conformance.yml',
  },
  {
    command: /^npm run release/,
    because: 'it writes to the checkout; it builds in CI',
    test: 'test/deploy/release.test.ts',
  },
  { command: /^export PATH=/, because: 'it is for the shell of the reader' },
  {
    command: /^docker /,
    because: 'there is no Docker; CI builds and starts the image',
    test: 'test/deploy/dockerfile.test.ts',
  },
  {
    command: /^(?:cosign|gh|sha256sum) /,
    because: 'no release has been published that could be verified',
    test: 'test/deploy/workflows.test.ts',
  },
  { command: /^external-dns /, because: 'it is a program of others' },
  {
    command: /^kubectl (?:-n portico-system )?create secret /,
    because: 'it changes a cluster, and nothing in it is of Portico',
  },
  { command: /^kubectl label /, because: 'it changes a cluster, and nothing in it is of Portico' },
  {
    command: /^kubectl delete .* --selector app\.kubernetes\.io\/managed-by=portico$/,
    because: 'there is no cluster; the label is that of Services of Gateways',
    test: 'test/publish/gateway-services.test.ts',
  },
  {
    command: /^kubectl .*port-forward /,
    because: 'there are no Pods; what it leads to is open here',
    test: 'test/e2e/admin.test.ts',
  },
  {
    command: /^curl --resolve /,
    because: 'it is for the certificate of a cluster',
    test: 'test/e2e/clients/programs.test.ts',
  },
];
