import type { LocalReason } from './local-response.ts';

/** Short codes for why Portico itself responded or cut a response off. Those that Envoy has mean the same there. */
export const CAUSE_CODES = {
  AD: 'access denied: by address, password, certificate or a block list',
  CP: 'closed by policy: an access rule cannot be enforced',
  DC: 'downstream connection: the client left',
  DPE: 'downstream protocol error: the request is not valid HTTP, or not served here',
  DR: 'draining: Portico shuts down',
  DT: 'deadline: the call took longer than its time limit',
  IE: 'internal error: a fault in Portico',
  LD: 'loop detected: the route leads back to Portico',
  MD: 'misdirected: the connection was opened for hosts with other TLS rules',
  NC: 'no cluster: the route names no backend',
  NR: 'no route: no rule has this host and path',
  NS: 'not supported: a protocol of the backend that this engine does not speak',
  OM: 'overload: a limit of Portico is reached',
  RD: 'redirect: the host is served over https only',
  RL: 'rate limited',
  SI: 'stream idle: the request did not arrive in time',
  TL: 'too large: the request line, head, path or body',
  UAEX: 'unauthorized by the external authentication server',
  UC: 'upstream connection: it ended before the response was complete',
  UF: 'upstream failure: no connection could be made',
  UH: 'no healthy upstream: no endpoint to send the request to',
  UPE: 'upstream protocol error: the response is not valid HTTP',
  UT: 'upstream timeout: no response in time',
} as const;
export type CauseCode = keyof typeof CAUSE_CODES;

const CODES: Readonly<Record<LocalReason, CauseCode | ''>> = {
  healthy: '',
  draining: 'DR',
  'https-only': 'RD',
  'no-route': 'NR',
  'backend-invalid': 'NC',
  'backend-unavailable': 'UH',
  'no-endpoint': 'UH',
  'upstream-refused': 'UF',
  'upstream-unreachable': 'UF',
  'upstream-handshake-failed': 'UF',
  'upstream-connect-timed-out': 'UF',
  'upstream-reset': 'UC',
  'upstream-protocol-error': 'UPE',
  'upstream-timed-out': 'UT',
  'deadline-exceeded': 'DT',
  'client-gone': 'DC',
  'request-timed-out': 'SI',
  'bad-message': 'DPE',
  'bad-framing': 'DPE',
  'bad-host': 'DPE',
  'bad-target': 'DPE',
  'host-disagrees': 'DPE',
  'tls-expected': 'DPE',
  'loop-detected': 'LD',
  'method-not-allowed': 'DPE',
  'method-unknown': 'DPE',
  'expectation-unknown': 'DPE',
  'transfer-coding-unknown': 'DPE',
  'version-not-supported': 'DPE',
  'body-too-large': 'TL',
  'head-too-large': 'TL',
  'target-too-long': 'TL',
  'path-too-costly': 'TL',
  'rate-limited': 'RL',
  unauthorized: 'UAEX',
  'auth-failed': 'UAEX',
  'auth-unavailable': 'UAEX',
  unauthenticated: 'AD',
  'address-denied': 'AD',
  blocked: 'AD',
  'client-name-denied': 'AD',
  'certificate-missing': 'AD',
  'certificate-refused': 'AD',
  'client-certificate-not-available': 'AD',
  misdirected: 'MD',
  'closed-by-policy': 'CP',
  'clients-unverifiable': 'CP',
  'passwords-unavailable': 'CP',
  'passwords-busy': 'OM',
  overloaded: 'OM',
  'protocol-not-supported': 'NS',
  'internal-fault': 'IE',
};

/** Every reason that a line may have. */
export const LOCAL_REASONS = Object.keys(CODES) as readonly LocalReason[];

/** The code for a `detail` of an exchange, with or without what stands behind its colon; empty for none. */
export function causeCode(detail: string): CauseCode | '' {
  if (detail === '') return '';
  const colon = detail.indexOf(':');
  return CODES[(colon < 0 ? detail : detail.slice(0, colon)) as LocalReason] ?? '';
}
