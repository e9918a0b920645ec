import { describe, expect, test } from 'vitest';
import type { Problem } from '../../src/model/problem.ts';
import { type ManifestSet, readManifests } from '../../src/watch/manifests.ts';
import { documents, folder, ingress } from './manifests-folder.ts';

/** What routing, which knows nothing of files, would say about a field of an object. */
function about(field: string, name = 'web', kind = 'Ingress'): Problem {
  return { code: 'X', severity: 'warning', object: { kind, namespace: 'shop', name }, field, message: 'x' };
}
async function read(text: string): Promise<(field: string, name?: string, kind?: string) => string> {
  const { path } = await folder({ 'a.yaml': text });
  const set: ManifestSet = await readManifests({ paths: [path] });
  return (field, name, kind) => {
    const place = set.locate(about(field, name, kind));
    return place ? `${place.file.slice(path.length + 1)}:${place.line}:${place.column}` : 'nowhere';
  };
}

describe('a field is found', () => {
  test.each([
    ['metadata.name', '23:9'],
    ['spec.rules[0].host', '28:13'],
    ['spec.rules[0].http.paths[0].path', '31:19'],
    ['spec.rules[0].http.paths[0].backend.service.port.number', '37:27'],
    // a map or a list: at its key
    ['spec.rules', '27:3'],
    ['spec.rules[0].http.paths[0].backend.service', '34:15'],
    // an item of a list: where it begins
    ['spec.rules[0]', '28:7'],
    // what is not there: at what is nearest around it
    ['spec.rules[0].http.paths[1].path', '30:9'],
    ['spec.rules[0].http.paths[0].backend.resource', '33:13'],
    ['spec.tls[0].hosts[2]', '25:1'],
    ['', '20:1'],
    ['nonsense..[[', '20:1'],
  ])('%s', async (field, place) => {
    const locate = await read(documents(ingress('other'), ingress('web')));
    expect(locate(field)).toBe(`a.yaml:${place}`);
  });

  test('by keys with dots and slashes, in brackets or not', async () => {
    const locate = await read(
      ingress('web').replace(
        '  name: web\n',
        '  name: web\n  annotations:\n    portico.dev/balance: worst\n    a: b\n',
      ),
    );
    expect(locate('metadata.annotations[portico.dev/balance]')).toBe('a.yaml:6:26');
    expect(locate('metadata.annotations["portico.dev/balance"]')).toBe('a.yaml:6:26');
    expect(locate('metadata.annotations.portico.dev/balance')).toBe('a.yaml:6:26');
    expect(locate('metadata.annotations[portico.dev/other]')).toBe('a.yaml:5:3');
  });

  test('in an item of a list', async () => {
    const item = ingress('web').replaceAll(/^/gm, '    ').trimEnd().replace('    ', '  - ');
    const locate = await read(`apiVersion: v1\nkind: List\nitems:\n${item}\n`);
    expect(locate('spec.rules[0].host')).toBe('a.yaml:12:17');
    expect(locate('')).toBe('a.yaml:4:5');
  });

  test('behind anchors and merge keys', async () => {
    const backend =
      '&b\n              service:\n                name: web\n                port: { number: 80 }\n';
    const locate = await read(
      ingress('web').replace(
        /backend:[^]*$/,
        `backend: ${backend}          - { path: /b, pathType: Exact, backend: { <<: *b } }\n`,
      ),
    );
    expect(locate('spec.rules[0].http.paths[1].backend.service.name')).toBe('a.yaml:16:23');
  });

  test('under stringData, where data was written so', async () => {
    const locate = await read(
      'apiVersion: v1\nkind: Secret\nmetadata: { name: tls, namespace: shop }\ndata: { ca.crt: eA== }\nstringData:\n  tls.crt: x\n',
    );
    expect(locate('data[tls.crt]', 'tls', 'Secret')).toBe('a.yaml:6:12');
    expect(locate('data[ca.crt]', 'tls', 'Secret')).toBe('a.yaml:4:17');
    expect(locate('data[tls.key]', 'tls', 'Secret')).toBe('a.yaml:4:1');
  });

  test('also with Windows line ends', async () => {
    const locate = await read(`\uFEFF${ingress('web').replaceAll('\n', '\r\n')}`);
    expect(locate('spec.rules[0].host')).toBe('a.yaml:9:13');
  });

  test('not for an object that is in no file', async () => {
    const locate = await read(ingress('web'));
    expect(locate('spec', 'absent')).toBe('nowhere');
  });
});
