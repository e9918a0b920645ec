import { assert, array, constantFrom, property } from 'fast-check';
import { expect, test } from 'vitest';
import { type Address, addressText, parseAddress, sortAddresses } from '../../src/publish/addresses.ts';
import { planReleased, planOwned, statusPatch } from '../../src/publish/ingress-status.ts';

const ip = (text: string): Address => ({ ip: text });
const withStatus = (...ingress: unknown[]): unknown => ({
  metadata: { resourceVersion: '7' },
  status: { loadBalancer: { ingress } },
});
const never = (): boolean => false;

test.each<[string, unknown, Address[], readonly Address[] | null]>([
  ['nothing yet', {}, [ip('10.0.0.1')], [ip('10.0.0.1')]],
  ['right already', withStatus(ip('10.0.0.1')), [ip('10.0.0.1')], null],
  [
    'right in another order',
    withStatus(ip('10.0.0.2'), ip('10.0.0.1')),
    [ip('10.0.0.1'), ip('10.0.0.2')],
    null,
  ],
  [
    'right with ports',
    withStatus({ ip: '10.0.0.1', ports: [{ port: 80, protocol: 'TCP' }] }),
    [ip('10.0.0.1')],
    null,
  ],
  [
    'one too few',
    withStatus(ip('10.0.0.1')),
    [ip('10.0.0.1'), ip('10.0.0.2')],
    [ip('10.0.0.1'), ip('10.0.0.2')],
  ],
  ['one too many', withStatus(ip('10.0.0.1'), ip('10.0.0.2')), [ip('10.0.0.1')], [ip('10.0.0.1')]],
  ['none wanted', withStatus(ip('10.0.0.1')), [], []],
  ['none wanted, none there', {}, [], null],
  ['a hostname', withStatus({ hostname: 'edge.example.com' }), [{ hostname: 'edge.example.com' }], null],
  [
    'an entry that is no address',
    withStatus(ip('10.0.0.1'), { ip: 'x' }),
    [ip('10.0.0.1')],
    [ip('10.0.0.1')],
  ],
  ['a status that is invalid', { status: 'yes' }, [ip('10.0.0.1')], [ip('10.0.0.1')]],
  ['a list that is none', { status: { loadBalancer: { ingress: 'no' } } }, [], null],
])('an Ingress we serve, %s', (_, ingress, addresses, expected) => {
  expect(planOwned(ingress, { addresses, lingers: never })).toEqual(expected);
});

test('an address that lingers is no reason to write, and does not outlive another reason', () => {
  const lingers = (address: Address): boolean => addressText(address) === '10.0.0.2';
  const addresses = [ip('10.0.0.1')];
  expect(planOwned(withStatus(ip('10.0.0.1'), ip('10.0.0.2')), { addresses, lingers })).toBe(null);
  expect(planOwned(withStatus(ip('10.0.0.2')), { addresses, lingers })).toEqual(addresses);
  expect(planOwned(withStatus(ip('10.0.0.1'), ip('10.0.0.3')), { addresses, lingers })).toEqual(addresses);
});

test.each<[string, unknown, string[], readonly Address[] | null]>([
  ['only ours', withStatus(ip('10.0.0.1')), ['10.0.0.1'], []],
  ['ours and others', withStatus(ip('10.0.0.1'), ip('192.0.2.1')), ['10.0.0.1'], [ip('192.0.2.1')]],
  ['only others', withStatus(ip('192.0.2.1')), ['10.0.0.1'], null],
  ['nothing', {}, ['10.0.0.1'], null],
])('an Ingress that left us, with %s', (_, ingress, ours, expected) => {
  expect(planReleased(ingress, new Set(ours))).toEqual(expected);
});

test('a patch is guarded by the version that was looked at, and deletes rather than empties', () => {
  expect(statusPatch(withStatus(), [])).toEqual({
    metadata: { resourceVersion: '7' },
    status: { loadBalancer: { ingress: null } },
  });
});

test('addresses are sorted, each once, IP addresses first', () => {
  const given = ['b.example.com', '10.0.0.2', 'A.example.com', '10.0.0.1', '10.0.0.2', 'a.example.com'];
  expect(sortAddresses(given.map(parseAddress)).map(addressText)).toEqual([
    '10.0.0.1',
    '10.0.0.2',
    'a.example.com',
    'b.example.com',
  ]);
});

test('whatever a status says, one write makes it right, and what left us keeps exactly the rest', () => {
  const some = array(constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3', 'a.example.com'), { maxLength: 6 });
  assert(
    property(some, some, (now, then) => {
      const addresses = sortAddresses(then.map(parseAddress));
      const before = withStatus(...now.map(parseAddress));
      const written = planOwned(before, { addresses, lingers: never });
      const same = [...new Set(now)].sort().join() === [...new Set(then)].sort().join();
      expect(written === null).toBe(same);
      if (written) expect(planOwned(withStatus(...written), { addresses, lingers: never })).toBe(null);
      const rest = planReleased(before, new Set(then)) ?? now.map(parseAddress);
      expect(rest.map(addressText)).toEqual(now.filter((address) => !then.includes(address)));
    }),
  );
});
