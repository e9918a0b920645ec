import type { HostGlob } from './glob.ts';

/**
 * Where a rule applies: a precise host, `*.suffix`, a glob (`~` and the glob), a regular expression (`/` and the
 * expression), all hosts (empty), or, for the default backend of an Ingress without rules, whatever nothing else takes.
 * Hosts hold no `~`, `/` and `!`.
 */
export type Scope = string;

export const HOSTLESS: Scope = '';
export const CATCH_ALL: Scope = '!';

export function globScope(glob: HostGlob): Scope {
  return `~${glob.glob}`;
}

export function regexScope(expression: string): Scope {
  return `/${expression}`;
}

export type ScopeKind = 'precise' | 'wildcard' | 'glob' | 'regex' | 'hostless' | 'catch-all';

export function scopeKind(scope: Scope): ScopeKind {
  if (scope === HOSTLESS) return 'hostless';
  if (scope === CATCH_ALL) return 'catch-all';
  if (scope.startsWith('~')) return 'glob';
  if (scope.startsWith('/')) return 'regex';
  return scope.startsWith('*.') ? 'wildcard' : 'precise';
}

/** The host of a scope as its rules wrote it; empty where there is none. */
export function scopeHost(scope: Scope): string {
  switch (scopeKind(scope)) {
    case 'precise':
    case 'wildcard':
      return scope;
    case 'glob':
    case 'regex':
      return scope.slice(1);
    case 'hostless':
    case 'catch-all':
      return '';
  }
}

/** `host "a.example.com"`, as a sentence says it. */
export function describeScope(scope: Scope): string {
  switch (scopeKind(scope)) {
    case 'precise':
    case 'wildcard':
      return `host "${scope}"`;
    case 'glob':
      return `hosts like "${scope.slice(1)}"`;
    case 'regex':
      return `hosts that match "${scope.slice(1)}"`;
    case 'hostless':
      return 'all hosts';
    case 'catch-all':
      return 'requests that match no rule';
  }
}
