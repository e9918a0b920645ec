import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { file, porticoCommand } from './subjects.ts';

/**
 * `npm run bench:audit`: CPU of `portico audit` over 5,000 Ingresses with eight annotations each, from YAML as `kubectl get -o
 * yaml` writes it. `BENCH_BASELINE=dist-of-before/portico.js` measures another build, too, by turns.
 */

const INGRESSES = 5_000;
const ROUNDS = 3;
const ANNOTATIONS = {
  'rewrite-target': '/$2',
  'use-regex': 'true',
  'proxy-body-size': '8m',
  'proxy-read-timeout': '120',
  'ssl-redirect': 'true',
  'enable-cors': 'true',
  'whitelist-source-range': '10.0.0.0/8',
  'limit-rps': '20',
};

const CLASS = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'IngressClass',
  metadata: { name: 'nginx' },
  spec: { controller: 'k8s.io/ingress-nginx' },
};

function ingress(number: number): object {
  const backend = { service: { name: 'app', port: { number: 80 } } };
  const path = { path: '/api(/|$)(.*)', pathType: 'ImplementationSpecific', backend };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: {
      name: `app-${number}`,
      namespace: `team-${number % 50}`,
      annotations: Object.fromEntries(
        Object.entries(ANNOTATIONS).map(([name, value]) => [`nginx.ingress.kubernetes.io/${name}`, value]),
      ),
    },
    spec: {
      ingressClassName: 'nginx',
      rules: [{ host: `app-${number}.example.com`, http: { paths: [path] } }],
    },
  };
}

/** CPU seconds of one run, of the process and its threads. */
function cpuSeconds(command: readonly string[], manifests: string): number {
  const [program = '', ...args] = [...command, 'audit', `--manifests=${manifests}`];
  const script = `"$@" > /dev/null; awk '{ print ($16 + $17) / 100 }' /proc/$$/stat`;
  const { stdout } = spawnSync('sh', ['-c', script, 'sh', program, ...args], { encoding: 'utf8' });
  return Number(stdout);
}

const items = [CLASS, ...Array.from({ length: INGRESSES }, (_, number) => ingress(number))];
const list = { apiVersion: 'v1', kind: 'List', items };
const manifests = file('audit.yaml', stringify(list, { lineWidth: 0 }));
const command = porticoCommand();
const baseline = process.env['BENCH_BASELINE'];
const subjects = { portico: command, ...(baseline && { baseline: [...command.slice(0, -1), baseline] }) };
const lowest = new Map<string, number>();
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, each] of Object.entries(subjects))
    lowest.set(name, Math.min(lowest.get(name) ?? Number.POSITIVE_INFINITY, cpuSeconds(each, manifests)));
}
const megabytes = (readFileSync(manifests).length / 1e6).toFixed(1);
console.log(
  `audit of ${INGRESSES} Ingresses, ${megabytes} MB of YAML; CPU seconds, the lowest of ${ROUNDS} runs`,
);
for (const [name, seconds] of lowest) console.log(`${name.padEnd(12)}${seconds.toFixed(2).padStart(8)}`);
