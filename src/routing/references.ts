import { externalNameFault, listPorts, serviceOf } from './backends.ts';
import type { Claims } from './ingress/claims.ts';
import { fields, quote } from '../model/untyped.ts';
import { type Problem, problem } from '../model/problem.ts';
import type { CompileSettings } from './settings.ts';
import { type ShardedMap, get } from '../model/sharded-map.ts';
import type { Snapshot } from '../model/snapshot.ts';
import type { Backend, Route, Unavailable } from './table.ts';

/** The routes of an Ingress, each of its fields once. */
export function routesOf(claims: Claims): readonly Route[] {
  const byField = new Map<string, Route>();
  for (const paths of claims.scopes.values()) for (const { route } of paths) byField.set(route.field, route);
  if (claims.defaultRoute) byField.set(claims.defaultRoute.field, claims.defaultRoute);
  return [...byField.values()];
}

/** What is wrong with the Services that an Ingress names, said at the field that names them. */
export function referenceProblems(
  claims: Claims,
  backends: ShardedMap<Backend>,
  snapshot: Snapshot,
  settings: CompileSettings,
): readonly Problem[] {
  return routesOf(claims).flatMap((route) => {
    const reason = get(backends, route.backend)?.unavailable;
    const fault = reason ? referenceFault(route, reason, snapshot, settings) : null;
    if (!fault) return [];
    const backend = route.pathType === 'DefaultBackend' ? route.field : `${route.field}.backend`;
    return problem(
      'error',
      fault.code,
      claims.object,
      `${backend}${fault.field}`,
      `${fault.message}; requests get 503.`,
    );
  });
}

interface Fault {
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
  const port = quote(route.backend.slice(key.length + 1));
  switch (reason) {
    case 'service-not-found': {
      const message = `There is no Service ${key}: create it, or name another one of this namespace`;
      return { code: 'ServiceNotFound', field: '.service.name', message };
    }
    case 'port-not-found': {
      const ports = service ? listPorts(service) : 'none';
      const message = `Service ${key} has no TCP port ${port} (it has ${ports}): name one that it has`;
      return { code: 'PortNotFound', field: '.service.port', message };
    }
    case 'external-name-refused': {
      const name = service ? quote(fields(fields(service)['spec'])['externalName']) : '';
      const message = `The externalName ${name} of Service ${key} ${service ? externalNameFault(key, service, settings) : ''}: use another DNS name, or an ordinary Service`;
      return { code: 'ExternalNameRefused', field: '.service.name', message };
    }
    case 'resource-backend': {
      const message = 'Resource backends are not supported: use a service backend';
      return { code: 'ResourceBackendNotSupported', field: '.resource', message };
    }
    case 'invalid-backend': {
      const message = 'This backend names no usable Service and port: give service.name and service.port';
      return { code: 'BackendInvalid', field: '', message };
    }
    // Said at the Service, once for all that name it.
    case 'internal-error':
    case 'no-endpoints':
      return null;
  }
}
