import { type UntypedObject, asObject, asString, isAbsent, quote } from '../../model/untyped.ts';
import { type SessionCarrier, TOKEN } from '../../policies/affinity.ts';
import { fieldFault } from '../../policies/field-fault.ts';
import type { PolicyConfigs } from '../../policies/registry.ts';
import type { RouteKind } from '../table.ts';
import { durationMs } from './duration.ts';
import type { Fault } from './kinds.ts';

const USUAL_NAME = 'portico-session';
/** Fields that mean something else to clients or Pods. */
const OTHER_FIELDS =
  /^(?:host|cookie|set-cookie|location|authorization|www-authenticate|server|vary|via|accept.*|content-.*|access-control-.*|x-forwarded-.*|forwarded)$/i;

/** `sessionPersistence` of a rule, as the config of a policy. */
export function readRuleSession(
  rule: UntypedObject,
  kind: RouteKind,
  field: string,
): { readonly configs: PolicyConfigs; readonly fault: Fault | null } {
  const isHttp = kind === 'HTTPRoute' || kind === 'GRPCRoute';
  if (!isHttp || isAbsent(rule['sessionPersistence'])) return { configs: {}, fault: null };
  const written = asObject(rule['sessionPersistence']);
  const { sessionName, absoluteTimeout, type = 'Cookie' } = written;
  const { lifetimeType = 'Session' } = asObject(written['cookieConfig']);
  const at = `${field}.sessionPersistence`;
  const name = isAbsent(sessionName) || sessionName === '' ? USUAL_NAME : (asString(sessionName) ?? '');
  const lastsMs = isAbsent(absoluteTimeout) ? null : durationMs(absoluteTimeout);
  if (lastsMs === undefined || lastsMs === 0)
    return invalid(
      `The absoluteTimeout ${quote(absoluteTimeout)} of ${at} is not valid: write a duration, like 1h.`,
    );
  if (type !== 'Cookie' && type !== 'Header')
    return invalid(`The type ${quote(type)} of ${at} is not valid: write Cookie or Header.`);
  if (lifetimeType !== 'Session' && lifetimeType !== 'Permanent')
    return invalid(
      `The lifetimeType ${quote(lifetimeType)} of ${at} is not valid: write Session or Permanent.`,
    );
  const isPermanent = type === 'Cookie' && lifetimeType === 'Permanent';
  if (isPermanent && lastsMs === null)
    return invalid(`A permanent cookie lasts for a time that ${at} does not say: write an absoluteTimeout.`);
  if (!TOKEN.test(name) || (type === 'Header' && (fieldFault(name, 'x') !== null || OTHER_FIELDS.test(name))))
    return invalid(
      `The sessionName ${quote(name)} of ${at} cannot be used: write another one, like session.`,
    );
  const lastsSeconds = lastsMs === null ? null : Math.ceil(lastsMs / 1_000);
  const carrier =
    type === 'Header' ? { header: name.toLowerCase() } : cookieOf(name, isPermanent ? lastsSeconds : null);
  return {
    configs: {
      affinity: {
        mode: 'persistent',
        keepsCanary: true,
        changesOnFailure: true,
        carrier,
        ...(lastsSeconds !== null && { lastsSeconds }),
      },
    },
    fault: null,
  };
}

function cookieOf(name: string, maxAge: number | null): SessionCarrier {
  const usual = { path: null, domain: null, sameSite: null, sameSiteForOldBrowsers: false, secure: null };
  return { cookie: { name, ...usual, expires: maxAge, maxAge } };
}

function invalid(message: string): { readonly configs: PolicyConfigs; readonly fault: Fault } {
  return { configs: {}, fault: { reason: 'UnsupportedValue', message } };
}
