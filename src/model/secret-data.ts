import type { Secret } from './objects.ts';
import { asObject } from './untyped.ts';

/**
 * The data of a Secret that a policy uses, each value in base64 as the API has it. Goes to the data-plane threads beside
 * the table, and nowhere else.
 */
export type SecretData = Readonly<Record<string, string>>;

export function secretDataOf(secret: Secret): SecretData {
  const data: Record<string, string> = {};
  for (const [key, value] of Object.entries(asObject(secret.data))) {
    if (typeof value === 'string') data[key] = value;
  }
  // Written and never read, where an API server is asked.
  for (const [key, value] of Object.entries(asObject(secret.stringData))) {
    if (typeof value === 'string') data[key] = Buffer.from(value).toString('base64');
  }
  return data;
}

/** One value of a Secret; null when it has no such key. */
export function secretValue(data: SecretData, key: string): Buffer | null {
  return Object.hasOwn(data, key) ? Buffer.from(data[key] ?? '', 'base64') : null;
}
