/** Parameters whose values look like credentials, whatever the letter case. */
const CREDENTIAL =
  /^(?:.*(?:token|secret|password|passwd|signature|credential)|(?:x-)?api[-_]?key|auth|authorization|code|jwt|key|pass|pwd|session|sid|sig|x-amz-security-token)$/;

const REDACTED = 'REDACTED';

/** A request target with `REDACTED` in the place of values that look like credentials. Linear in its length. */
export function redactTarget(target: string): string {
  const start = target.indexOf('?');
  if (start < 0) return target;
  const parameters = target.slice(start + 1).split('&');
  let isSame = true;
  const redacted = parameters.map((parameter) => {
    const equals = parameter.indexOf('=');
    if (equals < 0 || !CREDENTIAL.test(nameOf(parameter.slice(0, equals)))) return parameter;
    isSame = false;
    return `${parameter.slice(0, equals)}=${REDACTED}`;
  });
  return isSame ? target : `${target.slice(0, start)}?${redacted.join('&')}`;
}

/** Longer names are no name that anything is called. */
const LONGEST_NAME = 100;

function nameOf(encoded: string): string {
  if (encoded.length > LONGEST_NAME) return '';
  try {
    return decodeURIComponent(encoded).toLowerCase();
  } catch {
    return encoded.toLowerCase();
  }
}
