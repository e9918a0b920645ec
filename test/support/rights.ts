import type { V1PolicyRule } from '@kubernetes/client-node';
import type { ApiCall } from './api-calls.ts';

/** A rule, and where it holds. */
export interface Grant {
  readonly rule: V1PolicyRule;
  /** Null for everywhere. */
  readonly namespace: string | null;
}

interface Binding {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly roleRef?: { readonly kind: string; readonly name: string };
  readonly subjects?: readonly {
    readonly kind: string;
    readonly name: string;
    readonly namespace?: string;
  }[];
  readonly rules?: readonly V1PolicyRule[];
}

/** What manifests grant to a ServiceAccount, by their bindings. */
export function grantsTo(account: string, manifests: readonly object[]): readonly Grant[] {
  const objects = manifests as readonly Binding[];
  return objects.flatMap(({ kind, metadata, roleRef, subjects = [] }) => {
    if (!roleRef || !subjects.some((each) => each.kind === 'ServiceAccount' && each.name === account))
      return [];
    const namespace = kind === 'ClusterRoleBinding' ? null : (metadata.namespace ?? null);
    const role = objects.find(
      (object) =>
        object.kind === roleRef.kind &&
        object.metadata.name === roleRef.name &&
        (roleRef.kind === 'ClusterRole' || object.metadata.namespace === namespace),
    );
    if (!role) throw new Error(`${kind} ${metadata.name} names a ${roleRef.kind} that is not there`);
    return (role.rules ?? []).map((rule) => ({ rule, namespace }));
  });
}

/** Whether the API server would let it through. */
export function allows(grants: readonly Grant[], call: ApiCall): boolean {
  return grants.some(
    ({ rule, namespace }) =>
      (namespace === null || namespace === call.namespace) &&
      (rule.apiGroups ?? []).includes(call.group) &&
      (rule.resources ?? []).includes(call.resource) &&
      rule.verbs.includes(call.verb) &&
      (rule.resourceNames === undefined || (call.name !== null && rule.resourceNames.includes(call.name))),
  );
}

/** `list /services cluster`, or `namespace` for what holds in namespaces only: as calls are recorded. */
export function rightsOf(grants: readonly Grant[]): readonly string[] {
  const rights = grants.flatMap(({ rule: { apiGroups = [], resources = [], verbs }, namespace }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        verbs.map((verb) => `${verb} ${group}/${resource} ${namespace === null ? 'cluster' : 'namespace'}`),
      ),
    ),
  );
  return [...new Set(rights)].sort();
}

/**
 * Where what was asked and what is granted differ, one line each. A right for the whole cluster covers a call in a
 * namespace, not the other way round.
 */
export function differences(asked: readonly string[], granted: readonly string[]): string[] {
  const wide = (call: string): string => call.replace(/ namespace$/, ' cluster');
  const covered = (call: string): boolean => granted.includes(call) || granted.includes(wide(call));
  const used = (right: string): boolean => asked.some((call) => call === right || wide(call) === right);
  return [
    ...asked.filter((call) => !covered(call)).map((call) => `asked, not granted: ${call}`),
    ...granted.filter((right) => !used(right)).map((right) => `granted, never asked: ${right}`),
  ];
}
