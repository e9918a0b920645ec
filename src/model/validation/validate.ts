import { asObject, isObject, asString } from '../untyped.ts';
import { type Kind, isGatewayKind, isNamespaced } from '../objects.ts';
import { type Problem, referenceTo } from '../problem.ts';
import { checkCustomResource } from './custom-schema.ts';
import { checkEndpointSlice } from './endpoint-slice.ts';
import { checkConfigMap } from './config-map.ts';
import { type Findings, findingsOn } from './findings.ts';
import { checkIngress } from './ingress.ts';
import { checkIngressClass } from './ingress-class.ts';
import { checkMetadata } from './metadata.ts';
import { checkSecret } from './secret.ts';
import { checkSchema } from './schema.ts';
import { checkService } from './service.ts';

/**
 * What the API server would refuse an object for: an object read from a file never passed it. All of these are
 * errors. Says nothing about how objects refer to each other; that is found when compiling.
 */
export function validateObject(kind: Kind, object: unknown): readonly Problem[] {
  return findProblems(kind, object, check);
}

/** The same, and what differs from the schema of the API: for a manifest as it is written. */
export function validateManifest(kind: Kind, object: unknown): readonly Problem[] {
  return findProblems(kind, object, (_, fields, findings) => {
    check(kind, fields, findings);
    if (isGatewayKind(kind)) checkCustomResource(kind, fields, findings);
    else checkSchema(kind, fields, findings);
  });
}

function findProblems(kind: Kind, object: unknown, find: typeof check): readonly Problem[] {
  const { namespace, name } = asObject(asObject(object)['metadata']);
  const key = asString(namespace) ? `${asString(namespace)}/${asString(name) ?? ''}` : (asString(name) ?? '');
  const findings = findingsOn(referenceTo(kind, key, object));
  if (isObject(object)) find(kind, object, findings);
  else findings.invalid('', object, 'must be an object');
  return findings.problems;
}

function check(kind: Kind, object: { readonly [field: string]: unknown }, findings: Findings): void {
  const namespaced = { namespaced: true, name: 'subdomain' } as const;
  switch (kind) {
    case 'Ingress':
      checkMetadata(object, findings, namespaced);
      return checkIngress(object, findings);
    case 'Service':
      checkMetadata(object, findings, { namespaced: true, name: 'label' });
      return checkService(object, findings);
    case 'EndpointSlice':
      checkMetadata(object, findings, namespaced);
      return checkEndpointSlice(object, findings);
    case 'IngressClass':
      checkMetadata(object, findings, { namespaced: false, name: 'subdomain' });
      return checkIngressClass(object, findings);
    case 'Secret':
      checkMetadata(object, findings, namespaced);
      return checkSecret(object, findings);
    case 'ConfigMap':
      checkMetadata(object, findings, namespaced);
      return checkConfigMap(object, findings);
    case 'Namespace':
      return checkMetadata(object, findings, { namespaced: false, name: 'label' });
    case 'GatewayClass':
    case 'Gateway':
    case 'ListenerSet':
    case 'HTTPRoute':
    case 'GRPCRoute':
    case 'TLSRoute':
    case 'TCPRoute':
    case 'UDPRoute':
    case 'ReferenceGrant':
    case 'BackendTLSPolicy':
      return checkMetadata(object, findings, { namespaced: isNamespaced(kind), name: 'subdomain' });
  }
}
