import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { type DistinguishedName, signCertificate } from '../../../src/controller/x509.ts';
import { serviceOf, slicesOf } from '../../e2e/site.ts';
import type { ApiObject } from '../../support/api-server.ts';
import { createAuthority } from '../../support/certificates.ts';
import { HTTPS_PORT } from '../../support/daemon.ts';
import { type Family, type Scene, sampled } from '../scene.ts';
import { type Site, inTime } from '../site.ts';

/** Of an Ingress of half a megabyte, in each thread. */
const MOST_TABLE_MIB = 20;
const VICTIM = { namespace: 'victim', created: '2020-01-01T00:00:00Z' };
const ATTACKER = { namespace: 'attacker', created: '2026-01-01T00:00:00Z' };

type PathType = 'Exact' | 'Prefix' | 'ImplementationSpecific';

interface Written {
  readonly namespace: string;
  readonly created: string;
  readonly name: string;
  readonly host: string;
  readonly paths: readonly (readonly [path: string, pathType: PathType])[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly tls?: readonly { readonly hosts: readonly string[]; readonly secretName?: string }[];
  /** `web` unless said. */
  readonly service?: string;
}

function ingress({
  namespace,
  created,
  name,
  host,
  paths,
  annotations,
  tls,
  service = 'web',
}: Written): ApiObject {
  const backend = { service: { name: service, port: { name: 'http' } } };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: { name, namespace, creationTimestamp: created, ...(annotations && { annotations }) },
    spec: {
      ingressClassName: 'portico',
      ...(tls && { tls }),
      rules: [{ host, http: { paths: paths.map(([path, pathType]) => ({ path, pathType, backend })) } }],
    },
  } as ApiObject;
}

function secret(
  name: string,
  { namespace }: { namespace: string },
  data: Readonly<Record<string, string>>,
): ApiObject {
  const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace },
    type: 'kubernetes.io/tls',
    data: Object.fromEntries(encoded),
  } as ApiObject;
}

/** A Service of the attacker at these places, or nowhere. */
function service(name: string, endpoints: readonly string[] = []): ApiObject[] {
  const site = { host: '', name, namespace: ATTACKER.namespace, endpoints };
  return [serviceOf(site), ...slicesOf(site)];
}

function externalName(name: string, externalName: string): ApiObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: ATTACKER.namespace },
    spec: { type: 'ExternalName', externalName, ports: [{ name: 'http', port: 80 }] },
  } as ApiObject;
}

const authority = createAuthority();

function victims(endpoint: string): readonly ApiObject[] {
  const site = { host: '', name: 'web', namespace: VICTIM.namespace, endpoints: [endpoint] };
  const issued = authority.issue(['mutual.test']);
  const certificate = { 'tls.crt': issued.certificate, 'tls.key': issued.key };
  return [
    serviceOf(site),
    ...slicesOf(site),
    ingress({
      ...VICTIM,
      name: 'paths',
      host: 'paths.test',
      paths: [
        ['/', 'Prefix'],
        ['/foo', 'Prefix'],
        ['/exact', 'Exact'],
      ],
    }),
    ingress({ ...VICTIM, name: 'specific', host: 'specific.test', paths: [['/', 'ImplementationSpecific']] }),
    ingress({ ...VICTIM, name: 'clear', host: 'clear.victims.test', paths: [['/', 'Prefix']] }),
    secret('mutual', VICTIM, certificate),
    secret('ca', VICTIM, { 'tls.crt': '', 'tls.key': '', 'ca.crt': authority.certificate }),
    ingress({
      ...VICTIM,
      name: 'mutual',
      host: 'mutual.test',
      paths: [['/admin', 'Prefix']],
      annotations: { 'portico.dev/client-ca-secret': 'ca' },
      tls: [{ hosts: ['mutual.test'], secretName: 'mutual' }],
    }),
    ingress({
      ...VICTIM,
      created: ATTACKER.created,
      name: 'open',
      host: 'mutual.test',
      paths: [['/', 'Prefix']],
    }),
  ];
}

/** Somebody else's rules for hosts and paths that the victim had first, and the requests that stay the victim's. */
const TAKEOVERS: readonly {
  readonly name: string;
  readonly rule: Pick<Written, 'host' | 'paths' | 'annotations'>;
  /** Of the host and these paths. */
  readonly host?: string;
  readonly stays: readonly string[];
}[] = [
  {
    name: 'Prefix /foo/ for /foo',
    rule: { host: 'paths.test', paths: [['/foo/', 'Prefix']] },
    stays: ['/foo', '/foo/', '/foo/bar'],
  },
  {
    name: 'the same Prefix',
    rule: { host: 'paths.test', paths: [['/foo', 'Prefix']] },
    stays: ['/foo', '/foo/bar'],
  },
  {
    name: 'the same Exact path',
    rule: { host: 'paths.test', paths: [['/exact', 'Exact']] },
    stays: ['/exact'],
  },
  {
    name: 'an encoded form of a path',
    rule: { host: 'paths.test', paths: [['/%66oo', 'Prefix']] },
    stays: ['/foo'],
  },
  {
    name: 'ImplementationSpecific for Prefix',
    rule: { host: 'paths.test', paths: [['/foo', 'ImplementationSpecific']] },
    stays: ['/foo', '/foo/bar'],
  },
  {
    name: 'Prefix / for ImplementationSpecific /',
    rule: { host: 'specific.test', paths: [['/', 'Prefix']] },
    host: 'specific.test',
    stays: ['/', '/any'],
  },
  {
    name: 'the host in upper case',
    rule: { host: 'PATHS.test', paths: [['/foo', 'Prefix']] },
    stays: ['/foo'],
  },
  {
    name: 'a wildcard above the host',
    rule: { host: '*.victims.test', paths: [['/', 'Prefix']] },
    host: 'clear.victims.test',
    stays: ['/'],
  },
  {
    name: 'a host glob over the host',
    rule: {
      host: 'own.attacker.test',
      paths: [['/', 'Prefix']],
      annotations: { 'portico.dev/host-globs': 'pa*s.test' },
    },
    stays: ['/', '/foo'],
  },
];

const REFUSED_PLACES: readonly string[] = [
  '169.254.169.254',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.192',
  '0.0.0.0',
  '224.0.0.1',
];

const REFUSED_NAMES: readonly string[] = [
  ...REFUSED_PLACES,
  '[fd00:ec2::254]',
  '0xa9fea9fe',
  '2852039166',
  'metadata.google.internal',
  'web.victim.svc.cluster.local',
  'web.victim.svc',
];

export const tenants: Family = {
  name: 'tenants',
  flags: ['--https-port', `${HTTPS_PORT}`],
  objects: victims,
  scenes: [
    ...TAKEOVERS.map(takeover),
    {
      name: 'spec.tls for a host, and a wildcard, of another namespace',
      promise: 'does not turn its clear-text requests into redirects',
      run: (site) =>
        served(
          site,
          [
            ...service('web', [site.endpoint]),
            ingress({
              ...ATTACKER,
              name: 'tls',
              host: 'own.attacker.test',
              paths: [['/', 'Prefix']],
              tls: [{ hosts: ['clear.victims.test'] }, { hosts: ['*.victims.test'] }],
            }),
          ],
          'clear.victims.test',
        ),
    },
    ...[
      '..%2f..%2fadmin',
      '..;/..;/admin',
      '..\\..\\admin',
      'a/b/c',
      '%2e%2e/admin',
      'token/../../admin',
    ].map(challenge),
    {
      name: 'DELETE of an ACME challenge of a host that requires certificates',
      promise: 'the exemption is for GET and HEAD',
      run: (site) => closed(site, 'DELETE', '/.well-known/acme-challenge/token'),
    },
    ...sampled([
      ...REFUSED_PLACES.map((address) =>
        unreachable(`an endpoint at ${address}`, () => service('aim', [`${address}:80`])),
      ),
      ...REFUSED_NAMES.map((name) =>
        unreachable(`the ExternalName ${name}`, () => [externalName('aim', name)]),
      ),
    ]),
    {
      name: 'a Service of another namespace, named with a slash',
      promise: 'an Ingress reaches Services of its own namespace only',
      run: (site) => notServed(site, 'aim/../../victim/web', []),
    },
    {
      name: '1,800 prefixes, each in the one before',
      promise: 'changes of others are served as before',
      fullOnly: true,
      run: (site) =>
        manyPaths(
          site,
          Array.from({ length: 1_800 }, (_, index) => `/${'a'.repeat(index + 1)}`),
        ),
    },
    {
      name: '1,000 prefixes, each a segment below the one before',
      promise: 'changes of others are served as before',
      fullOnly: true,
      run: (site) =>
        manyPaths(
          site,
          Array.from({ length: 1_000 }, (_, index) => '/a'.repeat(index + 1)),
        ),
    },
    {
      name: '100 Ingresses with 16 host globs each, and a host that nearly matches',
      promise: 'a request costs no more than a few milliseconds of a processor',
      fullOnly: true,
      run: manyGlobs,
    },
    {
      name: '4,000 paths on 16 host globs in one Ingress',
      promise: `a thread holds no more than ${MOST_TABLE_MIB} MiB for it`,
      fullOnly: true,
      run: pathsTimesGlobs,
    },
    {
      name: 'an RSA key of 4,608 bits',
      promise: 'no handshake is made with it',
      fullOnly: true,
      run: largeKey,
    },
  ],
};

function takeover({ name, rule, host = 'paths.test', stays }: (typeof TAKEOVERS)[number]): Scene {
  return {
    name: `a younger Ingress of another namespace writes ${name}`,
    promise: 'the older one keeps what it had',
    async run(site) {
      // It leads nowhere, so that whatever it takes is not answered by the victim.
      await site.apply([...service('web'), ingress({ ...ATTACKER, name: 'takeover', ...rule })]);
      for (const path of stays) {
        const { status } = await site.get(host, path);
        if (status !== 200) return `${host}${path} answers ${status}`;
      }
      return null;
    },
  };
}

async function served(site: Site, objects: readonly ApiObject[], host: string): Promise<string | null> {
  await site.apply(objects);
  const { status } = await site.get(host);
  return status === 200 ? null : `it answers ${status}`;
}

function challenge(rest: string): Scene {
  return {
    name: `/.well-known/acme-challenge/${rest} on a host that requires certificates`,
    promise: 'no Pod is reached without a certificate but for a token of a challenge',
    run: (site) => closed(site, 'GET', `/.well-known/acme-challenge/${rest}`),
  };
}

async function closed(site: Site, method: string, path: string): Promise<string | null> {
  const { status, field } = await site.daemon.request('mutual.test', path, { method });
  return field('x-pod') === undefined ? null : `the Pod answered ${status}`;
}

function unreachable(name: string, objects: () => readonly ApiObject[]): Scene {
  return {
    name,
    promise: 'no request is sent there',
    run: (site) => notServed(site, 'aim', objects()),
  };
}

async function notServed(site: Site, name: string, objects: readonly ApiObject[]): Promise<string | null> {
  const host = 'aim.attacker.test';
  const aim = ingress({ ...ATTACKER, name: 'aim', host, paths: [['/', 'Prefix']], service: name });
  await site.apply([...objects, aim]);
  const { status } = await inTime(site.get(host), 'no answer');
  return status === 503 || status === 404 ? null : `it answers ${status}`;
}

async function manyPaths(site: Site, paths: readonly string[]): Promise<string | null> {
  const objects: ApiObject[] = [...service('web')];
  // As much as fits into one object of the API server.
  for (let from = 0; from < paths.length; from += 600) {
    const some = paths.slice(from, from + 600).map((path) => [path, 'Prefix'] as const);
    objects.push(ingress({ ...ATTACKER, name: `many-${from}`, host: 'many.attacker.test', paths: some }));
  }
  await site.apply(objects);
  await site.apply([]);
  return null;
}

async function manyGlobs(site: Site): Promise<string | null> {
  const letters = [...'abcdefghijklmnop'];
  const objects = Array.from({ length: 100 }, (_, index) =>
    ingress({
      ...ATTACKER,
      name: `glob-${index}`,
      host: `glob-${index}.attacker.test`,
      paths: [['/', 'Prefix']],
      annotations: {
        'portico.dev/host-globs': letters.map((letter) => `*a*a*${letter}${index}.com`).join(','),
      },
    }),
  );
  await site.apply([...service('web'), ...objects]);
  const host = `${'a'.repeat(63)}.com`;
  const cost = async (host: string): Promise<number> => {
    const requests = 50;
    const from = processorMs(site.daemon.pid);
    for (let i = 0; i < requests; i++) await site.get(host);
    return (processorMs(site.daemon.pid) - from) / requests;
  };
  await cost('nobody.test');
  const usual = await cost('nobody.test');
  const near = await cost(host);
  await site.apply([]);
  return near > usual + 5 ? `a request costs ${near.toFixed(0)} ms instead of ${usual.toFixed(0)} ms` : null;
}

async function pathsTimesGlobs(site: Site): Promise<string | null> {
  const held = async (): Promise<number> =>
    (await site.daemon.metric('portico_data_plane_memory_bytes{thread="0"}')) / 2 ** 20;
  const before = await held();
  const globs = Array.from({ length: 16 }, (_, index) => `*-${index}.attacker.test`);
  const paths = Array.from({ length: 4_000 }, (_, index) => [`/${index}`, 'Prefix'] as const);
  const large = ingress({
    ...ATTACKER,
    name: 'large',
    host: 'large.attacker.test',
    paths,
    annotations: { 'portico.dev/host-globs': globs.join(',') },
  });
  await site.apply([...service('web'), large]);
  const grown = (await held()) - before;
  await site.apply([]);
  return grown > MOST_TABLE_MIB ? `each thread holds ${Math.round(grown)} MiB more` : null;
}

async function largeKey(site: Site): Promise<string | null> {
  const host = 'key.attacker.test';
  const key = generateKeyPairSync('rsa', { modulusLength: 4_608 }).privateKey;
  const name: DistinguishedName = [['commonName', host]];
  const content = {
    subject: name,
    issuer: name,
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + 3_600_000),
    dnsNames: [host],
    isAuthority: false,
    serverOnly: false,
  };
  const data = {
    'tls.crt': signCertificate(content, key, key),
    'tls.key': key.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
  const tls = [{ hosts: [host], secretName: 'large' }];
  await site.apply([
    ...service('web'),
    secret('large', ATTACKER, data),
    ingress({ ...ATTACKER, name: 'key', host, paths: [['/', 'Prefix']], tls }),
  ]);
  const shown = await new Promise<string>((resolve, reject) => {
    const socket = connect({
      host: site.daemon.address,
      port: HTTPS_PORT,
      servername: host,
      rejectUnauthorized: false,
    });
    socket.on('error', reject);
    socket.on('secureConnect', () => {
      resolve(String(socket.getPeerCertificate().subject?.CN));
      socket.destroy();
    });
  });
  return shown === host ? 'a handshake was made with it' : null;
}

/** Milliseconds of processor time that a process has used. */
function processorMs(pid: number): number {
  const [, rest = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const numbers = rest.split(' ');
  return (Number(numbers[11]) + Number(numbers[12])) * 10;
}
