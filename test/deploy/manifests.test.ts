import type {
  V1ClusterRole,
  V1ClusterRoleBinding,
  V1DaemonSet,
  V1IngressClass,
  V1Role,
  V1RoleBinding,
} from '@kubernetes/client-node';
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { resolveConfig } from '../../src/config/config.ts';
import { RUN_FLAGS, environmentName } from '../../src/config/flags.ts';
import { ROOT, deployManifests, theOnly } from './manifests.ts';
import { deviations } from './schema.ts';

const daemonSet = theOnly<V1DaemonSet>('DaemonSet');
const pod = daemonSet.spec?.template.spec;
const [container] = pod?.containers ?? [];

/** What the process in the Pod makes of its arguments. */
function config() {
  const [command, ...flags] = container?.args ?? [];
  expect(command).toBe('run');
  const values = flags.map((flag) => /^--([a-z-]+)=(.*)$/.exec(flag)?.slice(1) ?? [flag, true]);
  const resolved = resolveConfig(Object.fromEntries(values), {});
  if (resolved.kind === 'invalid') throw new Error(resolved.errors.join('\n'));
  return resolved.config;
}

test('deploy/Kustomization names every file that `kubectl apply -f deploy/` applies', () => {
  const { resources } = parse(readFileSync(join(ROOT, 'deploy/Kustomization'), 'utf8')) as {
    resources: string[];
  };
  const files = [...new Set(deployManifests().map(({ file }) => basename(file)))];
  expect(resources.toSorted()).toEqual(files.toSorted());
});

describe('deploy/', () => {
  test.each(deployManifests().map(({ file, object }) => [file, object.kind, object] as const))(
    '%s: %s has only fields that the Kubernetes API has, of its types',
    (_, kind, object) => {
      expect(deviations(object, `V1${kind}`, kind)).toEqual([]);
    },
  );

  test('the check of fields finds a wrong name, a wrong type and a wrong place', () => {
    const wrong = {
      spec: {
        template: {
          spec: { hostNetwork: 'yes', contaners: [], containers: [{ livenessProbe: { host: '::1' } }] },
        },
      },
    };
    expect(deviations(wrong, 'V1DaemonSet', 'DaemonSet')).toEqual([
      'DaemonSet.spec.template.spec.hostNetwork is not a boolean',
      'DaemonSet.spec.template.spec.contaners: V1PodSpec has no such field',
      'DaemonSet.spec.template.spec.containers[0].livenessProbe.host: V1Probe has no such field',
    ]);
  });

  test('is applied in an order that works the first time', () => {
    const kinds = deployManifests().map(({ object }) => object.kind);
    expect(kinds.slice(0, 2)).toEqual(['Namespace', 'ServiceAccount']);
    expect(kinds.toSorted()).toEqual([
      'ClusterRole',
      'ClusterRoleBinding',
      'DaemonSet',
      'IngressClass',
      'Namespace',
      'Role',
      'RoleBinding',
      'ServiceAccount',
    ]);
  });

  test('names that refer to each other agree', () => {
    const namespace = theOnly<{ metadata: { name: string } }>('Namespace').metadata.name;
    const account = theOnly<{ metadata: object }>('ServiceAccount').metadata;
    expect(account).toMatchObject({ name: pod?.serviceAccountName, namespace });
    expect(daemonSet.metadata?.namespace).toBe(namespace);
    expect(daemonSet.spec?.template.metadata?.labels).toEqual(daemonSet.spec?.selector.matchLabels);
    const binding = theOnly<V1ClusterRoleBinding>('ClusterRoleBinding');
    expect(binding.subjects).toEqual([{ kind: 'ServiceAccount', name: pod?.serviceAccountName, namespace }]);
    expect(binding.roleRef.name).toBe(theOnly<V1ClusterRole>('ClusterRole').metadata?.name);
    const role = theOnly<V1Role>('Role').metadata;
    const own = theOnly<V1RoleBinding>('RoleBinding');
    expect([role?.namespace, own.metadata?.namespace]).toEqual([namespace, namespace]);
    expect([own.roleRef.name, own.subjects]).toEqual([role?.name, binding.subjects]);
    const ingressClass = theOnly<V1IngressClass>('IngressClass');
    expect(ingressClass.spec?.controller).toBe(config().controllerName);
    expect(ingressClass.metadata?.name).toBe(config().ingressClass);
  });
});

describe('the Pod', () => {
  test('runs without root, with one capability and a root file system it cannot write to', () => {
    expect(pod?.securityContext).toEqual({
      runAsNonRoot: true,
      runAsUser: 65532,
      runAsGroup: 65532,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(container?.securityContext).toEqual({
      capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] },
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
    });
    // Memory of its own, for a socket; nothing of the node.
    expect(pod?.volumes?.map((volume) => Object.keys(volume).sort())).toEqual([['emptyDir', 'name']]);
    expect(pod?.hostPID).toBeUndefined();
    expect(pod?.hostIPC).toBeUndefined();
  });

  test('is on the network of the node, resolves names of the cluster and stays', () => {
    expect(pod).toMatchObject({
      hostNetwork: true,
      dnsPolicy: 'ClusterFirstWithHostNet',
      priorityClassName: 'system-node-critical',
    });
    expect(container?.resources?.requests).toEqual({ cpu: expect.any(String), memory: expect.any(String) });
  });

  test('declares no ports: on the network of the node they would be reserved, and two Pods could never overlap', () => {
    expect(container?.ports).toBeUndefined();
  });

  test('gets no environment variables for Services, which could be taken for flags', () => {
    expect(pod?.enableServiceLinks).toBe(false);
    const variables = RUN_FLAGS.map((flag) => environmentName(flag));
    // What a Service named portico-http would set.
    expect(variables).toContain('PORTICO_HTTP_PORT');
  });

  test('is asked by its probes on the socket that it was given, which no other Pod answers', () => {
    const { startupProbe, livenessProbe, readinessProbe } = container ?? {};
    const socket = config().statusSocket;
    const mount = container?.volumeMounts?.find(({ mountPath }) => socket?.startsWith(`${mountPath}/`));
    expect(pod?.volumes?.find(({ name }) => name === mount?.name)?.emptyDir).toBeDefined();
    const ask = (what: string) => ({
      command: ['/usr/local/bin/node', '/portico/portico.js', 'probe', what, `--status-socket=${socket}`],
    });
    expect([startupProbe?.exec, livenessProbe?.exec, readinessProbe?.exec]).toEqual([
      ask('healthz'),
      ask('healthz'),
      ask('readyz'),
    ]);
  });

  test('has more time to end than it takes to drain', () => {
    const grace = (pod?.terminationGracePeriodSeconds ?? 0) * 1000;
    expect(grace).toBeGreaterThanOrEqual(config().drainTimeoutMs + 10_000);
  });

  test('is replaced by surging, so that no node is ever without one', () => {
    expect(daemonSet.spec?.updateStrategy).toEqual({
      type: 'RollingUpdate',
      rollingUpdate: { maxSurge: 1, maxUnavailable: 0 },
    });
    expect(container?.ports).toBeUndefined();
  });
});
