import type { IncomingMessage } from 'node:http';
import { type Socket, connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Case,
  type CaseRequest,
  clientCertificate,
  loadCases,
  observedFields,
  observedUpstream,
  requestHead,
  splitRequest,
} from '../support/cases.ts';
import { type Daemon, HTTPS_PORT, HTTP_PORT, eventually, startDaemon } from '../support/daemon.ts';
import { heldPort, loopbackAddress } from '../support/loopback.ts';
import { type WireMessage, wire } from '../support/wire.ts';
import { type Folder, createFolder } from './folder.ts';
import { type Pod, startPod } from './pod.ts';
import { happens } from '../support/until.ts';

const REFUSED =
  'holds objects that the API server refuses; of manifests they are left out, which other tests show';

/** Cases that mean something else, or cannot be asked, when they are served from manifests on one machine. */
const NOT_HERE: Readonly<Record<string, string>> = {
  'annotation-not-text': REFUSED,
  'backend-invalid': REFUSED,
  'host-invalid': REFUSED,
  misshapen: REFUSED,
  'path-invalid': REFUSED,
  'port-unknown': REFUSED,
  'tls-secret-malformed': REFUSED,
  'conflict-unknown-age':
    'manifests without a creation time are as old as can be, so that edits do not change who wins',
  'endpoints-hostile': 'manifests may name the loopback',
  'external-name-refused': 'manifests may name the loopback',
  'session-affinity': 'one client is answered by one endpoint, which another test shows',
  'endpoints-loopback-allowed': 'names 127.0.0.1:8080, which is not ours to take',
  'annotation-service-upstream': 'names a ClusterIP, which is not ours to take',
  'endpoint-is-portico': 'names 10.0.0.8:443, which is not ours to take',
  'global-options-refused': 'closes the marker of this run too',
  'default-of-controller-missing':
    'would have a process of its own; default-of-controller has the flag, and service-missing a Service that is not there',
  'external-name': 'asks the DNS of the machine, and speaks TLS and plain text on one port',
  'tls-foreign-host': 'asks the DNS of the machine',
  'annotation-tls-passthrough': 'its Pods speak TLS, as in test/e2e/tls-passthrough.test.ts',
  'stream-services': 'has no requests of HTTP',
  'stream-services-missing': 'has no requests of HTTP',
};

/** The endpoints that the cases name, each on a loopback address of its own, with the ports that are asked for. */
const PLACES: Readonly<Record<string, { readonly address: string; readonly ports: readonly number[] }>> = {
  '10.0.0.1': { address: loopbackAddress(), ports: [8080, 8085] },
  '10.0.0.2': { address: loopbackAddress(), ports: [8080, 8888] },
  '10.0.0.3': { address: loopbackAddress(), ports: [8080] },
  '10.0.0.4': { address: loopbackAddress(), ports: [8080] },
  '10.0.0.9': { address: loopbackAddress(), ports: [8080] },
  'fd00::1': { address: loopbackAddress(), ports: [8080] },
  'fd00::2': { address: loopbackAddress(), ports: [8080] },
};
/** Ports that are ours to take, in place of those that the cases name. */
const PORTS = new Map([
  [8080, await heldPort()],
  [8085, await heldPort()],
  [8888, await heldPort()],
]);

/** In no case: a rule for all hosts, left of the last case, cannot answer for it. */
const MARKER = { name: 'marker', address: loopbackAddress(), port: await heldPort() };

function placed(manifests: string): string {
  const moved = manifests
    .split(/^---$/m)
    .map((document) => (/\bkind: EndpointSlice\b/.test(document) ? withPorts(document) : document))
    .join('---');
  return Object.entries(PLACES).reduce((text, [from, { address }]) => {
    // An IPv6 slice needs an IPv6 address; this one is the same place.
    const to = from.includes(':') ? `::ffff:${address}` : address;
    return text.replaceAll(new RegExp(`(?<![\\w.:])${from.replaceAll('.', '\\.')}(?![\\w.:])`, 'g'), to);
  }, moved);
}

function withPorts(slice: string): string {
  return slice.replaceAll(/(?<=\bport: )\d+\b/g, (port) => String(PORTS.get(Number(port)) ?? port));
}

/** Served once the manifests it came with are: the file is replaced as one. */
function marker(host: string): string {
  return `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: marker, namespace: marker, annotations: { kubernetes.io/ingress.class: portico } }
spec:
  rules:
    - host: ${host}
      http:
        paths: [{ path: /, pathType: Prefix, backend: { service: { name: marker, port: { number: 80 } } } }]
---
apiVersion: v1
kind: Service
metadata: { name: marker, namespace: marker }
spec: { ports: [{ port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: marker-1, namespace: marker, labels: { kubernetes.io/service-name: marker } }
addressType: IPv4
ports: [{ port: ${MARKER.port} }]
endpoints: [{ addresses: ['${MARKER.address}'] }]
---
`;
}

/** The trusted proxy, for requests that say what client they are from. */
const TRUSTED_PROXY = loopbackAddress();
/** The client of all others, and what the goldens call the proxy too. */
const LOCALHOST = '127.0.0.1';

/** A flag that takes no value has the value ''. */
type FlagWithValue = readonly [name: string, value: string];

/** The flags that say what a case's settings say. */
function flagsOf({ settings, serving }: Case): readonly FlagWithValue[] {
  const flags: FlagWithValue[] = [];
  const add = (name: string, value: string | null | undefined): void => {
    if (value !== null && value !== undefined) flags.push([name, value]);
  };
  const { defaultBackend, location } = settings;
  if (settings.watchIngressWithoutClass) add('--watch-ingress-without-class', '');
  if (serving.https) add('--https-port', String(HTTPS_PORT));
  add('--hsts', serving.hsts);
  add('--ingress-nginx-configmap', settings.ingressNginxConfigMap);
  add('--annotations-prefix', settings.annotationsPrefix);
  const excluded = settings.namespaceSelector?.['matchExpressions'] as
    | readonly { readonly key: string; readonly values: readonly string[] }[]
    | undefined;
  for (const { key, values } of excluded ?? [])
    add('--watch-namespace-selector', `${key} notin (${values.join()})`);
  if (settings.externalNames === false) add('--external-names', 'false');
  if (settings.catchAll === false) add('--catch-all', 'false');
  add('--host-ownership', settings.hostOwnership);
  // The zone is learned from the endpoints of the case.
  add('--node-name', location?.node);
  if (defaultBackend)
    add('--default-backend', `${defaultBackend.namespace}/${defaultBackend.service}:${defaultBackend.port}`);
  return flags;
}

/** Flags that change nothing for the cases that state only others of a set: such cases are served by one process. */
const TOGETHER: readonly ReadonlySet<string>[] = [
  new Set(['--https-port', '--hsts', '--ingress-nginx-configmap', '--node-name']),
  new Set(['--watch-ingress-without-class', '--watch-namespace-selector', '--host-ownership']),
];

/** Cases with the arguments of the process that serves them. */
function byProcess(
  cases: readonly Case[],
): readonly (readonly [args: readonly string[], group: readonly Case[]])[] {
  const groups = Map.groupBy(cases, (each) => {
    const flags = flagsOf(each);
    const set = TOGETHER.findIndex((names) => flags.every(([name]) => names.has(name)));
    return flags.length > 0 && set >= 0 ? set : flags.join(' ');
  });
  return [...groups.values()].map((group) => {
    const flags = new Map(group.flatMap(flagsOf));
    return [[...flags].flat().filter(Boolean), group] as const;
  });
}

/** Connects from the client, or from the proxy in front of it; by https with the certificate that is to be shown. */
async function connectFor({ request, from, sni, certificate }: CaseRequest, host: string): Promise<Socket> {
  const { scheme, host: name } = splitRequest(request);
  const localAddress = from === undefined ? LOCALHOST : TRUSTED_PROXY;
  if (scheme === 'http') {
    const socket = connect({ host, port: HTTP_PORT, localAddress, allowHalfOpen: true });
    await happens(socket, 'connect');
    return socket;
  }
  const tcp = connect({ host, port: HTTPS_PORT, localAddress });
  const socket = connectTls({
    socket: tcp,
    servername: sni ?? name,
    rejectUnauthorized: false,
    ...(certificate && clientCertificate(certificate)),
  });
  await happens(socket, 'secureConnect');
  return socket;
}

/** Sends a request exactly as it is written. */
async function ask(stated: CaseRequest, host: string): Promise<WireMessage> {
  const socket = await connectFor(stated, host);
  try {
    const client = wire(socket);
    client.send(requestHead(stated));
    return await client.message({ toHead: stated.request.startsWith('HEAD ') });
  } finally {
    socket.destroy();
  }
}

type Fields = readonly (readonly [name: string, value: string])[];

/** With the ports and addresses that the goldens name, instead of those of this run. */
function asStated(fields: Fields): Fields {
  return fields.map(([name, value]) => [
    name,
    value.replaceAll(TRUSTED_PROXY, LOCALHOST).replaceAll(`:${HTTPS_PORT}/`, '/'),
  ]);
}

/** What a Pod received. */
function receivedOf({ method, url, rawHeaders }: IncomingMessage): { request: string; fields: Fields } {
  const fields = rawHeaders.flatMap((name, i) =>
    i % 2 === 0 ? [[name, rawHeaders[i + 1] ?? ''] as const] : [],
  );
  return { request: `${method} ${url}`, fields: asStated(fields) };
}

/** A file is read once it was left alone for 50 ms: to ask earlier is in vain. */
const ASK_EVERY_MS = 70;
/** How often the endpoints of one route are asked for before the last of them must have answered. */
const ROUNDS = 60;

// Gateways have ports of their own, which this process does not listen on.
const cases = loadCases().filter(({ name }) => !name.startsWith('gateway-'));
const served = cases.filter(({ name }) => !(name in NOT_HERE));

describe('the golden cases through the real process', () => {
  const pods: Pod[] = [];
  /** What Pods respond with to the current request, and what they received of it. */
  let podFields: Readonly<Record<string, string>> = {};
  let received: IncomingMessage | null = null;

  beforeAll(async () => {
    pods.push(await startPod(MARKER.name, MARKER.address, MARKER.port));
    for (const [place, { address, ports }] of Object.entries(PLACES)) {
      const name = place.includes(':') ? `[${place}]` : place;
      for (const port of ports) pods.push(await startPod(`${name}:${port}`, address, PORTS.get(port)));
    }
    for (const { server } of pods) {
      server.prependListener('request', (request, response) => {
        received = request;
        for (const [name, value] of Object.entries(podFields)) response.setHeader(name, value);
      });
    }
  });
  afterAll(async () => {
    for (const pod of pods) await pod.stop();
  });

  it('are all served but for those that are declared', () => {
    expect(cases.length - served.length).toBe(Object.keys(NOT_HERE).length);
    expect(served.length).toBeGreaterThanOrEqual(60);
  });

  describe.each(byProcess(served))('flags: %s', (args, group) => {
    let daemon: Daemon;
    let folder: Folder;
    beforeAll(async () => {
      folder = createFolder();
      // One thread: the endpoints of a Service are taken in turn per thread.
      const common = ['--manifests', folder.path, '--workers', '1', '--access-log', 'off'];
      const proxies = ['--trusted-proxies', TRUSTED_PROXY];
      daemon = startDaemon({ args: [...common, ...proxies, ...args] });
      await daemon.ready();
    });
    afterAll(async () => {
      await daemon[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    });

    async function serve(markerHost: string, manifests: string): Promise<void> {
      await folder.put('case.yaml', marker(markerHost) + placed(manifests));
      await eventually(
        async () => (await daemon.request(markerHost)).field('x-pod') === MARKER.name,
        daemon.exited,
        ASK_EVERY_MS,
      );
    }

    it.each(group)('$name', async (golden) => {
      // What was served before counts where endpoints are not ready: it must not be another case.
      if (golden.before !== null || /ready: false/.test(golden.manifests)) {
        await serve(`before.${golden.name}.marker.test`, golden.before ?? '');
      }
      await serve(`${golden.name}.marker.test`, golden.manifests);

      for (const stated of golden.requests) {
        const { request, status = 200, endpoints = [], response, upstream } = stated;
        const answered = new Set<string | undefined>();
        const statuses = new Set<number>();
        podFields = stated.pod ?? {};
        for (let round = 0; round < ROUNDS && (round === 0 || answered.size < endpoints.length); round++) {
          received = null;
          // A 400 closes the connection.
          const got = await ask(stated, daemon.address);
          statuses.add(got.status);
          answered.add(got.field('x-pod'));
          if (response) expect(observedFields(response, asStated(got.fields)), request).toEqual(response);
          if (upstream) {
            const there = observedUpstream(upstream, received && receivedOf(received));
            expect(there, request).toEqual(upstream);
          }
        }
        expect([...statuses], request).toEqual([status]);
        expect([...answered].sort(), request).toEqual(
          endpoints.length === 0 ? [undefined] : [...endpoints].sort(),
        );
      }
    });
  });
});
