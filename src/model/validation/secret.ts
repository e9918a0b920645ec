import { type UntypedObject, isAbsent } from '../untyped.ts';
import type { Findings } from './findings.ts';

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** v1 Secret. Values are never quoted: they may be keys. */
export function checkSecret(secret: UntypedObject, findings: Findings): void {
  const data = findings.map(secret['data'], 'data') ?? {};
  const plain = findings.map(secret['stringData'], 'stringData') ?? {};
  for (const [key, value] of Object.entries(data)) {
    if (isAbsent(value)) continue;
    if (typeof value !== 'string' || !BASE64.test(value.replaceAll(/[\r\n]/g, '')))
      findings.invalid(`data[${key}]`, null, 'stands where base64 must be');
  }
  for (const [key, value] of Object.entries(plain)) {
    if (typeof value !== 'string')
      findings.invalid(`stringData[${key}]`, null, 'stands where a string must be');
  }
  if (secret['type'] !== 'kubernetes.io/tls') return;
  for (const key of ['tls.crt', 'tls.key']) {
    if (isAbsent(data[key]) && isAbsent(plain[key]))
      findings.required(`data[${key}]`, `The ${key} of a TLS Secret`);
  }
}
