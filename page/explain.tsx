import type { JSX } from 'preact';
import type { Explained, ExplainedRule } from '../src/admin/api/answers.ts';
import { useAnswer } from './api.ts';
import { count } from './format.ts';
import { Badge, Notice, type Tone } from './parts.tsx';
import { type Place, linkTo, objectLink } from './place.ts';

/** Where a URL goes, and why. */
export function Explain({ place }: { readonly place: Place }): JSX.Element {
  const url = place.query.get('url') ?? '';
  const path = url === '' ? null : `explain?${new URLSearchParams({ url }).toString()}`;
  const { answer, error } = useAnswer<{ readonly explanation: Explained }>(path, 5_000);
  if (url === '') return <p class="note">Type a URL above to see where it goes, and why.</p>;
  return (
    <article>
      <p class="faint">Explain</p>
      <h1 class="mono">{url}</h1>
      <Notice error={error} />
      {answer && <Explanation url={url} explained={answer.explanation} />}
    </article>
  );
}

function Explanation({
  url,
  explained,
}: {
  readonly url: string;
  readonly explained: Explained;
}): JSX.Element {
  const { steps, outcome, policies, certificate, otherRules, otherRuleCount, notServed, problems, protocol } =
    explained;
  const { route } = outcome;
  return (
    <>
      <Outcome url={url} explained={explained} />
      <section class="card">
        <h2>Why</h2>
        <ol class="steps">
          {steps.map((step) => (
            <li key={step}>{step}</li>
          ))}
        </ol>
        {route && route.ingress !== '' && <Rule rule={route} />}
        {policies.map((policy) => (
          <p key={policy} class="policy">
            {policy}
          </p>
        ))}
      </section>
      {outcome.kind === 'forward' && (
        <section class="card">
          <h2>
            Backend{' '}
            <a class="mono" href={linkTo(`backends/${encodeURIComponent(outcome.backend.key)}`)}>
              {outcome.backend.key}
            </a>{' '}
            {protocol !== null && <Badge tone="plain">{protocol}</Badge>}
          </h2>
          <ul class="plain mono">
            {outcome.backend.externalName && <li>{outcome.backend.externalName.host}, by DNS</li>}
            {outcome.backend.endpoints.map(({ address, port, pod }) => (
              <li key={`${address} ${port}`}>
                {address.includes(':') ? `[${address}]` : address}:{port}{' '}
                <span class="faint">{pod && `Pod ${pod}`}</span>
              </li>
            ))}
            {outcome.backend.endpointCount > outcome.backend.endpoints.length && (
              <li class="faint">
                and {count(outcome.backend.endpointCount - outcome.backend.endpoints.length)} more
              </li>
            )}
          </ul>
        </section>
      )}
      {certificate && (
        <section class="card">
          <h2>Certificate</h2>
          {certificate.secret === null ? (
            <p class="bad">The self-signed default, which browsers refuse.</p>
          ) : (
            <p>
              Secret {certificate.secret}
              {certificate.validUntil && `, valid until ${certificate.validUntil}`}
            </p>
          )}
        </section>
      )}
      {problems.length > 0 && (
        <section class="card">
          <h2>Problems around it</h2>
          <ul class="plain">
            {problems.map((problem) => (
              <li key={problem}>{problem}</li>
            ))}
          </ul>
        </section>
      )}
      {(otherRules.length > 0 || notServed.length > 0) && (
        <section class="card">
          <h2>Rules that do not take it</h2>
          <ul class="plain">
            {otherRules.map((lost) => (
              <li key={`${lost.route.ingress} ${lost.route.field}`}>
                <Rule rule={lost.route} /> <span class="faint">{lost.because}</span>
              </li>
            ))}
            {notServed.map(({ ingress, because }) => (
              <li key={ingress}>
                Ingress {ingress} is not served: <span class="faint">{because}</span>
              </li>
            ))}
            {otherRuleCount > otherRules.length && (
              <li class="faint">and {count(otherRuleCount - otherRules.length)} more</li>
            )}
          </ul>
        </section>
      )}
    </>
  );
}

function Outcome({
  url,
  explained: { outcome },
}: {
  readonly url: string;
  readonly explained: Explained;
}): JSX.Element {
  const say = (tone: Tone, head: string, text: JSX.Element | string): JSX.Element => (
    <p class={`outcome ${tone}`} role="status">
      <strong>{head}</strong> <span>{text}</span>
    </p>
  );
  switch (outcome.kind) {
    case 'forward':
      return say(
        'good',
        'Forwarded',
        <>
          to <span class="mono">{outcome.backend.key}</span>
        </>,
      );
    case 'redirect':
      return say(
        'plain',
        `Redirected, ${outcome.status}`,
        <>
          to{' '}
          <a class="mono" href={linkTo('explain', { url: absolute(outcome.location, url) })}>
            {outcome.location}
          </a>
        </>,
      );
    case 'refuse':
      return say(
        'bad',
        `Answered with ${outcome.status}`,
        `${outcome.message}${outcome.unavailable === null ? '' : ` (${outcome.unavailable})`}`,
      );
  }
}

function absolute(to: string, from: string): string {
  return URL.parse(to, URL.canParse(from) ? from : `http://${from}`)?.href ?? to;
}

function Rule({ rule }: { readonly rule: ExplainedRule }): JSX.Element {
  const { path, pathType, kind = 'Ingress', ingress, field } = rule;
  const [namespace = '', name = ''] = ingress.split('/', 2);
  return (
    <span>
      {pathType === 'DefaultBackend' ? 'default backend' : `${pathType} ${path || '/'}`} of{' '}
      <a href={objectLink({ kind, namespace, name })}>
        {kind} {ingress}
      </a>{' '}
      <span class="faint mono">{field}</span>
    </span>
  );
}
