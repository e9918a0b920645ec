import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type {
  V1DaemonSet,
  V1Deployment,
  V1Job,
  V1NetworkPolicy,
  V1PodDisruptionBudget,
  V1PodTemplateSpec,
  V1Service,
} from '@kubernetes/client-node';
import { describe, expect, test } from 'vitest';
import { resolveConfig } from '../../src/config/config.ts';
import { VERSION } from '../../src/version.ts';
import {
  type Manifest,
  PATCH,
  ROOT,
  daemonSetPatch,
  deployManifests,
  theOnly,
  variantFiles,
  variantManifests,
} from './manifests.ts';
import { deviations } from './schema.ts';

const all = variantFiles().flatMap((file) => variantManifests(file));
const base = theOnly<V1DaemonSet>('DaemonSet');

/** The object of this kind and name in deploy/. */
function installed({ object: { kind, metadata } }: Manifest): object | undefined {
  const { name, namespace } = metadata as { name: string; namespace?: string };
  return deployManifests().find(({ object }) => {
    const other = object['metadata'] as { name: string; namespace?: string };
    return object.kind === kind && other.name === name && other.namespace === namespace;
  })?.object;
}

function containers(object: object): readonly { readonly image?: string; readonly command?: string[] }[] {
  const { template } = (object as { spec?: { template?: V1PodTemplateSpec } }).spec ?? {};
  return [...(template?.spec?.containers ?? []), ...(template?.spec?.initContainers ?? [])];
}

/** As the API server merges a patch: objects by field, containers by name; other lists are replaced. */
function strategicMerge(into: unknown, patch: unknown): unknown {
  if (Array.isArray(patch)) {
    const merged = Array.isArray(into) ? [...(into as unknown[])] : [];
    if (!patch.every(isNamed)) return patch;
    for (const item of patch) {
      const at = merged.findIndex((each) => isNamed(each) && each.name === item.name);
      merged.splice(at < 0 ? merged.length : at, 1, strategicMerge(merged[at], item));
    }
    return merged;
  }
  if (typeof patch !== 'object' || patch === null) return patch;
  const fields = Object.entries(patch).map(([key, value]) => [
    key,
    strategicMerge((into as Record<string, unknown> | undefined)?.[key], value),
  ]);
  return { ...(into as object | undefined), ...Object.fromEntries(fields) };
}

function isNamed(item: unknown): item is { readonly name: string } {
  return typeof item === 'object' && item !== null && 'name' in item;
}

describe('deploy/variants', () => {
  test.each(
    all
      .filter(({ object }) => object.kind !== 'PodMonitor')
      .map(({ file, object }) => [file, object.kind, object] as const),
  )('%s: %s has only fields that the Kubernetes API has, of its types', (_, kind, object) => {
    expect(deviations(object, `V1${kind}`, kind)).toEqual([]);
  });

  test.each(variantFiles())('%s says first what to apply it after, or instead of', (file) => {
    const [line] = readFileSync(join(ROOT, 'deploy/variants', file), 'utf8').split('\n');
    expect(line).toMatch(/^# Apply this (after|instead of) \S/);
    // `apply` goes through a file from top to bottom.
    const kinds = variantManifests(file).map(({ object }) => object.kind);
    if (line?.includes('instead of')) expect(kinds.slice(0, 2)).toEqual(['Namespace', 'ServiceAccount']);
  });

  test('runs the image of the DaemonSet everywhere', () => {
    const images = new Set(
      [base, ...all.map(({ object }) => object)].flatMap(containers).map((c) => c.image),
    );
    expect([...images]).toEqual([`ghcr.io/portico-dev/portico:${VERSION}`]);
  });
});

describe('namespaced.yaml', () => {
  const manifests = variantManifests('namespaced.yaml');

  test('is deploy/ but for the rights and --watch-namespace', () => {
    const daemonSet = theOnly<V1DaemonSet>('DaemonSet', manifests);
    const container = daemonSet.spec?.template.spec?.containers[0];
    const watched = container?.args?.filter((arg) => arg.startsWith('--watch-namespace=')) ?? [];
    const args = container?.args?.filter((arg) => !watched.includes(arg));
    const plain = structuredClone(daemonSet);
    Object.assign(plain.spec?.template.spec?.containers[0] ?? {}, { args });
    expect(plain).toEqual(base);
    const namespaces = manifests
      .filter(({ object }) => object.kind === 'Role')
      .map(({ object }) => (object['metadata'] as { namespace: string }).namespace);
    expect(watched).toEqual(['--watch-namespace=default']);
    expect(namespaces).toEqual(['default', 'portico-system']);
    for (const manifest of manifests.slice(0, 3)) expect(manifest.object).toEqual(installed(manifest));
  });
});

describe('deployment.yaml', () => {
  const manifests = variantManifests('deployment.yaml');
  const deployment = theOnly<V1Deployment>('Deployment', manifests);
  const service = theOnly<V1Service>('Service', manifests);
  const pod = deployment.spec?.template.spec;
  const [container] = pod?.containers ?? [];
  const values = (container?.args ?? [])
    .slice(1)
    .map((flag) => /^--([a-z-]+)=(.*)$/.exec(flag)?.slice(1) ?? []);
  const resolved = resolveConfig(Object.fromEntries(values) as Record<string, string>, {});
  const config = resolved.kind === 'invalid' ? undefined : resolved.config;

  test('runs with flags that exist', () => {
    expect(resolved).toMatchObject({ config: expect.anything() });
    expect(config?.publish.service).toBe(`${service.metadata?.namespace}/${service.metadata?.name}`);
  });

  test('fits the restricted level of Pod Security, which its namespace enforces', () => {
    const [namespace] = manifests;
    expect(namespace?.object['metadata']).toMatchObject({
      labels: { 'pod-security.kubernetes.io/enforce': 'restricted' },
    });
    const template = base.spec?.template.spec;
    expect(pod?.securityContext).toEqual(template?.securityContext);
    expect(container?.securityContext).toEqual(template?.containers[0]?.securityContext);
    expect([pod?.hostNetwork, pod?.hostPID, pod?.hostIPC]).toEqual([undefined, undefined, undefined]);
    expect(pod?.volumes).toEqual([{ name: 'run', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } }]);
    expect(container?.ports?.filter(({ hostPort }) => hostPort !== undefined)).toEqual([]);
  });

  test('what it shares with deploy/ is the same', () => {
    for (const manifest of manifests.filter(({ object }) =>
      /^(IngressClass|.*Binding|ServiceAccount)$/.test(object.kind),
    ))
      expect(manifest.object).toEqual(installed(manifest));
    const environment = base.spec?.template.spec?.containers[0]?.env;
    expect(container?.env).toEqual(environment);
  });

  test('every port of the Service leads to one that is listened on, without a second hop', () => {
    expect(service.spec).toMatchObject({ type: 'LoadBalancer', externalTrafficPolicy: 'Local' });
    expect(service.spec?.selector).toEqual(deployment.spec?.selector.matchLabels);
    const listened = Object.fromEntries(
      (container?.ports ?? []).map(({ name, containerPort }) => [name, containerPort]),
    );
    expect(listened).toMatchObject({
      http: config?.httpPort,
      https: config?.httpsPort,
      status: config?.statusPort,
    });
    for (const { targetPort } of service.spec?.ports ?? [])
      expect(listened).toHaveProperty([`${targetPort}`]);
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'] as const)
      expect(container?.[probe]?.httpGet?.port).toBe('status');
  });

  test('listens until nobody sends any more, and has the time to drain after that', () => {
    const waitSeconds = container?.lifecycle?.preStop?.sleep?.seconds ?? 0;
    const drainSeconds = (config?.drainTimeoutMs ?? Infinity) / 1000;
    expect(waitSeconds).toBeGreaterThan(0);
    expect(pod?.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(waitSeconds + drainSeconds + 10);
  });

  test('the PodDisruptionBudget and the NetworkPolicy are about its Pods, and leave the way for requests open', () => {
    const labels = deployment.spec?.selector.matchLabels;
    const budget = theOnly<V1PodDisruptionBudget>(
      'PodDisruptionBudget',
      variantManifests('deployment-pdb.yaml'),
    );
    expect(budget.spec?.selector?.matchLabels).toEqual(labels);
    // A budget that no eviction can meet stops every drain of a node.
    expect(budget.spec?.maxUnavailable).toBeLessThan(deployment.spec?.replicas ?? 0);
    const policy = theOnly<V1NetworkPolicy>(
      'NetworkPolicy',
      variantManifests('deployment-networkpolicy.yaml'),
    );
    expect(policy.spec?.podSelector?.matchLabels).toEqual(labels);
    const open = (policy.spec?.ingress ?? [])
      .filter((rule) => !('from' in rule))
      .flatMap(({ ports = [] }) => ports.map(({ port }) => port));
    expect(open).toEqual(
      expect.arrayContaining((service.spec?.ports ?? []).map(({ targetPort }) => targetPort)),
    );
    expect(open).not.toContain('status');
  });
});

describe('tcp-migrate-req.yaml', () => {
  const patch = daemonSetPatch();
  const patched = strategicMerge(base, patch) as V1DaemonSet;

  test('has no kind, so that `kubectl apply` refuses it, and its first lines say the command', () => {
    expect(Object.keys(patch)).toEqual(['spec']);
    const text = readFileSync(join(ROOT, 'deploy/variants', PATCH), 'utf8');
    const command = `kubectl -n ${base.metadata?.namespace} patch daemonset/${base.metadata?.name} --patch-file deploy/variants/${PATCH}`;
    expect(text).toContain(`#   ${command}\n`);
    for (const page of ['docs/install.md', 'docs/upgrade.md']) {
      expect(readFileSync(join(ROOT, page), 'utf8'), page).toContain(command);
    }
  });

  test('adds an init container to the DaemonSet, and touches nothing else', () => {
    expect(deviations(patched, 'V1DaemonSet', 'DaemonSet')).toEqual([]);
    const plain = structuredClone(patched);
    const { initContainers } = plain.spec?.template.spec ?? {};
    delete plain.spec?.template.spec?.initContainers;
    expect(plain).toEqual(base);
    expect(initContainers).toEqual(patch.spec?.template.spec?.initContainers);
    expect(containers(patched).map(({ image }) => image)).toEqual(
      containers(patched).map(() => `ghcr.io/portico-dev/portico:${VERSION}`),
    );
  });

  test('patched again it changes nothing, and with another image only that', () => {
    expect(strategicMerge(patched, patch)).toEqual(patched);
    const other = { name: 'tcp-migrate-req', image: 'registry.example.com/portico:0.2.0' };
    const again = strategicMerge(patched, {
      spec: { template: { spec: { initContainers: [other] } } },
    }) as V1DaemonSet;
    const [before] = patched.spec?.template.spec?.initContainers ?? [];
    expect(again.spec?.template.spec?.initContainers).toEqual([{ ...before, ...other }]);
  });

  test('its program writes the sysctl, and does not fail where there is none', () => {
    const [container] = patch.spec?.template.spec?.initContainers ?? [];
    const [node, flag, program = ''] = container?.command ?? [];
    expect([node, flag]).toEqual(['/usr/local/bin/node', '--eval']);
    const written: string[] = [];
    const said: string[] = [];
    const run = (exists: boolean): void => {
      const fs = {
        existsSync: () => exists,
        writeFileSync: (...args: string[]) => written.push(args.join(' ')),
      };
      // The text of the manifest itself, with only the file system of the node replaced.
      new Function('require', 'console', program)(() => fs, { log: (line: string) => said.push(line) });
    };
    run(true);
    run(false);
    expect(written).toEqual(['/proc/sys/net/ipv4/tcp_migrate_req 1']);
    expect(said).toEqual(['this kernel has no net.ipv4.tcp_migrate_req']);
  });
});

test('cleanup.yaml runs a Pod that no selector of Portico takes for Portico', () => {
  const job = theOnly<V1Job>('Job', variantManifests('cleanup.yaml'));
  const labels = job.spec?.template.metadata?.labels ?? {};
  expect(labels).not.toMatchObject(base.spec?.selector.matchLabels ?? {});
  expect(job.spec?.template.spec?.containers[0]?.args?.[0]).toBe('cleanup');
});

test('prometheus-podmonitor.yaml has fields that the Prometheus Operator has, and finds the port of the metrics', () => {
  const [monitor] = variantManifests('prometheus-podmonitor.yaml');
  // No schema of it is at hand, so its few fields are named here.
  expect(monitor?.object.apiVersion).toBe('monitoring.coreos.com/v1');
  const spec = monitor?.object['spec'] as {
    selector: { matchLabels: object };
    podMetricsEndpoints: { path: string; relabelings: Record<string, string | string[]>[] }[];
  };
  expect(Object.keys(spec)).toEqual(['selector', 'podMetricsEndpoints']);
  expect(spec.selector.matchLabels).toEqual(base.spec?.selector.matchLabels);
  const [endpoint] = spec.podMetricsEndpoints;
  expect(Object.keys(endpoint ?? {})).toEqual(['path', 'relabelings']);
  const address = (ip: string): string[] =>
    (endpoint?.relabelings ?? []).flatMap(({ targetLabel, regex, replacement }) => {
      const found = targetLabel === '__address__' && new RegExp(`^(?:${String(regex)})$`).exec(ip);
      return found ? [String(replacement).replace('$1', found[1] ?? '')] : [];
    });
  expect(address('10.0.0.5')).toEqual(['10.0.0.5:10254']);
  expect(address('fd00::5')).toEqual(['[fd00::5]:10254']);
});
