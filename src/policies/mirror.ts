import type { RequestEdit, RequestView } from '../http/request-view.ts';
import type { Subrequest, SubrequestTarget } from '../http/subrequest.ts';
import { type Template, parseTemplate, renderTemplate, templateText } from '../http/variables.ts';
import type { AnnotationReader } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { copiedFields } from './copied-fields.ts';
import { CONTINUE, definePolicy } from './policy.ts';

/** Where copies of requests go. */
export interface MirrorConfig {
  readonly namespace: string;
  readonly to: SubrequestTarget;
  /** Path and query; null for those of the request. */
  readonly target: Template | null;
  /** The Host field. */
  readonly host: string;
  /** Whether the body of a request is left out. */
  readonly withoutBodies: boolean;
}

const TARGET: AnnotationSpec = {
  name: 'mirror-target',
  nginx: 'mirror-target',
  values:
    'a URL, which may have variables of nginx after its host, such as `https://test.example.com$request_uri`',
  default: 'none',
  scope: 'path',
  about:
    'A server that gets a copy of each request. What it responds is ignored, and no request waits for it: while it is behind, ' +
    'copies are left out or broken off, which `portico_mirror_requests_dropped_total` counts. It must be one that an ExternalName may ' +
    'lead to. Without a path the copy has that of the request.',
  difference:
    'no request waits for its copy, which is left out or broken off where the server is behind, and certificates are verified by name.',
};

const HOST: AnnotationSpec = {
  name: 'mirror-host',
  nginx: 'mirror-host',
  values: 'a host name',
  default: 'the host of `mirror-target`',
  scope: 'path',
  about: 'The Host field of the copies.',
};

const REQUEST_BODY: AnnotationSpec = {
  name: 'mirror-request-body',
  nginx: 'mirror-request-body',
  values: '`on`, `off`',
  default: 'on',
  scope: 'path',
  about:
    '`on`: the copy of a request has its body, sent as it comes. A copy is broken off where its server is more than 1 MiB ' +
    'behind, or the client leaves. `off`: the copy has none.',
  difference: 'a copy is broken off where its server is more than 1 MiB behind.',
};

export const mirror = definePolicy({
  name: 'mirror',
  phase: 'upstream',
  summary: 'Copies of requests for another server, to try it with real traffic.',
  annotations: [TARGET, HOST, REQUEST_BODY],
  whenInvalid: 'default',

  parse(read): MirrorConfig | null {
    const host = readHost(read);
    const withoutBodies = read.choice(REQUEST_BODY, ['on', 'off']) === 'off';
    const url = readTarget(read);
    if (url === null) return null;
    return { namespace: read.namespace, ...url, host: host ?? url.host, withoutBodies };
  },

  describe({ to, target }) {
    const host = to.host.includes(':') ? `[${to.host}]` : to.host;
    return `${to.scheme}://${host}:${to.port}${target === null ? '' : templateText(target)}`;
  },

  standardForm({ to, target, namespace }, { approximates }) {
    const [, service, home] = CLUSTER_HOST.exec(to.host) ?? [];
    const keepsTarget = target === null || templateText(target) === '$request_uri';
    // One of another namespace would need a ReferenceGrant there.
    if (!approximates || home !== namespace || to.scheme !== 'http' || !keepsTarget) return null;
    const requestMirror = { backendRef: { name: service, port: to.port } };
    const differs = ['Copies of requests have the Host of the request, and its body.'];
    return { filters: [{ type: 'RequestMirror', requestMirror }], differs };
  },

  bind(config, thread) {
    return {
      onRequest(request, edit) {
        // Nobody waits for it.
        if (request.value('upgrade') === undefined) void thread.send(copyOf(config, request, edit));
        return CONTINUE;
      },
    };
  },
});

const CLUSTER_HOST = /^([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\.cluster\.local)?$/;
const URL_PARTS =
  /^(https?):\/\/([a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::(\d{1,5}))?([/?$].*)?$/i;
const HOST_FIELD = /^[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?(?::\d{1,5})?$/i;
const MAX_URL_LENGTH = 2048;

function readTarget(read: AnnotationReader): Pick<MirrorConfig, 'to' | 'target' | 'host'> | null {
  const written = read.text(TARGET)?.trim() ?? '';
  if (written === '' && !read.isOurs(TARGET)) return null;
  const [, scheme = '', name = '', port, rest = ''] =
    (written.length <= MAX_URL_LENGTH ? URL_PARTS.exec(written) : null) ?? [];
  const number = Number(port ?? (scheme.toLowerCase() === 'https' ? 443 : 80));
  if (name === '' || number < 1 || number > 65_535) {
    if (read.has(TARGET))
      read.invalid(TARGET, 'is not a URL with a host', 'write http://host/path or https://host/path');
    return null;
  }
  const parsed = parseTemplate(rest);
  if (parsed.kind === 'invalid') {
    read.invalid(TARGET, parsed.fault, 'use variables such as $request_uri, $host or $arg_NAME');
    return null;
  }
  const to: SubrequestTarget = {
    scheme: scheme.toLowerCase() === 'https' ? 'https' : 'http',
    host: name.toLowerCase().replace(/^\[|\]$/g, ''),
    port: number,
    verify: true,
  };
  const refused = read.refusedHost(to.host);
  if (refused !== null) {
    const message = `The host ${to.host} ${refused}: use another host; no requests are copied.`;
    read.fail('MirrorTargetRefused', TARGET, message);
    return null;
  }
  return {
    to,
    target: rest === '' ? null : parsed.template,
    host: port === undefined ? name : `${name}:${port}`,
  };
}

function readHost(read: AnnotationReader): string | null {
  const written = read.text(HOST)?.trim() ?? '';
  if (written === '' && !read.isOurs(HOST)) return null;
  if (HOST_FIELD.test(written)) return written;
  if (read.has(HOST)) read.invalid(HOST, 'is not a host', 'write a DNS name');
  return null;
}

/** From the call to the head of the response: a server that is slower has copies left out. */
const TIMEOUT_MS = 10_000;
function copyOf(
  { namespace, to, target, host, withoutBodies }: MirrorConfig,
  request: RequestView,
  edit: RequestEdit,
): Subrequest {
  const fields = copiedFields(host, request, edit);
  const rendered = target === null ? request.target : renderTemplate(target, request);
  // `https://host/$request_uri` is how most write it. No byte of a variable may end the request line.
  const path = rendered.replace(/^\/{2,}/, '/').replaceAll(/[^\x21-\x7e]/g, encodeURIComponent);
  return {
    ...{ namespace, to, method: request.method, fields, timeoutMs: TIMEOUT_MS },
    target: path.startsWith('/') ? path : `/${path}`,
    ...(request.body.exists && !withoutBodies && { body: request.body.copy(namespace) }),
    background: `${to.scheme} ${to.host}:${to.port}`,
  };
}
