import { externalNameFault, listPorts, serviceOf } from './backends.ts';
import { errorBackendKey } from './replacing-backend.ts';
import type { Claims } from './ingress/claims.ts';
import { asObject, quote } from '../model/untyped.ts';
import { type Problem, type Severity, problem } from '../model/problem.ts';
import type { CompileSettings } from './settings.ts';
import { type ShardedMap, get } from '../model/sharded-map.ts';
import type { Snapshot } from '../model/snapshot.ts';
import { TENANT_LIMITS } from './tenant-limits.ts';
import type { Backend, BackendKey, Route, Unavailable } from './table.ts';

/** The routes of an Ingress, or what a canary takes a share for, each of its fields once. */
export function routesOf(claims: Claims): readonly Route[] {
  const { scopes, defaultRoute } = claims.canary ?? claims;
  const byField = new Map<string, Route>();
  for (const paths of scopes.values()) for (const { route } of paths) byField.set(route.field, route);
  if (defaultRoute) byField.set(defaultRoute.field, defaultRoute);
  return [...byField.values()];
}

/**
 * What is wrong with the Services that an Ingress names, said at the field that names them; of a Service port without
 * endpoints at the first of these.
 */
export function referenceProblems(
  claims: Claims,
  backends: ShardedMap<Backend>,
  snapshot: Snapshot,
  settings: CompileSettings,
): readonly Problem[] {
  const withoutEndpoints = new Set<BackendKey>();
  const own = routesOf(claims).flatMap((route) => {
    // Nothing goes to the Service of a redirect, which may be missing.
    if (route.policies?.configs.redirect) return [];
    const reason = get(backends, route.backend)?.unavailable;
    if (reason === 'no-endpoints') {
      if (withoutEndpoints.has(route.backend)) return [];
      withoutEndpoints.add(route.backend);
      // Tools keep a canary that is not needed without Pods.
      if (claims.canary) return [];
    }
    const fault = reason ? referenceFault(route, reason, snapshot, settings) : null;
    if (!fault) return [];
    const backend = route.pathType === 'DefaultBackend' ? route.field : `${route.field}.backend`;
    return problem(
      fault.severity ?? 'error',
      fault.code,
      claims.object,
      `${backend}${fault.field}`,
      `${fault.message}; ${claims.canary ? 'the main Ingress gets its share' : 'requests get 503'}.`,
    );
  });
  return [...own, ...errorBackendProblems(claims, backends)];
}

/** What is wrong with the Services that answer in place of others. */
function errorBackendProblems(claims: Claims, backends: ShardedMap<Backend>): readonly Problem[] {
  const keys = new Set(routesOf(claims).flatMap((route) => errorBackendKey(route) ?? []));
  return [...keys].flatMap((key) => {
    const reason = get(backends, key)?.unavailable ?? null;
    if (reason === null || reason === 'no-endpoints') return [];
    const message = `The Service ${serviceOf(key) ?? key} that is to answer in place of errors cannot be used (${reason}), so errors reach clients as they are: create it, or name another one.`;
    return [problem('warning', 'ErrorBackendUnavailable', claims.object, 'metadata.annotations', message)];
  });
}

interface Fault {
  /** `error` unless said. */
  readonly severity?: Severity;
  readonly code: string;
  readonly field: string;
  readonly message: string;
}

function referenceFault(
  route: Route,
  reason: Unavailable,
  snapshot: Snapshot,
  settings: CompileSettings,
): Fault | null {
  const key = serviceOf(route.backend) ?? '';
  const service = get(snapshot.services, key);
  const port = quote(route.backend.slice(key.length + 1).replace(/@.*$/, ''));
  switch (reason) {
    case 'service-not-found': {
      const message = `There is no Service ${key}: create it, or use another Service of this namespace`;
      return { code: 'ServiceNotFound', field: '.service.name', message };
    }
    case 'port-not-found': {
      const ports = service ? listPorts(service) : 'none';
      const message = `Service ${key} has no TCP port ${port} (it has ${ports}): add it to the Service, or name one that it has`;
      return { code: 'PortNotFound', field: '.service.port', message };
    }
    case 'external-name-refused': {
      const name = service ? quote(asObject(asObject(service)['spec'])['externalName']) : '';
      const message = `The externalName ${name} of Service ${key} ${service ? externalNameFault(key, service, settings) : ''}: use another DNS name, or an ordinary Service`;
      return { code: 'ExternalNameRefused', field: '.service.name', message };
    }
    case 'resource-backend': {
      const message = 'Resource backends are not supported: use a service backend';
      return { code: 'ResourceBackendNotSupported', field: '.resource', message };
    }
    case 'invalid-backend': {
      const message =
        'This backend names no usable Service and port: give service.name, and as service.port a number or a name of at most 15 characters';
      return { code: 'BackendInvalid', field: '', message };
    }
    case 'no-endpoints': {
      const message = `Service ${key} has no endpoint for port ${port}: check its selector and whether its Pods are ready`;
      return { severity: 'warning', code: 'NoEndpoints', field: '.service', message };
    }
    case 'too-many-endpoints': {
      const message = `The EndpointSlices of a namespace may list ${TENANT_LIMITS.endpointsPerNamespace} endpoints, counted for each Service port that an Ingress names; with port ${port} of Service ${key} they are more, so it is left out: use fewer ports, or another namespace`;
      return { code: 'NamespaceTooManyEndpoints', field: '.service', message };
    }
    // No Ingress has it.
    case 'invalid-reference':
    // Said where it happened.
    case 'internal-error':
      return null;
  }
}
