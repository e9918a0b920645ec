import { cidrsOf } from '../../src/policies/cidrs.ts';
import { describe, expect, test } from 'vitest';
import { ObjectReader } from '../../src/model/object-reader.ts';
import { EMPTY_SNAPSHOT } from '../../src/model/snapshot.ts';
import type { GlobalDefaults } from '../../src/policies/global-defaults.ts';
import {
  type Annotations,
  globalOptionProblems,
  readAnnotations,
} from '../../src/routing/ingress/annotations.ts';

const NGINX = 'nginx.ingress.kubernetes.io/';
const NO_OBJECTS = new ObjectReader(EMPTY_SNAPSHOT);

/** What the annotations of Ingress shop/web ask for, where these global options are set. */
function read(annotations: Readonly<Record<string, string>>, defaults: GlobalDefaults): Annotations {
  const reference = { kind: 'Ingress', namespace: 'shop', name: 'web' };
  return readAnnotations({ metadata: { annotations } }, reference, NO_OBJECTS, defaults);
}

function problemsOf(defaults: GlobalDefaults): string[] {
  const object = { kind: 'ConfigMap', namespace: 'ingress-nginx', name: 'controller' };
  return globalOptionProblems(object, NO_OBJECTS, defaults).map(
    ({ severity, field, message }) => `${severity} ${field}: ${message}`,
  );
}

describe('a global option', () => {
  test('holds for an Ingress without annotations', () => {
    expect(read({}, { 'whitelist-source-range': '10.0.0.0/8' }).policies?.configs).toEqual({
      'source-ranges': { allow: cidrsOf(['10.0.0.0/8']), deny: null },
    });
    expect(read({}, { 'ssl-redirect': 'F' }).policies?.configs).toEqual({
      'ssl-redirect': { when: 'never' },
    });
    expect(read({}, {}).policies).toBeNull();
  });

  test('yields to the annotation, by whichever name it is written', () => {
    const defaults = { 'whitelist-source-range': '10.0.0.0/8', 'denylist-source-range': '10.1.0.0/16' };
    for (const name of [
      `${NGINX}allowlist-source-range`,
      `${NGINX}whitelist-source-range`,
      'portico.dev/allow-from',
    ])
      expect(read({ [name]: '192.0.2.1' }, defaults).policies?.configs).toEqual({
        'source-ranges': { allow: cidrsOf(['192.0.2.1']), deny: cidrsOf(['10.1.0.0/16']) },
      });
  });

  test('holds where a size or a time of an Ingress cannot be used', () => {
    const annotations = { [`${NGINX}proxy-body-size`]: '8 MB', 'portico.dev/read-timeout': 'long' };
    const defaults = { 'proxy-body-size': '1m', 'proxy-read-timeout': '120' };
    const { policies, problems } = read(annotations, defaults);
    expect(policies?.configs).toEqual({
      'request-body': { maxBytes: 2 ** 20, gatherBytes: null },
      timeouts: { connectMs: null, sendMs: null, readMs: 120_000 },
    });
    expect(problems.map(({ message }) => message)).toEqual([
      '"8 MB" is not a size: write a number with k, m or g, such as 10m; the default is used: 1m.',
      '"long" is not a duration: write a number with ms, s, m or h, such as 30s; the default is used: 120.',
    ]);
  });

  test('is not what an annotation of the same name without a prefix says', () => {
    expect(read({ 'whitelist-source-range': '192.0.2.1' }, {}).policies).toBeNull();
    expect(read({ 'whitelist-source-range': '192.0.2.1' }, { 'ssl-redirect': 'true' }).policies).toBeNull();
  });
});

describe('a global option that is not valid', () => {
  test('is a problem of its object, and the default is used', () => {
    expect(problemsOf({ 'ssl-redirect': 'sometimes', 'denylist-source-range': '10.0.0.0/8' })).toEqual([
      'warning data[ssl-redirect]: "sometimes" is not valid: use true, false, 1, 0, t or f; the default is used: true.',
    ]);
    expect(read({}, { 'ssl-redirect': 'sometimes' })).toEqual({ policies: null, globs: [], problems: [] });
  });

  test('closes what it should restrict, and says so at both objects', () => {
    expect(problemsOf({ 'whitelist-source-range': 'office' })).toEqual([
      'error data[whitelist-source-range]: "office" has "office", which is not an address or a range: write addresses and ' +
        'ranges like 10.0.0.0/8 with commas between them; every path of every Ingress without an annotation of its own ' +
        'answers 503 until this is fixed.',
    ]);
    const { policies, problems } = read({}, { 'whitelist-source-range': 'office' });
    expect(policies?.closed).toEqual(['source-ranges']);
    expect(problems.map(({ code, message }) => `${code}: ${message}`)).toEqual([
      'GlobalOptionInvalid: The global option whitelist-source-range is not valid, so every path of this Ingress answers 503 ' +
        'until this is fixed, or the Ingress has an annotation of its own.',
    ]);
    const own = read(
      { [`${NGINX}whitelist-source-range`]: '10.0.0.0/8' },
      { 'whitelist-source-range': 'office' },
    );
    expect([own.policies?.closed, own.problems]).toEqual([[], []]);
  });
});
