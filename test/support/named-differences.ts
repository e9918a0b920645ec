import { isDeepStrictEqual } from 'node:util';
import type { ConversionNote } from '../../src/routing/convert/conversion.ts';
import { namesOf } from '../../src/policies/annotation-spec.ts';
import { POLICIES } from '../../src/policies/registry.ts';
import { patternTakes } from '../../src/routing/glob-pattern.ts';
import { parseHostGlob } from '../../src/routing/glob.ts';
import type { Difference } from './same-decisions.ts';

/**
 * What is different: `status`, `backend`, `target`, a field that Pods get (`sent host`) or clients (`received vary`), or what the
 * engine is asked to do (`policy retries`). Without a backend on either side there is nothing to compare of it.
 */
export function aspectsOf({ before, after }: Difference): readonly string[] {
  const aspects = differentFields(before.response, after.response).map((name) => `received ${name}`);
  if (before.status !== after.status) return ['status', ...aspects];
  // Where a redirect goes depends on no origin.
  if (before.status !== null && before.status < 400)
    return aspects.filter((name) => name !== 'received vary');
  if (!isDeepStrictEqual(before.backend, after.backend)) aspects.push('backend');
  const [sent, sentAfter] = [before.upstream, after.upstream];
  if (sent?.request !== sentAfter?.request) aspects.push('target');
  aspects.push(...differentFields(sent?.fields ?? [], sentAfter?.fields ?? []).map((name) => `sent ${name}`));
  const lines = [...before.policies, ...after.policies].filter(
    (line) => before.policies.includes(line) !== after.policies.includes(line),
  );
  const policies = new Set(lines.map((line) => line.split(':', 1)[0] ?? ''));
  return [...aspects, ...[...policies].map((name) => `policy ${name}`)];
}

type Fields = readonly (readonly string[])[];

function differentFields(before: Fields, after: Fields): readonly string[] {
  const byName = (fields: Fields): Map<string, Fields> =>
    Map.groupBy(fields, ([name = '']) => name.toLowerCase()) as Map<string, Fields>;
  const [one, other] = [byName(before), byName(after)];
  const names = [...new Set([...one.keys(), ...other.keys()])];
  return names.filter(
    (name) =>
      !isDeepStrictEqual(
        one.get(name)?.map(([, value]) => value),
        other.get(name)?.map(([, value]) => value),
      ),
  );
}

/** A note, and what it names of a difference, whose request has this host and path. */
interface Naming {
  readonly note: RegExp;
  /** All of it when absent. */
  readonly names?: RegExp;
  /** Whether it is about this request, by what the expression finds in the note. */
  readonly isAbout?: (found: readonly string[], request: Asked, difference: Difference) => boolean;
}

interface Asked {
  readonly host: string;
  readonly path: string;
  readonly isTls: boolean;
}

const isBelow = (path: string, place: string): boolean =>
  path.toLowerCase().startsWith(place.toLowerCase().replace(/\/$/, ''));

/** Whether a glob or a regular expression takes the host. */
function likeHost(host: string): (written: string) => boolean {
  return (written) => {
    const reading = parseHostGlob(written);
    if (reading.kind === 'refused') return new RegExp(written, 'i').test(host);
    const { suffix, patterns } = reading.glob;
    const end = host.length - suffix.length - 1;
    return host.endsWith(`.${suffix}`) && patterns.some((pattern) => patternTakes(pattern, host, end));
  };
}

/** A body that is too large may be told before the rest. */
const isRefused = (status: number | null): boolean => status === 503 || status === 413;

const NAMINGS: readonly Naming[] = [
  {
    note: /any number of labels before (\S+);/,
    isAbout: ([suffix = ''], { host }) =>
      host.endsWith(suffix) && host.slice(0, -suffix.length).includes('.'),
  },
  { note: /^Hosts like .*: Gateway API knows/ },
  {
    note: / may take hosts like (.*?)( and \d+ more)?, which no route can name/,
    isAbout: ([hosts = '', more], { host }) => more !== undefined || hosts.split(', ').some(likeHost(host)),
  },
  {
    note: /^(?:The path like .+|What no other rule takes) answers 500 to everybody/,
    isAbout: (_, __, { after }) => isRefused(after.status),
  },
  {
    note: /^The path (\/\S*) answers 500 to everybody/,
    isAbout: ([place = ''], { path }, { after }) => isRefused(after.status) && isBelow(path, place),
  },
  { note: /its share gets 503|requests get 500 until/, names: /^status$/ },
  { note: /^A host without paths answers 500/, names: /^status$/ },
  {
    note: /^The path (\/\S*) is matched with regard to case/,
    isAbout: ([place = ''], { path }) => isBelow(path, place) && !path.startsWith(place),
  },
  {
    note: /^GET and HEAD for everything below (?:\(\?i\))?(\/\S*?)(?:\.\*)? are served by HTTP/,
    isAbout: ([place = ''], { path }) => isBelow(path, place.replaceAll('\\', '')),
  },
  { note: /not to its ClusterIP/, names: /^backend$/ },
  { note: /^What Ingress \S+ says of its own Pods/, names: /^policy / },
  { note: /^A redirect of the server at auth-url/, names: /^status$|^received location$/ },
  { note: /^CORS: /, names: /^received access-control-|^received vary$|^status$/ },
  { note: /^Requests beyond the limits get 429|^The smallest of the bursts/, names: /^policy rate-limit$/ },
  {
    note: /without a good certificate are turned away in the TLS handshake/,
    names: /^status$|^received location$|^policy client-certificate$/,
  },
  {
    note: /^HTTPS with the default certificate/,
    isAbout: (_, { isTls }, { route }) => isTls && !route,
  },
  {
    note: /^Listener https(?:\.(\S+))? is not served until its Secret/,
    isAbout: ([hostname], { isTls, host }) => isTls && (hostname === undefined || host === hostname),
  },
  { note: /^Secrets that are not there/, isAbout: (_, { isTls }) => isTls },
  { note: /^Redirects to HTTPS do not read X-Forwarded-Proto/, names: /^status$|^received location$/ },
  { note: /^Redirect: the query of the request is appended/, names: /^received location$/ },
  { note: /^Pods are told /, names: /^sent / },
];

/** What a policy does that is seen outside of it. */
const EFFECTS: Readonly<Record<string, RegExp>> = {
  'app-root': /^status$|^received location$/,
  'backend-transport': /^backend$/,
  'error-backend': /^status$/,
  compression: /^received (?:content-encoding|etag|vary)$/,
  'cookie-rewrite': /^received set-cookie$/,
  'location-rewrite': /^received (?:location|refresh)$/,
  'request-body': /^status$/,
  'upstream-connection': /^sent connection$/,
  'upstream-host': /^sent host$/,
};

/** The aspects of a difference that none of the notes names. */
export function unnamedAspects(difference: Difference, notes: readonly ConversionNote[]): readonly string[] {
  const [, url = ''] = difference.request.request.split(' ');
  const { hostname: host } = new URL(url.replace(/^(\w+:\/\/[^/]+).*/, '$1'));
  const asked = {
    host: host.replace(/\.$/, ''),
    path: url.replace(/^\w+:\/\/[^/]+/, ''),
    isTls: url.startsWith('https:'),
  };
  const said = notes.filter(({ level }) => level !== 'needs Portico').map(({ text }) => text);
  return aspectsOf(difference).filter(
    (aspect) => !said.some((text) => namesAspect(text, aspect, asked, difference)),
  );
}

function namesAspect(text: string, aspect: string, asked: Asked, difference: Difference): boolean {
  // A policy that is not carried over, an annotation that is not valid, and what flags ask for are named.
  const onAllRoutes = /^What flags .* ask for on all routes: (.*)/.exec(text)?.[1] ?? '';
  const byDefault = [...onAllRoutes.matchAll(/(?:^|; )([\w-]+): /g)].map(([, name = '']) => name);
  const policies = [/^([\w-]+) \(/.exec(text)?.[1] ?? '', ...policiesOf(text), ...byDefault];
  if (policies.some((name) => aspect === `policy ${name}` || EFFECTS[name]?.test(aspect))) return true;
  return NAMINGS.some(({ note, names, isAbout }) => {
    const found = note.exec(text);
    return (
      found !== null &&
      (names?.test(aspect) ?? true) &&
      (isAbout?.(found.slice(1), asked, difference) ?? true)
    );
  });
}

function policiesOf(text: string): readonly string[] {
  const annotation = /^metadata\.annotations\[([^\]]+)\]: /.exec(text)?.[1];
  if (annotation === undefined) return [];
  return POLICIES.filter(({ annotations }) =>
    annotations.some((spec) => namesOf(spec).includes(annotation)),
  ).map(({ name }) => name);
}
