/**
 * Helm itself is a Go program that npm does not have, so these tests render the chart with test/support/helm-template.ts,
 * which knows the few words of the template language that the chart may use and refuses every other.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { V1DaemonSet, V1Role } from '@kubernetes/client-node';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { VERSION } from '../../src/version.ts';
import { renderTemplate } from '../support/helm-template.ts';
import { type JsonSchema, violations } from '../support/json-schema.ts';
import {
  type Manifest,
  ROOT,
  deployManifests,
  parseManifests,
  theOnly,
  variantManifests,
} from './manifests.ts';
import { deviations } from './schema.ts';

const CHART = join(ROOT, 'deploy/helm/portico');
const text = (file: string): string => readFileSync(join(CHART, file), 'utf8');
type Values = Record<string, unknown>;
const defaults = (): Values => parse(text('values.yaml')) as Values;
const schema = JSON.parse(text('values.schema.json')) as JsonSchema;

/** As `helm template --set …` merges and renders. */
function rendered(more: Values = {}): readonly Manifest[] {
  const values = merge(defaults(), more);
  return readdirSync(join(CHART, 'templates')).flatMap((file) =>
    parseManifests(file, renderTemplate(text(join('templates', file)), values)).filter(
      ({ object }) => object !== null,
    ),
  );
}

function merge(values: Values, more: Values): Values {
  const merged = { ...values };
  for (const [key, value] of Object.entries(more)) {
    const before = merged[key];
    const deep = [before, value].every((each) => typeof each === 'object' && !Array.isArray(each));
    merged[key] = deep ? merge(before as Values, value as Values) : value;
  }
  return merged;
}

const byName = (manifests: readonly Manifest[]): Record<string, unknown> =>
  Object.fromEntries(
    manifests.map(({ object }) => [
      `${object.kind} ${(object['metadata'] as { name: string }).name}`,
      object,
    ]),
  );

test('the default rendering is deploy/, object for object', () => {
  const objects = rendered();
  expect(byName(objects)).toEqual(byName(deployManifests()));
  expect(objects).toHaveLength(deployManifests().length);
});

test('the chart is of the version of the package', () => {
  expect(parse(text('Chart.yaml'))).toMatchObject({
    apiVersion: 'v2',
    name: 'portico',
    version: VERSION,
    appVersion: VERSION,
  });
  expect(defaults()).toMatchObject({ image: { tag: VERSION } });
});

describe('values', () => {
  test('the schema allows the defaults and knows every one of them', () => {
    expect(violations(schema, defaults(), 'values')).toEqual([]);
    expect((schema['required'] as string[]).toSorted()).toEqual(Object.keys(defaults()).toSorted());
  });

  test('the schema refuses what would be rendered wrongly', () => {
    const wrong = {
      imag: {},
      image: { repository: 'Portico', tag: 1 },
      args: ['trusted-proxies'],
      terminationGracePeriodSeconds: 0.5,
      ingressClass: { name: 'a b' },
    };
    expect(violations(schema, merge(defaults(), wrong), 'values')).toEqual([
      'values.imag is not known',
      'values.image.repository does not match ^[a-z0-9][a-z0-9._:/-]*$',
      'values.image.tag is no string',
      'values.ingressClass.name does not match ^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$',
      'values.args[0] does not match ^--[a-z][a-z-]*(=.*)?$',
      'values.terminationGracePeriodSeconds is no integer',
      'values.terminationGracePeriodSeconds is below 1',
    ]);
  });

  test('another class changes the flags, the Lease that may be written and the IngressClass together', () => {
    const objects = rendered({
      name: 'edge',
      namespace: { name: 'edge-system' },
      ingressClass: { name: 'edge', controller: 'example.com/edge', default: true },
      args: ['--trusted-proxies=192.0.2.0/24', '--limit=head-bytes=16384'],
    });
    const daemonSet = theOnly<V1DaemonSet>('DaemonSet', objects);
    expect(daemonSet.spec?.template.spec?.containers[0]?.args).toEqual([
      'run',
      '--status-socket=/run/portico/status.sock',
      '--ingress-class=edge',
      '--controller-name=example.com/edge',
      '--trusted-proxies=192.0.2.0/24',
      '--limit=head-bytes=16384',
    ]);
    expect(daemonSet.metadata).toMatchObject({ name: 'edge', namespace: 'edge-system' });
    expect(theOnly<V1Role>('Role', objects).rules?.[0]?.resourceNames).toEqual(['portico-edge']);
    expect(theOnly<object>('IngressClass', objects)).toMatchObject({
      metadata: {
        name: 'edge',
        annotations: { 'ingressclass.kubernetes.io/is-default-class': 'true' },
      },
      spec: { controller: 'example.com/edge' },
    });
    const plain = JSON.stringify(objects.map(({ object }) => object));
    expect(plain).not.toMatch(/portico-system|"name":"portico"(?!,"image)|portico\.dev/);
  });

  test('what can be switched on is what the variants have, and everything is of the API', () => {
    const objects = rendered({
      tcpMigrateReq: true,
      podMonitor: { create: true, labels: { release: 'prometheus' } },
      tolerations: [{ key: 'edge', operator: 'Exists' }],
      nodeSelector: { edge: 'true' },
    });
    for (const { object } of objects.filter(({ object: { kind } }) => kind !== 'PodMonitor'))
      expect(deviations(object, `V1${object.kind}`, object.kind)).toEqual([]);
    const pod = theOnly<V1DaemonSet>('DaemonSet', objects).spec?.template.spec;
    expect(pod?.initContainers).toEqual(
      theOnly<V1DaemonSet>('DaemonSet', variantManifests('tcp-migrate-req.yaml')).spec?.template.spec
        ?.initContainers,
    );
    expect(pod?.tolerations).toEqual([{ key: 'edge', operator: 'Exists' }]);
    expect(pod?.nodeSelector).toEqual({ 'kubernetes.io/os': 'linux', edge: 'true' });
    const [monitor] = variantManifests('prometheus-podmonitor.yaml');
    expect(theOnly<object>('PodMonitor', objects)).toEqual({
      ...monitor?.object,
      metadata: {
        ...(monitor?.object['metadata'] as object),
        labels: { 'app.kubernetes.io/name': 'portico', release: 'prometheus' },
      },
    });
    const none = rendered({ namespace: { create: false } }).filter(
      ({ object: { kind } }) => kind === 'Namespace',
    );
    expect(none).toEqual([]);
  });
});

test('the renderer refuses what it does not know', () => {
  for (const template of [
    '{{ include "x" . }}',
    '{{- if .Values.a }}',
    '{{ end }}',
    '{{ .Values.none }}',
    '{{.Values.a}}',
    '{{ .Values.a -}}',
  ])
    expect(() => renderTemplate(template, { a: 'x' }), template).toThrow();
  expect(renderTemplate('a:\n  {{- with .Values.a }}\n  - {{ . | quote }}\n  {{- end }}\n', { a: 'x' })).toBe(
    'a:\n  - "x"\n',
  );
});
