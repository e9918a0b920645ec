import { describe, expect, test } from 'vitest';
import { formatProblem } from '../../src/model/format-problem.ts';
import { get } from '../../src/model/sharded-map.ts';
import { readManifests } from '../../src/watch/manifests.ts';
import { documents, folder, ingress, watched } from './manifests-folder.ts';

/** What is said of a file, without its folder. */
async function complaints(text: string): Promise<readonly string[]> {
  const { path } = await folder({ 'a.yaml': text });
  const set = await readManifests({ paths: [path] });
  return set.problems.map((each) => formatProblem(each, set.locate(each)).replace(`${path}/`, ''));
}

const SHOP = `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: shop }
spec:
  ingressClassName: portico
  rules:
    - host: shop.test
      http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: shop, port: { number: 80 } } } }] }
  tls: [{ hosts: [shop.test], secretName: shop }]
`;
const SERVICE = 'apiVersion: v1\nkind: Service\nmetadata: { name: shop }\n';

describe('a field that the API does not have', () => {
  test.each([
    ['host:', 'hosts:', '7:14: Ingress default/shop spec.rules[0].hosts', 'host'],
    ['tls:', 'tsl:', '9:3: Ingress default/shop spec.tsl', 'tls'],
    [
      'ingressClassName:',
      'ingressClass:',
      '5:17: Ingress default/shop spec.ingressClass',
      'ingressClassName',
    ],
  ])('%s written as %s', async (right, wrong, where, meant) => {
    expect(await complaints(SHOP)).toEqual([]);
    expect(await complaints(SHOP.replace(right, wrong))).toEqual([
      `a.yaml:${where}: Kubernetes 1.36 has no such field; did you mean "${meant}"? ` +
        'Until then the object is left out. (FieldUnknown)',
    ]);
  });

  test('without a similar name: the fields that there are', async () => {
    expect(await complaints(SHOP.replace('host:', 'domain:'))).toEqual([
      'a.yaml:7:15: Ingress default/shop spec.rules[0].domain: ' +
        'Kubernetes 1.36 has no such field here, only host, http; the object is left out. (FieldUnknown)',
    ]);
  });

  test('of another kind, and what only its own checks read', async () => {
    const ports = 'spec: { ports: [{ port: 80, targetport: 8080, nodePort: "30080" }] }\n';
    expect(await complaints(SERVICE + ports)).toEqual([
      expect.stringMatching(
        /spec\.ports\[0\]\.nodePort: "30080" must be a whole number, without quotes; .*\(FieldInvalid\)$/,
      ),
      expect.stringMatching(
        /spec\.ports\[0\]\.targetport: .* did you mean "targetPort"\? .*\(FieldUnknown\)$/,
      ),
    ]);
  });

  test('a Secret: what it holds is not printed', async () => {
    const text = 'apiVersion: v1\nkind: Secret\nmetadata: { name: s }\ntype: Opaque\npassword: hunter2\n';
    const said = await complaints(text);
    expect(said).toEqual([expect.stringContaining('Secret default/s password: ')]);
    expect(said.join()).not.toContain('hunter2');
  });
});

test('thousands of unknown fields are a thousand problems, and cost no more than these', async () => {
  const fields = Array.from({ length: 2_000 }, (_, index) => `  unknown-field-number-${index}: 1\n`);
  expect(await complaints(`${SERVICE}spec:\n  ports: [{ port: 80 }]\n${fields.join('')}`)).toHaveLength(
    1_000,
  );
});

test('one value of a wrong type is one problem', async () => {
  const found = await complaints(SHOP.replace('number: 80', 'number: "80"'));
  expect(found).toEqual([expect.stringContaining('port.number: "80" must be a number from 1 to 65535')]);
});

describe('a misspelt kind', () => {
  test.each([
    ['networking.k8s.io/v1', 'Ingres', 'has no kind "Ingres"; write Ingress', 'KindUnknown'],
    ['networking.k8s.io/v1', 'ingress', 'has no kind "ingress"; write Ingress', 'KindUnknown'],
    [
      'networking.k8s.io/v2',
      'Ingress',
      'has no Ingress; write apiVersion: networking.k8s.io/v1',
      'ApiVersionUnknown',
    ],
    [
      'networkin.k8s.io/v1',
      'Ingress',
      'has no Ingress; write apiVersion: networking.k8s.io/v1',
      'ApiVersionUnknown',
    ],
    ['apps/v1', 'Service', 'has no Service; write apiVersion: v1', 'ApiVersionUnknown'],
    ['gateway.networking.k8s.io/v1', 'HttpRoute', 'has no kind "HttpRoute"; write HTTPRoute', 'KindUnknown'],
    [
      'gateway.networking.k8s.io/v2',
      'Gateway',
      'has no Gateway; write apiVersion: gateway.networking.k8s.io/v1',
      'ApiVersionUnknown',
    ],
  ])('%s %s', async (apiVersion, kind, reason, code) => {
    const said = await complaints(
      `# one line more\napiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: { name: a }\n`,
    );
    const line = code === 'KindUnknown' ? 3 : 2;
    expect(said).toEqual([expect.stringMatching(new RegExp(`^a\\.yaml:${line}:\\d+: .*\\(${code}\\)$`))]);
    expect(said[0]).toContain(reason);
  });

  test('kinds of other groups, whatever they are called, are nobody’s mistake', async () => {
    const kinds = [
      'networking.internal.knative.dev/v1alpha1 Ingress',
      'example.com/v1 Ingres',
      'networking.istio.io/v1 Gateway',
      'gateway.networking.k8s.io/v1 Mesh',
      'apps/v1 Deployment',
    ];
    const text = kinds.map((each) => {
      const [apiVersion, kind] = each.split(' ');
      return `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: { name: a }\n---\n`;
    });
    expect(await complaints(text.join(''))).toEqual([]);
  });

  test('keeps what the file held before, as invalid YAML does', async () => {
    const good = documents(ingress('a', 'old.test'));
    const made = await folder({ 'a.yaml': good });
    const w = await watched([made.path]);
    await made.write('a.yaml', good.replace('kind: Ingress', 'kind: Ingres').replace('old.test', 'new.test'));
    await w.until(() => w.source.problems().length > 0);
    expect(w.source.problems()).toMatchObject([
      { code: 'KindUnknown', message: expect.stringContaining('the last valid version stays in use') },
    ]);
    expect(get(w.source.snapshot().ingresses, 'shop/a')?.spec?.rules?.[0]?.host).toBe('old.test');
  });
});

describe('Gateway API', () => {
  const gateway = (more: string): string => `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: web }
spec:
  gatewayClassName: portico
  listeners:
    - { name: http, port: 80, protocol: HTTP${more} }
`;

  test('a field that it does not have is an error with its place', async () => {
    expect(await complaints(gateway(''))).toEqual([]);
    expect(await complaints(gateway(', hostnam: a.test'))).toEqual([
      'a.yaml:7:56: Gateway default/web spec.listeners[0].hostnam: ' +
        'Gateway API 1.6 has no such field; did you mean "hostname"? Until then the object is left out. (FieldUnknown)',
    ]);
  });

  test('what the rules of the API refuse is an error', async () => {
    expect(await complaints(gateway(', tls: { mode: Terminate, certificateRefs: [{ name: a }] }'))).toEqual([
      "a.yaml:6:3: Gateway default/web spec.listeners: tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']; " +
        'the API server refuses such an object; the object is left out. (FieldInvalid)',
    ]);
  });

  test.each([
    ['v1beta1', 'Gateway', null],
    ['v1alpha2', 'TCPRoute', null],
    ['v1alpha2', 'HTTPRoute', 'RetiredVersion'],
    ['v1alpha3', 'BackendTLSPolicy', 'RetiredVersion'],
  ])('%s %s', async (version, kind, code) => {
    const text = `apiVersion: gateway.networking.k8s.io/${version}\nkind: ${kind}\nmetadata: { name: a }\nspec: {}\n`;
    const said = (await complaints(text)).filter((line) => line.includes('RetiredVersion'));
    expect(said).toHaveLength(code === null ? 0 : 1);
  });

  test('Namespaces give the labels that selectors look at', async () => {
    const { path } = await folder({
      'a.yaml': 'apiVersion: v1\nkind: Namespace\nmetadata: { name: shop, labels: { team: web } }\n',
    });
    const { snapshot } = await readManifests({ paths: [path] });
    expect(get(snapshot.namespaces, 'shop')?.metadata?.labels).toEqual({ team: 'web' });
  });
});
