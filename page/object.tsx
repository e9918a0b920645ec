import type { JSX } from 'preact';
import type { RouteDetail } from '../src/admin/api/answers.ts';
import { useAnswer } from './api.ts';
import { BackendCard } from './backends.tsx';
import { count } from './format.ts';
import { Badge, Notice, ProblemList, TrafficLine } from './parts.tsx';
import { type Place, linkTo } from './place.ts';

/** Everything about one object: what is served of it, where that leads, what is wrong. */
export function ObjectView({ place }: { readonly place: Place }): JSX.Element {
  const [kind = '', namespace = '', name = ''] = place.rest.split('/').map(decodeURIComponent);
  const path = `routes/${[kind, namespace, name].map(encodeURIComponent).join('/')}`;
  const { answer, error } = useAnswer<RouteDetail>(path, 2_000);
  const full = `${namespace === '' ? '' : `${namespace}/`}${name}`;
  return (
    <article>
      <p class="faint">{kind}</p>
      <h1>{full}</h1>
      <Notice error={error} />
      {answer && answer.problems.length > 0 && (
        <section class="card">
          <h2>Problems</h2>
          <ProblemList problems={answer.problems} />
        </section>
      )}
      {answer && answer.routes.length > 0 && (
        <section class="card">
          <h2>Routes</h2>
          <ul class="routes">
            {answer.routes.map((route) => (
              <li key={`${route.host} ${route.id} ${route.listener}`}>
                <p class="mono">
                  <a href={linkTo('explain', { url: `http://${route.host}${route.path}` })}>
                    <span class="strong">{route.host || '*'}</span>
                    {route.path}
                  </a>{' '}
                  <Badge tone="plain">{route.pathType}</Badge>
                  {route.closed.length > 0 && <Badge tone="bad">closed by {route.closed.join(', ')}</Badge>}
                </p>
                <p class="faint">
                  {[route.source.field, ...route.matches, ...(route.listener ? [route.listener] : [])].join(
                    ' · ',
                  )}
                </p>
                <p>
                  <TrafficLine traffic={route.traffic} />
                </p>
                {route.describedPolicies.map((policy) => (
                  <p key={policy} class="policy">
                    {policy}
                  </p>
                ))}
                {route.backends.length > 1 &&
                  route.backends.map((each) => (
                    <p key={each.key} class="policy">
                      {Math.round(each.share * 1000) / 10} % to {each.key}
                      {each.canary !== undefined && `, a canary of ${each.canary}`}
                    </p>
                  ))}
              </li>
            ))}
          </ul>
          {answer.total > answer.routes.length && (
            <p class="faint">
              and {count(answer.total - answer.routes.length)} more:{' '}
              <a href={linkTo('routes', { filter: `${namespace}/${name}` })}>all routes</a>
            </p>
          )}
        </section>
      )}
      {answer?.backends.map((backend) => (
        <BackendCard key={backend.key} backend={backend} />
      ))}
    </article>
  );
}
