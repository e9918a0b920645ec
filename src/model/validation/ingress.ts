import { type UntypedObject, asObject, isAbsent, isPortNumber } from '../untyped.ts';
import { PORT_NAME_RULE, hostFault, isLabel, isPortName, isSubdomain, pathFault } from '../names.ts';
import type { Findings } from './findings.ts';

/** networking.k8s.io/v1 Ingress. */
export function checkIngress(ingress: UntypedObject, findings: Findings): void {
  const spec = findings.map(ingress['spec'], 'spec') ?? {};
  const className = findings.string(spec, 'ingressClassName', 'spec.ingressClassName');
  if (className !== undefined && !isSubdomain(className)) {
    findings.invalid('spec.ingressClassName', className, 'must be the name of an IngressClass');
  }
  const rules = findings.list(spec, 'rules', 'spec.rules');
  if (rules.length === 0 && isAbsent(spec['defaultBackend'])) {
    findings.required('spec', 'Either rules or a defaultBackend');
  }
  if (!isAbsent(spec['defaultBackend']))
    checkBackend(spec['defaultBackend'], 'spec.defaultBackend', findings);
  for (const [index, rule] of rules.entries()) checkRule(rule, `spec.rules[${index}]`, findings);
  for (const [index, entry] of findings.list(spec, 'tls', 'spec.tls').entries()) {
    checkTls(entry, `spec.tls[${index}]`, findings);
  }
}

function checkRule(value: unknown, field: string, findings: Findings): void {
  const rule = findings.map(value, field);
  if (!rule) return;
  const host = findings.string(rule, 'host', `${field}.host`);
  checkHost(host, `${field}.host`, findings);
  const http = findings.map(rule['http'], `${field}.http`);
  if (!http) return;
  const paths = findings.list(http, 'paths', `${field}.http.paths`);
  if (isAbsent(http['paths']) || (Array.isArray(http['paths']) && paths.length === 0)) {
    findings.required(`${field}.http.paths`, 'At least one path');
  }
  for (const [index, path] of paths.entries()) checkPath(path, `${field}.http.paths[${index}]`, findings);
}

function checkHost(host: string | undefined, field: string, findings: Findings): void {
  if (host === undefined || host === '') return;
  const fault = hostFault(host);
  if (fault !== null) findings.invalid(field, host, fault);
}

function checkPath(value: unknown, field: string, findings: Findings): void {
  const claim: UntypedObject | null = isAbsent(value) ? {} : findings.map(value, field);
  if (!claim) return;
  const path = findings.string(claim, 'path', `${field}.path`);
  const pathType = findings.string(claim, 'pathType', `${field}.pathType`);
  switch (pathType) {
    case 'Exact':
    case 'Prefix':
    case 'ImplementationSpecific': {
      if (path === undefined && !isAbsent(claim['path'])) break;
      const fault = pathFault(path ?? '', pathType);
      if (fault !== null) findings.invalid(`${field}.path`, path ?? '', fault);
      break;
    }
    case undefined:
      if (isAbsent(claim['pathType'])) {
        findings.required(`${field}.pathType`, 'The pathType (Exact, Prefix or ImplementationSpecific)');
      }
      break;
    default:
      findings.invalid(`${field}.pathType`, pathType, 'must be Exact, Prefix or ImplementationSpecific');
  }
  checkBackend(claim['backend'], `${field}.backend`, findings);
}

function checkBackend(value: unknown, field: string, findings: Findings): void {
  if (isAbsent(value)) return findings.required(field, 'The backend');
  const backend = findings.map(value, field);
  if (!backend) return;
  const hasService = !isAbsent(backend['service']);
  const hasResource = !isAbsent(backend['resource']);
  if (hasService && hasResource) {
    return findings.invalid(field, value, 'must hold either a service or a resource, not both');
  }
  if (!hasService && !hasResource) return findings.required(field, 'A service (or a resource)');
  if (hasService) checkService(backend['service'], `${field}.service`, findings);
  else checkResource(backend['resource'], `${field}.resource`, findings);
}

function checkService(value: unknown, field: string, findings: Findings): void {
  const service = findings.map(value, field);
  if (!service) return;
  const name = findings.string(service, 'name', `${field}.name`);
  if (isAbsent(service['name']) || name === '') findings.required(`${field}.name`, 'The name of the Service');
  else if (name !== undefined && !isLabel(name))
    findings.invalid(`${field}.name`, name, 'must be the name of a Service');

  const port = findings.map(service['port'], `${field}.port`);
  const { name: portName, number } = asObject(port);
  const hasName = !isAbsent(portName) && portName !== '';
  const hasNumber = !isAbsent(number) && number !== 0;
  if (hasName && hasNumber)
    findings.invalid(`${field}.port`, port, 'must hold either a name or a number, not both');
  else if (hasNumber && !isPortNumber(number)) {
    findings.invalid(`${field}.port.number`, number, 'must be a number from 1 to 65535');
  } else if (hasName && !(typeof portName === 'string' && isPortName(portName))) {
    findings.invalid(`${field}.port.name`, portName, `must be the name of a port: ${PORT_NAME_RULE}`);
  } else if (!hasName && !hasNumber) findings.required(`${field}.port`, 'The number or name of a port');
}

function checkResource(value: unknown, field: string, findings: Findings): void {
  const resource = findings.map(value, field);
  if (!resource) return;
  for (const name of ['kind', 'name']) {
    if (!findings.string(resource, name, `${field}.${name}`))
      findings.required(`${field}.${name}`, `The ${name}`);
  }
}

function checkTls(value: unknown, field: string, findings: Findings): void {
  const entry = findings.map(value, field);
  if (!entry) return;
  for (const [index, host] of findings.list(entry, 'hosts', `${field}.hosts`).entries()) {
    if (typeof host === 'string') checkHost(host, `${field}.hosts[${index}]`, findings);
    else findings.invalid(`${field}.hosts[${index}]`, host, 'must be a string (put it in quotes)');
  }
  const secretName = findings.string(entry, 'secretName', `${field}.secretName`);
  if (secretName !== undefined && secretName !== '' && !isSubdomain(secretName)) {
    findings.invalid(`${field}.secretName`, secretName, 'must be the name of a Secret');
  }
}
