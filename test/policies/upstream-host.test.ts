import { expect, test } from 'vitest';
import { readAnnotationsOf } from '../support/annotations.ts';

const hostOf = (name: string, value: string) => {
  const { policies, problems } = readAnnotationsOf({ [name]: value });
  return [policies?.configs['upstream-host']?.host, problems.map(({ code }) => code)];
};

test.each(['app.internal', 'app.internal:8080', '10.0.0.1', '[2001:db8::1]:80', 'under_score', ' padded '])(
  '%s is asked for under either name',
  (host) => {
    expect(hostOf('portico.dev/upstream-host', host)).toEqual([host.trim(), []]);
    expect(hostOf('nginx.ingress.kubernetes.io/upstream-vhost', host)).toEqual([host.trim(), []]);
  },
);

test.each(['', 'a b', 'http://a', 'a/b', 'a\r\nX-Evil: 1', '$host', 'a:b', '[::1', 'a'.repeat(400)])(
  '%j is not, and Pods get the host of the client',
  (host) => {
    expect(hostOf('nginx.ingress.kubernetes.io/upstream-vhost', host)).toEqual([
      undefined,
      ['AnnotationInvalid'],
    ]);
  },
);
