import { expect, test } from 'vitest';
import { RequestEdit, type RequestView } from '../../src/http/request-view.ts';
import { clientName } from '../../src/policies/client-name.ts';
import { distinguishedName } from '../../src/proxy/tls/presented-certificate.ts';
import { policyThread } from '../support/policy-thread.ts';

test.each([
  ['C=DE\nCN=admin', true],
  ['CN=admin\nO=Shop', true],
  ['C=DE\nUID=q + CN=admin', true],
  ['CN=eve', false],
  // What stands in other parts of the subject is not its name.
  ['CN=eve\nO=x\\,CN=admin', false],
  ['CN=eve\nO=x\\+CN=admin', false],
  ['CN=eve\nO=x\\\\\\,CN=admin', false],
  ['CN=eve\\,CN=admin', false],
  ['O=admin', false],
])('%j is admin: %s', (lines, expected) => {
  const policy = clientName.bind?.(
    { kind: 'names', names: ['admin'] },
    policyThread(() => 0),
  );
  const fields = { 'ssl-client-subject-dn': distinguishedName(lines) };
  const view = { connectionInfo: { certificate: { verdict: 'verified', fields } } } as unknown as RequestView;
  expect(policy?.onRequest?.(view, new RequestEdit(view))).toHaveProperty(
    'kind',
    expected ? 'continue' : 'refuse',
  );
});
