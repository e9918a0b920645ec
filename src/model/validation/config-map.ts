import { type UntypedObject, isAbsent } from '../untyped.ts';
import type { Findings } from './findings.ts';

/** v1 ConfigMap. */
export function checkConfigMap(configMap: UntypedObject, findings: Findings): void {
  const data = findings.map(configMap['data'], 'data') ?? {};
  for (const [key, value] of Object.entries(data)) {
    if (!isAbsent(value) && typeof value !== 'string')
      findings.invalid(`data[${key}]`, value, 'must be a string');
  }
}
