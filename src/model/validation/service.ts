import { type UntypedObject, isAbsent, isPortNumber } from '../untyped.ts';
import { PORT_NAME_RULE, isLabel, isPortName, isSubdomain } from '../names.ts';
import type { Findings } from './findings.ts';

const TYPES = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'];
const AFFINITIES: ReadonlySet<string> = new Set(['None', 'ClientIP']);
const PROTOCOLS: ReadonlySet<string> = new Set(['TCP', 'UDP', 'SCTP']);

/** v1 Service, as far as Portico reads it. */
export function checkService(service: UntypedObject, findings: Findings): void {
  const spec = findings.map(service['spec'], 'spec');
  if (!spec) {
    if (isAbsent(service['spec'])) findings.required('spec', 'The spec');
    return;
  }
  const type = findings.string(spec, 'type', 'spec.type') ?? 'ClusterIP';
  if (!TYPES.includes(type)) findings.invalid('spec.type', type, `must be one of ${TYPES.join(', ')}`);
  if (type === 'ExternalName') {
    const name = findings.string(spec, 'externalName', 'spec.externalName');
    if (isAbsent(spec['externalName']) || name === '')
      findings.required('spec.externalName', 'The externalName');
    else if (name !== undefined && !isSubdomain(name.replace(/\.$/, ''))) {
      findings.invalid(
        'spec.externalName',
        name,
        'must be a DNS name of lower-case letters, digits, "-" and "."',
      );
    }
  }
  const affinity = findings.string(spec, 'sessionAffinity', 'spec.sessionAffinity') ?? 'None';
  if (!AFFINITIES.has(affinity))
    findings.invalid('spec.sessionAffinity', affinity, 'must be None or ClientIP');
  const published = spec['publishNotReadyAddresses'];
  if (!isAbsent(published) && typeof published !== 'boolean')
    findings.invalid('spec.publishNotReadyAddresses', published, 'must be true or false');
  // Newer API servers know more of these than we do.
  findings.string(spec, 'trafficDistribution', 'spec.trafficDistribution');
  const ports = findings.list(spec, 'ports', 'spec.ports');
  const mayHaveNone = type === 'ExternalName' || spec['clusterIP'] === 'None';
  if (ports.length === 0 && !mayHaveNone && (isAbsent(spec['ports']) || Array.isArray(spec['ports']))) {
    findings.required('spec.ports', 'At least one port');
  }
  const names = new Set<string>();
  const numbers = new Set<string>();
  for (const [index, entry] of ports.entries()) {
    const field = `spec.ports[${index}]`;
    const port = findings.map(entry, field);
    if (!port) continue;
    const name = checkPort(port, field, ports.length > 1, findings);
    if (name !== '' && names.has(name))
      findings.invalid(`${field}.name`, name, 'is the name of another port too');
    names.add(name);
    const number = `${typeof port['protocol'] === 'string' ? port['protocol'] : 'TCP'} ${isPortNumber(port['port']) ? port['port'] : `at ${index}`}`;
    if (numbers.has(number)) findings.invalid(field, port['port'], 'is the number of another port too');
    numbers.add(number);
  }
}

/** Returns the name of the port, empty when it has none. */
function checkPort(port: UntypedObject, field: string, oneOfSeveral: boolean, findings: Findings): string {
  const name = findings.string(port, 'name', `${field}.name`) ?? '';
  if (name === '' && oneOfSeveral) findings.required(`${field}.name`, 'The name of one of several ports');
  else if (name !== '' && !isLabel(name)) {
    findings.invalid(`${field}.name`, name, 'must consist of lower-case letters, digits and "-"');
  }
  if (isAbsent(port['port'])) findings.required(`${field}.port`, 'The number of the port');
  else if (!isPortNumber(port['port'])) {
    findings.invalid(`${field}.port`, port['port'], 'must be a number from 1 to 65535');
  }
  const protocol = findings.string(port, 'protocol', `${field}.protocol`) ?? 'TCP';
  if (!PROTOCOLS.has(protocol)) findings.invalid(`${field}.protocol`, protocol, 'must be TCP, UDP or SCTP');
  const target = port['targetPort'];
  const targetIsFine =
    isAbsent(target) || isPortNumber(target) || (typeof target === 'string' && isPortName(target));
  if (!targetIsFine)
    findings.invalid(
      `${field}.targetPort`,
      target,
      `must be a port number or the name of a port: ${PORT_NAME_RULE}`,
    );
  findings.string(port, 'appProtocol', `${field}.appProtocol`);
  return name;
}
