import { expect, test } from 'vitest';
import { directConnection } from '../../src/http/connection-info.ts';
import { fieldsViewOf } from '../../src/http/head-edit.ts';
import { NO_CONTENT } from '../../src/http/request-content.ts';
import { RequestEdit, type RequestView } from '../../src/http/request-view.ts';
import { Cancellation, type Subrequest } from '../../src/http/subrequest.ts';
import { requestMirror } from '../../src/policies/request-mirror.ts';
import { policyThread } from '../support/policy-thread.ts';

const SENT = fieldsViewOf([
  ['X-Kept', 'a'],
  ['X-Gone', 'b'],
]);
const REQUEST: RequestView = {
  ...{ method: 'GET', target: '/a?b=c', host: 'app.test', httpVersion: '1.1' },
  ...{ clientAddress: '10.0.0.1', requestId: '', loop: '', scheme: 'http', rule: null, body: NO_CONTENT },
  cancellation: new Cancellation(),
  noteAuth: () => {},
  connectionInfo: directConnection('10.0.0.1', false, 'http', 80),
  value: (name) => SENT.value(name),
  values: (name) => SENT.values(name),
  allFields: () => [
    ['X-Kept', 'a'],
    ['X-Gone', 'b'],
  ],
};

/** The copies of so many requests, with what other policies have changed in them. */
function copies(count: number, share: { numerator: number; denominator: number }): readonly Subrequest[] {
  const sent: Subrequest[] = [];
  const thread = {
    ...policyThread(() => 0),
    send(request: Subrequest) {
      sent.push(request);
      return Promise.resolve({ kind: 'failed', reason: 'unreachable' } as const);
    },
  };
  const mirrors = [{ namespace: 'shop', backend: 'shop/trial:80', ...share }];
  const policy = requestMirror.bind?.({ mirrors }, thread);
  for (let i = 0; i < count; i++) {
    const edit = new RequestEdit(SENT);
    edit.set('X-Set', 'new');
    edit.remove('X-Gone');
    edit.target = '/rewritten?b=c';
    edit.host = 'trial.test';
    void policy?.onRequest?.(REQUEST, edit);
  }
  return sent;
}

test.each([
  [{ numerator: 100, denominator: 100 }, 300],
  [{ numerator: 20, denominator: 100 }, 60],
  [{ numerator: 1, denominator: 3 }, 100],
  [{ numerator: 2, denominator: 3 }, 200],
])('of 300 requests %o is copied', (share, expected) => {
  expect(copies(300, share)).toHaveLength(expected);
});

test('a copy is what an endpoint of the route gets, for an endpoint of the other backend', () => {
  const [copy] = copies(1, { numerator: 1, denominator: 1 });
  expect(copy).toMatchObject({ to: { backend: 'shop/trial:80' }, method: 'GET', target: '/rewritten?b=c' });
  const fields = fieldsViewOf(copy?.fields ?? []);
  expect(['host', 'x-kept', 'x-set', 'x-gone'].map((name) => fields.value(name))).toEqual([
    'trial.test',
    'a',
    'new',
    undefined,
  ]);
});
