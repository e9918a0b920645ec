import type { Secret } from './objects.ts';
import { asObject } from './untyped.ts';

/**
 * The data of a Secret that a policy uses, each value in base64 as the API has it. Goes to the data-plane threads beside
 * the table, and nowhere else.
 */
export type SecretData = Readonly<Record<string, string>>;

export function secretDataOf(secret: Secret): SecretData {
  const entries = Object.entries(asObject(secret.data)).filter(([, value]) => typeof value === 'string');
  // It was just made sure that each value is a string.
  return Object.fromEntries(entries) as SecretData;
}

/** One value of a Secret; null when it has no such key. */
export function secretValue(data: SecretData, key: string): Buffer | null {
  return Object.hasOwn(data, key) ? Buffer.from(data[key] ?? '', 'base64') : null;
}
