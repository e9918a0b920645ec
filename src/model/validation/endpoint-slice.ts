import { isIP } from 'node:net';
import { type UntypedObject, isAbsent, isPortNumber } from '../untyped.ts';
import { isLabel, isSubdomain } from '../names.ts';
import type { Findings } from './findings.ts';

/**
 * discovery.k8s.io/v1 EndpointSlice, as far as Portico reads it. That the API server refuses loopback addresses
 * is left to compiling, which knows whether examples on one machine may have them.
 */
export function checkEndpointSlice(slice: UntypedObject, findings: Findings): void {
  const addressType = findings.string(slice, 'addressType', 'addressType');
  if (isAbsent(slice['addressType'])) findings.required('addressType', 'The addressType (IPv4 or IPv6)');
  else if (addressType !== undefined && !['IPv4', 'IPv6', 'FQDN'].includes(addressType)) {
    findings.invalid('addressType', addressType, 'must be IPv4, IPv6 or FQDN');
  }
  for (const [index, entry] of findings.list(slice, 'endpoints', 'endpoints').entries()) {
    const endpoint = findings.map(entry, `endpoints[${index}]`);
    if (endpoint) checkEndpoint(endpoint, `endpoints[${index}]`, addressType, findings);
  }
  const names = new Set<string>();
  for (const [index, entry] of findings.list(slice, 'ports', 'ports').entries()) {
    const port = findings.map(entry, `ports[${index}]`);
    if (!port) continue;
    const name = findings.string(port, 'name', `ports[${index}].name`) ?? '';
    if (name !== '' && !isLabel(name)) {
      findings.invalid(`ports[${index}].name`, name, 'must consist of lower-case letters, digits and "-"');
    }
    if (names.has(name)) findings.invalid(`ports[${index}].name`, name, 'is the name of another port too');
    names.add(name);
    if (!isAbsent(port['port']) && !isPortNumber(port['port'])) {
      findings.invalid(`ports[${index}].port`, port['port'], 'must be a number from 1 to 65535');
    }
  }
}

function checkEndpoint(
  endpoint: UntypedObject,
  field: string,
  addressType: string | undefined,
  findings: Findings,
): void {
  const addresses = findings.list(endpoint, 'addresses', `${field}.addresses`);
  if (addresses.length === 0) findings.required(`${field}.addresses`, 'At least one address');
  for (const [index, address] of addresses.entries()) {
    const at = `${field}.addresses[${index}]`;
    if (typeof address !== 'string') findings.invalid(at, address, 'must be a string (put it in quotes)');
    else if (addressType === 'IPv4' && isIP(address) !== 4)
      findings.invalid(at, address, 'must be an IPv4 address');
    else if (addressType === 'IPv6' && isIP(address) !== 6)
      findings.invalid(at, address, 'must be an IPv6 address');
    else if (addressType === 'FQDN' && !isSubdomain(address))
      findings.invalid(at, address, 'must be a DNS name');
  }
  const conditions = findings.map(endpoint['conditions'], `${field}.conditions`) ?? {};
  for (const name of ['ready', 'serving', 'terminating']) {
    const value = conditions[name];
    if (isAbsent(value) || typeof value === 'boolean') continue;
    findings.invalid(`${field}.conditions.${name}`, value, 'must be true or false');
  }
}
