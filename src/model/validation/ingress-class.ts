import { type UntypedObject, isAbsent } from '../untyped.ts';
import { isSubdomain } from '../names.ts';
import type { Findings } from './findings.ts';

/** networking.k8s.io/v1 IngressClass. */
export function checkIngressClass(ingressClass: UntypedObject, findings: Findings): void {
  const spec = findings.map(ingressClass['spec'], 'spec') ?? {};
  const controller = findings.string(spec, 'controller', 'spec.controller');
  if (isAbsent(spec['controller']) || controller === '') {
    findings.required('spec.controller', 'The controller');
  } else if (controller !== undefined && !isDomainPrefixed(controller)) {
    findings.invalid(
      'spec.controller',
      controller,
      'must be a domain and a path, such as "portico.dev/ingress-controller"',
    );
  }
}

function isDomainPrefixed(controller: string): boolean {
  const slash = controller.indexOf('/');
  return (
    slash > 0 &&
    controller.length <= 250 &&
    isSubdomain(controller.slice(0, slash)) &&
    /^[\w./~:@!$&'()*+,;=%-]+$/.test(controller.slice(slash + 1))
  );
}
