import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Compilation,
  type CompileSettings,
  compile,
  listProblems,
} from '../../src/routing/compile/compile.ts';
import { explain } from '../../src/routing/explanation.ts';
import { match, normalizeHost, normalizePath } from '../../src/routing/match.ts';
import { entries, get, values } from '../../src/model/sharded-map.ts';
import { EMPTY_SNAPSHOT, type ObjectChange, applyChanges, snapshotOf } from '../../src/model/snapshot.ts';
import { applyTableUpdate, tableUpdate } from '../../src/routing/table-update.ts';
import { HOST_OWNERSHIPS } from '../../src/routing/settings.ts';
import { CASE_SETTINGS } from '../support/cases.ts';
import { OUR_CLASS, anyObject, ingresses, requestHost, requestPath } from './arbitrary-cluster.ts';
import { type OracleIngress, oracle } from './oracle.ts';
import { examples } from '../support/examples.ts';

const SETTINGS: CompileSettings = { ...CASE_SETTINGS, location: { node: 'node-1', zone: 'zone-a' } };

const ownership = fc.constantFrom(...HOST_OWNERSHIPS);

/** The table and the problems without the generations, which count the snapshots taken. */
function result(compilation: Compilation): unknown {
  return { table: { ...compilation.table, generation: 0 }, problems: listProblems(compilation) };
}

/** A change, or the deletion of the same object. */
const anyChange = fc.tuple(anyObject, fc.integer({ max: 3, min: 0 })).map(([change, die]): ObjectChange => {
  return die === 0 ? { ...change, object: undefined } : change;
});

function lastOfEach(changes: readonly ObjectChange[]): ObjectChange[] {
  return [...new Map(changes.map((change) => [`${change.kind} ${change.key}`, change])).values()];
}

describe('compile and match', () => {
  it('routes every request as the reference page tells it', () => {
    fc.assert(
      fc.property(
        ingresses,
        fc.array(fc.tuple(requestHost, requestPath), { minLength: 10, maxLength: 20 }),
        ownership,
        (written, requests, hostOwnership) => {
          const changes = lastOfEach(written);
          const { table } = compile(snapshotOf([OUR_CLASS, ...changes]), { ...SETTINGS, hostOwnership });
          const objects = changes.map((change) => change.object as unknown as OracleIngress);
          for (const [hostHeader, target] of requests) {
            const host = normalizeHost(hostHeader);
            const path = normalizePath(target);
            if (host === null || path === null) continue;
            const route = match(table, host, path);
            const found = route && `${route.ingress} ${route.field}`;
            expect([hostHeader, target, found]).toEqual([
              hostHeader,
              target,
              oracle(objects, hostHeader, target, hostOwnership === 'namespace'),
            ]);
            expect(!route || get(table.backends, route.backend)).toBeTruthy();
          }
        },
      ),
      { numRuns: examples(100) },
    );
  });

  it('does not depend on the order in which objects arrive', () => {
    const shuffled = fc
      .array(anyObject, { maxLength: 14 })
      .map(lastOfEach)
      .chain((objects) =>
        fc.tuple(fc.constant(objects), fc.shuffledSubarray(objects, { minLength: objects.length })),
      );
    fc.assert(
      fc.property(shuffled, ([one, other]) => {
        expect(result(compile(snapshotOf(other), SETTINGS))).toEqual(
          result(compile(snapshotOf(one), SETTINGS)),
        );
      }),
      { numRuns: examples(50) },
    );
  });

  it('gives step by step what it gives from scratch', () => {
    const steps = fc.array(fc.array(anyChange, { minLength: 1, maxLength: 4 }), { maxLength: 10 });
    fc.assert(
      fc.property(steps, ownership, (steps, hostOwnership) => {
        const settings = { ...SETTINGS, hostOwnership };
        let snapshot = applyChanges(EMPTY_SNAPSHOT, [OUR_CLASS]);
        let compilation = compile(snapshot, settings);
        for (const changes of steps) {
          snapshot = applyChanges(snapshot, changes);
          compilation = compile(snapshot, settings, compilation);
          expect(result(compilation)).toEqual(result(compile(snapshot, settings)));
        }
      }),
      { numRuns: examples(25) },
    );
  });

  it('keeps nothing of what is gone', () => {
    fc.assert(
      fc.property(fc.array(anyObject, { maxLength: 12 }), ownership, (objects, hostOwnership) => {
        const settings = { ...SETTINGS, hostOwnership };
        const full = snapshotOf([OUR_CLASS, ...objects]);
        const gone = applyChanges(
          full,
          objects.map((change) => ({ ...change, object: undefined }) as ObjectChange),
        );
        const { indexes: members, ...rest } = compile(gone, settings, compile(full, settings));
        const { asked, claims, usesByNamespace, scopes, globBuckets, backends, certificates, problems } =
          rest;
        const left = [asked, claims, usesByNamespace, scopes, globBuckets, backends, certificates, problems];
        left.push(...Object.values(members));
        expect(left.map(({ size }) => size)).toEqual(left.map(() => 0));
      }),
      { numRuns: examples(25) },
    );
  });

  it('returns the same table when nothing in it changes, and leaves its input alone', () => {
    fc.assert(
      fc.property(fc.array(anyObject, { maxLength: 10 }), (objects) => {
        const frozen = deepFreeze(structuredClone(objects));
        const snapshot = snapshotOf(frozen);
        const first = compile(snapshot, SETTINGS);
        const again = applyChanges(snapshot, structuredClone(objects));
        expect(compile(again, { ...SETTINGS, now: SETTINGS.now + 1 }, first).table).toBe(first.table);
      }),
      { numRuns: examples(25) },
    );
  });

  it('sends a thread what changed, and the thread ends up with the same table', () => {
    fc.assert(
      fc.property(
        fc.array(anyObject, { maxLength: 10 }),
        fc.array(anyChange, { maxLength: 5 }),
        (objects, changes) => {
          const before = compile(snapshotOf([OUR_CLASS, ...objects]), SETTINGS);
          const after = compile(applyChanges(before.snapshot, changes), SETTINGS, before);
          const received = applyTableUpdate(before.table, structuredClone(tableUpdate(null, before.table)));
          expect(received).toEqual(before.table);
          const update = structuredClone(tableUpdate(before.table, after.table));
          expect(applyTableUpdate(received, update)).toEqual(after.table);
        },
      ),
      { numRuns: examples(25) },
    );
  });

  it('explains the route that match finds', () => {
    const anyCluster = fc.array(anyObject, { maxLength: 12 });
    fc.assert(
      fc.property(anyCluster, requestHost, requestPath, ownership, (objects, host, path, hostOwnership) => {
        const compilation = compile(snapshotOf([...objects, OUR_CLASS]), { ...SETTINGS, hostOwnership });
        const { outcome, otherRules } = explain(compilation, { scheme: 'http', host, path });
        const [normalHost, normalPath] = [normalizeHost(host), normalizePath(path)];
        if (normalHost === null || normalPath === null) {
          expect(outcome).toMatchObject({ kind: 'refuse', status: 400 });
          return;
        }
        const route = match(compilation.table, normalHost, normalPath);
        expect(outcome.route).toEqual(route);
        for (const candidate of otherRules) expect(candidate.route).not.toEqual(route);
      }),
      { numRuns: examples(50) },
    );
  });
});

const DEEP = 20_000;

/** A value in so many lists, or maps. */
function nested(wrap: (inner: unknown) => unknown): unknown {
  let value: unknown = null;
  for (let depth = 0; depth < DEEP; depth++) value = wrap(value);
  return value;
}

const EXTREMES: readonly unknown[] = [
  nested((inner) => [inner]),
  nested((inner) => ({ spec: inner, service: inner })),
  '/a'.repeat(DEEP),
  '{a,'.repeat(DEEP),
  '*.'.repeat(DEEP),
  Array.from({ length: DEEP }, (_, i) => `h${i}.test`),
  Array.from({ length: DEEP }, (_, i) => ({ host: `h${i}.test`, secretName: 's' })),
  Array.from({ length: DEEP }, (_, i) => ({
    path: `/${i}`,
    pathType: 'Exact',
    addresses: [`10.0.${i % 256}.1`],
  })),
];

/** What belongs to nobody of those who write the rest. */
const VICTIM: ObjectChange = {
  kind: 'Ingress',
  key: 'victim/web',
  object: {
    metadata: { namespace: 'victim', name: 'web' },
    spec: {
      ingressClassName: 'portico',
      rules: [
        {
          host: 'victim.test',
          http: {
            paths: [
              { path: '/', pathType: 'Prefix', backend: { service: { name: 'web', port: { number: 80 } } } },
            ],
          },
        },
      ],
    },
  },
};

describe('hostile objects', () => {
  const garbage = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.anything({ withNullPrototype: true, withBigInt: true, withDate: true, maxDepth: 4 }),
    },
    // Deep, long and many: more than the stack of the runtime, and than any limit.
    { weight: 1, arbitrary: fc.constantFrom(...EXTREMES) },
  );
  /** Objects that look right for a while and then hold anything at all. */
  const misshapen = fc.tuple(anyObject, garbage, fc.nat(), fc.nat(6)).map(([change, value, seed, depth]) => {
    return { ...change, object: spoil(change.object, value, seed, depth) } as ObjectChange;
  });

  it('never make compile throw, and take no route from another tenant', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(anyObject, misshapen), { maxLength: 8 }),
        requestHost,
        requestPath,
        (objects, host, path) => {
          const compilation = compile(snapshotOf([...objects, OUR_CLASS, VICTIM]), SETTINGS);
          expect(match(compilation.table, 'victim.test', '/')?.ingress).toBe('victim/web');
          explain(compilation, { scheme: 'http', host, path });
          for (const { message, object } of listProblems(compilation)) {
            expect(message).not.toMatch(/[\r\n]|undefined|\[object/);
            expect(object.name).toBeTypeOf('string');
          }
          structuredClone(compilation.table);
          for (const [key, backend] of entries(compilation.table.backends)) expect(backend.key).toBe(key);
          for (const routes of values(compilation.table.hosts)) expect(routes.paths[0]?.label).toBe('');
        },
      ),
      { numRuns: examples(125) },
    );
  });
});

/** A copy in which one place, found by walking `depth` steps down, holds `value`. */
function spoil(object: unknown, value: unknown, seed: number, depth: number): unknown {
  if (typeof object !== 'object' || object === null || depth === 0) return value;
  const copy: Record<string, unknown> | unknown[] = Array.isArray(object)
    ? [...(object as unknown[])]
    : { ...object };
  const keys = Object.keys(copy);
  const key = keys[seed % keys.length];
  if (key === undefined) return value;
  const place = copy as Record<string, unknown>;
  place[key] = spoil(place[key], value, Math.floor(seed / 3), depth - 1);
  return copy;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
