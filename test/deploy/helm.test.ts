/**
 * Helm is a Go program, which `npm ci` does not bring. So its own renderings of the chart are kept in helm/rendered, each
 * with a fingerprint of what it was made from; these tests fail when the chart has changed since, and compare the rest.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type {
  V1ConfigMap,
  V1ClusterRole,
  V1DaemonSet,
  V1Deployment,
  V1Role,
  V1Service,
} from '@kubernetes/client-node';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type AlertGroup, alertGroups } from '../../scripts/alerts.ts';
import { DASHBOARD } from '../../scripts/dashboards.ts';
import { CHART, RENDERED, fingerprint, helmCases } from '../../scripts/helm.ts';
import { resolveConfig } from '../../src/config/config.ts';
import { RUN_FLAGS } from '../../src/config/flags.ts';
import { VERSION } from '../../src/version.ts';
import {
  type Manifest,
  daemonSetPatch,
  deployManifests,
  parseManifests,
  theOnly,
  variantManifests,
} from './manifests.ts';
import { deviations, typeOf } from './schema.ts';

const cases = helmCases();
const refused = Object.keys(cases).filter((name) => name.startsWith('refused-'));
const accepted = Object.keys(cases).filter((name) => !refused.includes(name));

const file = (name: string): string => `${name}.${refused.includes(name) ? 'txt' : 'yaml'}`;

/** What Helm said to a case, if it still would. */
function recorded(name: string): string {
  const text = readFileSync(join(RENDERED, file(name)), 'utf8');
  const [, of] = /^# Written by Helm v\S+ from (\w+)\n/.exec(text) ?? [];
  if (of !== fingerprint(cases[name] ?? {}))
    throw new Error(`${name}: the chart or this case has changed since; run \`node scripts/helm.ts\``);
  return text;
}

const rendered = (name: string): readonly Manifest[] => parseManifests(name, recorded(name));

/** Labels that say of which release and chart an object is: manifests that are applied have none of these. */
const RELEASE_LABELS = new Set([
  'app.kubernetes.io/component',
  'app.kubernetes.io/instance',
  'app.kubernetes.io/managed-by',
  'app.kubernetes.io/part-of',
  'app.kubernetes.io/version',
  'helm.sh/chart',
]);

const withoutRelease = (text: string): unknown =>
  JSON.parse(text, (_, value: unknown) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).filter(([key]) => !RELEASE_LABELS.has(key)));
  });

const byName = (manifests: readonly Manifest[]): Record<string, unknown> =>
  Object.fromEntries(
    manifests.map(({ object }) => {
      const { name, namespace } = object['metadata'] as { name: string; namespace?: string };
      return [`${object.kind} ${namespace}/${name}`, withoutRelease(JSON.stringify(object))];
    }),
  );

test.each([
  ['deploy/', 'default', deployManifests()],
  ['deploy/variants/deployment.yaml', 'deployment', variantManifests('deployment.yaml')],
  ['deploy/variants/namespaced.yaml', 'namespaced', variantManifests('namespaced.yaml')],
])('%s is what Helm renders for "%s", object for object', (_, name, manifests) => {
  const objects = rendered(name);
  expect(byName(objects)).toEqual(byName(manifests));
  expect(objects).toHaveLength(manifests.length);
});

test('every case has a rendering, and every rendering a case', () => {
  expect(readdirSync(RENDERED).toSorted()).toEqual(Object.keys(cases).map(file).toSorted());
});

test('the chart is of the version of the package', () => {
  const chart: unknown = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8'));
  expect(chart).toMatchObject({ name: 'portico', version: VERSION, appVersion: VERSION });
  const values: unknown = parse(readFileSync(join(CHART, 'values.yaml'), 'utf8'));
  expect(values).toMatchObject({ image: { tag: VERSION } });
});

describe.each(accepted)('%s', (name) => {
  const objects = rendered(name);

  test('carries the recommended labels, and selects the Pods of its own release', () => {
    for (const { object } of objects) {
      const { labels } = object['metadata'] as { labels?: Record<string, string> };
      expect(labels, `${object.kind}`).toMatchObject({
        'app.kubernetes.io/name': 'portico',
        'app.kubernetes.io/instance': 'portico',
        'app.kubernetes.io/version': VERSION,
        'app.kubernetes.io/managed-by': 'Helm',
        'helm.sh/chart': `portico-${VERSION}`,
      });
    }
    const own = JSON.stringify({
      'app.kubernetes.io/name': 'portico',
      'app.kubernetes.io/instance': 'portico',
    });
    for (const { object } of objects) {
      const { selector, podSelector } = (object['spec'] ?? {}) as Record<
        string,
        { matchLabels?: object } | undefined
      >;
      const selects = selector ?? podSelector;
      if (selects !== undefined)
        expect(JSON.stringify(selects.matchLabels ?? selects)).toContain(own.slice(1, -1));
    }
  });

  test('has only fields that the Kubernetes API has, of its types', () => {
    for (const { object } of objects.filter(
      ({ object: { kind } }) => !/Monitor$|^PrometheusRule$/.test(kind),
    ))
      expect(deviations(object, typeOf(object), object.kind)).toEqual([]);
  });

  test('runs with flags that exist', () => {
    const kind = objects.some(({ object }) => object.kind === 'Deployment') ? 'Deployment' : 'DaemonSet';
    const { spec } = theOnly<V1DaemonSet | V1Deployment>(kind, objects);
    const [command, ...flags] = spec?.template.spec?.containers[0]?.args ?? [];
    expect(command).toBe('run');
    const values: Record<string, string | boolean | string[]> = {};
    for (const flag of flags) {
      const [, key = '', value] = /^--([a-z0-9-]+)(?:=(.*))?$/.exec(flag) ?? [];
      const many = RUN_FLAGS.find((each) => each.name === key)?.many;
      if (many) values[key] = [...((values[key] as string[] | undefined) ?? []), value ?? ''];
      else values[key] = value ?? true;
    }
    expect(Object.keys(values).filter((key) => !RUN_FLAGS.some((flag) => flag.name === key))).toEqual([]);
    expect(resolveConfig(values, {})).toMatchObject({ config: expect.anything() });
  });
});

test('every flag of run fits the schema', () => {
  const { properties } = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as {
    properties: { args: { items: { pattern: string } } };
  };
  const pattern = new RegExp(properties.args.items.pattern);
  expect(RUN_FLAGS.filter((flag) => !pattern.test(`--${flag.name}`))).toEqual([]);
});

test('configMaps grants what deploy/variants/configmaps.yaml does, or as much in the namespaces that are watched', () => {
  const variant = variantManifests('configmaps.yaml');
  expect(byName(rendered('configmaps'))).toEqual(byName([...deployManifests(), ...variant]));
  const roles = rendered('configmaps-namespaced').map(({ object }) => object as { kind: string } & V1Role);
  const readers = roles.filter((role) => role.rules?.some((rule) => rule.resources?.includes('configmaps')));
  expect(readers.map(({ kind, metadata }) => [kind, metadata?.namespace])).toEqual([['Role', 'default']]);
});

test('gatewayServices grants what deploy/variants/gateway-services.yaml does, and sets the flag', () => {
  const objects = rendered('gateway-services');
  const isDaemonSet = ({ object }: Manifest): boolean => object.kind === 'DaemonSet';
  const variant = [...deployManifests(), ...variantManifests('gateway-services.yaml')];
  expect(byName(objects.filter((each) => !isDaemonSet(each)))).toEqual(
    byName(variant.filter((each) => !isDaemonSet(each))),
  );
  const { template } = theOnly<V1DaemonSet>('DaemonSet', objects).spec ?? {};
  expect(template?.spec?.containers[0]?.args).toContain('--gateway-addresses=service');
  const namespaced = rendered('gateway-services-namespaced').map(({ object }) => object);
  const writers = (namespaced as ({ kind: string } & V1Role)[]).filter(({ rules }) =>
    rules?.some(({ resources, verbs }) => resources?.includes('services') && verbs.includes('create')),
  );
  expect(writers.map(({ kind, metadata }) => [kind, metadata?.namespace])).toEqual([['Role', 'default']]);
});

describe('edge-daemonset', () => {
  const objects = rendered('edge-daemonset');
  const daemonSet = theOnly<V1DaemonSet>('DaemonSet', objects);
  const pod = daemonSet.spec?.template.spec;

  test('another class changes the flags, the Lease that may be written and the IngressClass together', () => {
    expect(pod?.containers[0]?.args).toEqual([
      'run',
      '--status-socket=/run/portico/status.sock',
      '--admin-socket=/run/portico/admin.sock',
      '--admin-address=127.0.0.1:10253',
      '--watch-namespace=shop',
      '--watch-namespace=blog',
      '--ingress-class=edge',
      '--controller-name=example.com/edge',
      '--http-port=8080',
      '--https-port=8443',
      '--status-port=10255',
      '--h2c',
      '--trusted-proxies=192.0.2.0/24',
      '--limit=head-bytes=16384',
    ]);
    const roles = objects.filter(({ object }) => object.kind === 'Role').map(({ object }) => object);
    const own = roles.find(({ metadata }) => (metadata as { name: string }).name === 'edge');
    expect((own as V1Role | undefined)?.rules?.[0]?.resourceNames).toEqual(['portico-edge']);
    expect(theOnly<object>('IngressClass', objects)).toMatchObject({
      metadata: {
        name: 'edge',
        annotations: { 'ingressclass.kubernetes.io/is-default-class': 'true' },
      },
      spec: { controller: 'example.com/edge' },
    });
  });

  test('nothing is named as in another installation', () => {
    const plain = JSON.stringify(objects.map(({ object }) => object));
    expect(plain).not.toMatch(/portico-system|"name":"portico"(?!,"image)|portico\.dev/);
    expect(objects.filter(({ object }) => object.kind === 'Namespace')).toEqual([]);
  });

  test('has rights in the namespaces that it watches, and nowhere else', () => {
    const where = (kind: string): (string | undefined)[] =>
      objects
        .filter(({ object }) => object.kind === kind)
        .map(({ object }) => (object['metadata'] as { namespace?: string }).namespace);
    for (const kind of ['Role', 'RoleBinding']) expect(where(kind)).toEqual(['shop', 'blog', 'edge-system']);
    const rules = theOnly<V1ClusterRole>('ClusterRole', objects).rules ?? [];
    expect(rules.flatMap(({ resources = [] }) => resources)).toEqual([
      'ingressclasses',
      'gatewayclasses',
      'gatewayclasses/status',
      'namespaces',
      'nodes',
    ]);
  });

  test('what is switched on is what the variants have, and what is given is in the Pod', () => {
    const image =
      'registry.example.com:5000/portico:0.1.0@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
    const [container] = daemonSetPatch().spec?.template.spec?.initContainers ?? [];
    expect(pod?.initContainers).toEqual([{ ...container, image }]);
    expect(pod?.containers[0]).toMatchObject({ image, resources: { limits: { memory: '1Gi' } } });
    expect(pod).toMatchObject({
      imagePullSecrets: [{ name: 'registry' }],
      tolerations: [{ key: 'edge', operator: 'Exists' }],
      nodeSelector: { 'kubernetes.io/os': 'linux', edge: 'true' },
      terminationGracePeriodSeconds: 90,
    });
    expect(pod).not.toHaveProperty('priorityClassName');
    expect(daemonSet.spec?.template.metadata?.annotations).toEqual({
      'example.com/team': 'web',
      'example.com/on': 'true',
    });
    const [monitor] = variantManifests('prometheus-podmonitor.yaml');
    const spec = JSON.stringify(monitor?.object['spec']).replaceAll('10254', '10255');
    const found = theOnly<{ spec: object }>('PodMonitor', objects);
    expect(found).toMatchObject({ metadata: { labels: { release: 'prometheus' } } });
    expect(withoutRelease(JSON.stringify(found.spec))).toEqual(JSON.parse(spec));
  });

  test('has the alerts but those that are disabled, and the dashboard where Grafana looks for it', () => {
    const found = theOnly<{ spec: { groups: AlertGroup[] } }>('PrometheusRule', objects);
    const disabled = new Set(['PorticoLogDropped', 'PorticoSeriesLimit']);
    const wanted = alertGroups().map(({ name, rules }) => ({
      name,
      rules: rules.filter(({ alert }) => !disabled.has(alert)),
    }));
    expect(found.spec.groups).toEqual(wanted);
    const dashboards = theOnly<V1ConfigMap>('ConfigMap', objects);
    expect(dashboards.metadata).toMatchObject({
      ...{ name: 'edge-dashboards', namespace: 'watching' },
      ...{ labels: { grafana_dashboard: '1' }, annotations: { grafana_folder: 'Ingress' } },
    });
    expect(dashboards.data).toEqual({ 'portico.json': readFileSync(DASHBOARD, 'utf8') });
  });
});

describe('edge-deployment', () => {
  const objects = rendered('edge-deployment');
  const deployment = theOnly<V1Deployment>('Deployment', objects);
  const service = theOnly<V1Service>('Service', objects);

  test('with an address of its own no Service is published, and without HTTPS no port has it', () => {
    const pod = deployment.spec?.template.spec;
    expect(pod?.containers[0]?.args).toEqual([
      'run',
      '--admin-socket=/run/portico/admin.sock',
      '--ingress-class=edge',
      '--controller-name=example.com/edge',
      '--http-port=80',
      '--https-port=0',
      '--publish-address=192.0.2.1',
    ]);
    expect(pod?.containers[0]?.ports?.map(({ name }) => name)).toEqual(['http', 'status']);
    expect(service.spec?.ports?.map(({ name }) => name)).toEqual(['http']);
    expect(service).toMatchObject({
      metadata: { annotations: { 'service.beta.kubernetes.io/aws-load-balancer-type': 'external' } },
      spec: { loadBalancerClass: 'service.k8s.aws/nlb' },
    });
    expect(pod).toMatchObject({
      priorityClassName: 'system-cluster-critical',
      terminationGracePeriodSeconds: 100,
      containers: [{ lifecycle: { preStop: { sleep: { seconds: 40 } } } }],
    });
    expect(deployment.spec?.replicas).toBe(4);
  });

  test.each(['PodDisruptionBudget', 'NetworkPolicy'] as const)('its %s is that of the variant', (kind) => {
    const [variant] = variantManifests(
      kind === 'NetworkPolicy' ? 'deployment-networkpolicy.yaml' : 'deployment-pdb.yaml',
    );
    const text = JSON.stringify(variant?.object['spec'])
      .replace('{"port":"https"}', '')
      .replace(',]', ']')
      .replace('"monitoring"', '"watching"');
    const { spec } = theOnly<{ spec: object }>(kind, objects);
    expect(withoutRelease(JSON.stringify(spec))).toEqual(JSON.parse(text));
  });
});

describe('habits', () => {
  const objects = rendered('habits');
  const deployment = theOnly<V1Deployment>('Deployment', objects);
  const pod = deployment.spec?.template.spec;

  test('what people type as for other charts is where it belongs', () => {
    expect(deployment.spec).not.toHaveProperty('replicas');
    expect(theOnly<object>('HorizontalPodAutoscaler', objects)).toMatchObject({
      spec: { scaleTargetRef: { kind: 'Deployment', name: 'portico' }, minReplicas: 3, maxReplicas: 10 },
    });
    expect(pod).toMatchObject({
      priorityClassName: 'high',
      affinity: { nodeAffinity: {} },
      topologySpreadConstraints: [{ topologyKey: 'topology.kubernetes.io/zone' }],
      volumes: [{ name: 'run' }, { name: 'cache', emptyDir: {} }],
    });
    expect(deployment.spec?.template.metadata?.labels).toMatchObject({ 'example.com/team': 'web' });
    const [container] = pod?.containers ?? [];
    expect(container?.env).toContainEqual({ name: 'TZ', value: 'UTC' });
    expect(container?.volumeMounts?.map(({ name, mountPath }) => [name, mountPath])).toEqual([
      ['run', '/run/portico'],
      ['cache', '/cache'],
    ]);
    expect(objects.find(({ object }) => object.kind === 'ServiceAccount')?.object).toMatchObject({
      metadata: { annotations: { 'example.com/role': 'edge' } },
    });
    const services = objects.filter(({ object }) => object.kind === 'Service').map(({ object }) => object);
    expect(services.find(({ metadata }) => (metadata as { name: string }).name === 'portico')).toMatchObject({
      spec: {
        type: 'LoadBalancer',
        loadBalancerIP: '192.0.2.10',
        loadBalancerSourceRanges: ['198.51.100.0/24'],
        externalTrafficPolicy: 'Cluster',
        ports: [{ nodePort: 30080 }, {}],
      },
    });
    expect(theOnly<object>('ServiceMonitor', objects)).toMatchObject({
      metadata: { labels: { release: 'prometheus' } },
      spec: {
        selector: { matchLabels: { 'app.kubernetes.io/component': 'metrics' } },
        ...{ scrapeNativeHistograms: true, scrapeClassicHistograms: true },
      },
    });
  });

  test('the class is written as for ingress-nginx, in the flags, the Lease and the IngressClass', () => {
    expect(pod?.containers[0]?.args).toContain('--ingress-class=nginx');
    expect(theOnly<object>('IngressClass', objects)).toMatchObject({
      metadata: { name: 'nginx', annotations: { 'ingressclass.kubernetes.io/is-default-class': 'true' } },
      spec: { controller: 'k8s.io/ingress-nginx' },
    });
    expect(theOnly<V1Role>('Role', objects).rules?.[0]?.resourceNames).toEqual(['portico-nginx']);
  });

  test('memory follows the threads, and what is written wins', () => {
    const resourcesOf = (name: string) =>
      (['DaemonSet', 'Deployment'] as const)
        .flatMap((kind) => rendered(name).filter(({ object }) => object.kind === kind))
        .map(({ object }) => (object as V1DaemonSet).spec?.template.spec?.containers[0]?.resources);
    expect(resourcesOf('default')).toEqual([{ requests: { cpu: '100m', memory: '256Mi' } }]);
    expect(resourcesOf('habits')).toEqual([
      { requests: { cpu: '100m', memory: '180Mi' }, limits: { memory: '2782Mi' } },
    ]);
    expect(resourcesOf('habits-daemonset')).toEqual([{ requests: { cpu: '1', memory: '360Mi' } }]);
  });

  test('what is there already is not made', () => {
    const kinds = rendered('habits-daemonset').map(({ object }) => object.kind);
    expect(kinds).not.toContain('IngressClass');
    expect(kinds).not.toContain('ServiceAccount');
    expect(JSON.stringify(rendered('habits-daemonset'))).toContain('"serviceAccountName":"own"');
  });
});

test('values that cannot be are refused in words that say which, and what to do', () => {
  const said = Object.fromEntries(
    refused.map((name) => [name.slice('refused-'.length), recorded(name).trimEnd().split('\n').slice(1)]),
  );
  const label = '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$';
  expect(said).toEqual({
    unknown: [
      "- at '': additional properties 'imag' not allowed",
      "- at '/daemonSet': additional properties 'replicas' not allowed",
    ],
    wrong: [
      "- at '/args/0': 'trusted-proxies' does not match pattern '^--[a-z][a-z0-9-]*(=.*)?$'",
      "- at '/daemonSet': validation failed",
      "- at '/daemonSet/priorityClassName': 'a: b' does not match pattern '^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$'",
      "- at '/daemonSet/terminationGracePeriodSeconds': got number, want integer",
      "- at '/image': validation failed",
      "- at '/image/repository': 'Portico' does not match pattern '^[a-z0-9][a-z0-9._:/-]*$'",
      "- at '/image/tag': got number, want string",
      "- at '/ingressClass/name': 'a b' does not match pattern '^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$'",
      "- at '/kind': value must be one of 'DaemonSet', 'Deployment'",
      `- at '/name': 'Edge' does not match pattern '^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$'`,
      "- at '/podAnnotations/example.com~1on': got boolean, want string",
      "- at '/ports': validation failed",
      "- at '/ports/http': minimum: got 0, want 1",
      "- at '/ports/status': maximum: got 70,000, want 65,535",
      `- at '/watchNamespaces/0': 'team-*' does not match pattern '${label}'`,
    ],
    flag: [
      expect.stringContaining(
        'args: --ingress-class: set the value ingressClass.name instead, on which more',
      ),
    ],
    budget: [expect.stringContaining('deployment.podDisruptionBudget: with one replica no node could')],
    grace: [expect.stringContaining('terminationGracePeriodSeconds: must be more than preStopSeconds and')],
    'status-port': [expect.stringContaining('ports.status: 0 is for a DaemonSet only')],
    limit: [expect.stringContaining('limitMemory: needs a number of workers')],
    monitor: [expect.stringContaining('podMonitor.create: there are no metrics to scrape with 0 as')],
  });
});
