import type { Template } from '../../http/variables.ts';
import type { CacheRule } from './auth-cache.ts';
import type { AuthRequestConfig } from './auth-request.ts';

/** What `auth-url` and the annotations beside it ask for. */
export interface ExternalAuthConfig extends AuthRequestConfig {
  /** Where clients are sent that must sign in first; null to answer them with 401. */
  readonly signIn: Template | null;
  /** Fields of the answer that the Pod gets, in lower case. */
  readonly responseHeaders: readonly string[];
  /** Null to ask for each request. */
  readonly cache: { readonly key: Template; readonly rules: readonly CacheRule[] } | null;
  /** Rules with these paths, or paths below them, are let in. */
  readonly exempt: readonly string[];
  /** Under our own name: redirects of the server reach the client, and one that is away is 503 instead of 500. */
  readonly isOurs: boolean;
}
