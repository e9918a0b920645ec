import type { JSX } from 'preact';
import type { CertificateRow, Overview, Page, ProblemPage, Traffic } from '../src/admin/api/answers.ts';
import { useAnswer } from './api.ts';
import { count, expiryText, expiryTone, figure, ms, plural, share } from './format.ts';
import { Badge, Notice, Tile } from './parts.tsx';
import { linkTo, objectLink } from './place.ts';

const BUSIEST = 10;

/** How it is, in one view. */
export function OverviewView({ overview }: { readonly overview: Overview | null }): JSX.Element {
  const { answer: traffic, error } = useAnswer<Traffic>('traffic', 2_000);
  const { answer: problems } = useAnswer<ProblemPage>('problems?limit=1', 5_000);
  const { answer: certificates } = useAnswer<Page<CertificateRow>>('certificates?limit=5', 10_000);
  const total = traffic?.total ?? null;
  return (
    <article>
      <Notice error={error} />
      <div class="tiles">
        <Tile
          label="Requests"
          value={total === null ? '…' : `${figure(total.requestsPerSecond)}/s`}
          detail="in the last 10 s"
        />
        <Tile
          label="5xx"
          value={total === null ? '…' : share(total.serverErrorsPerSecond, total)}
          tone={total !== null && total.serverErrorsPerSecond > 0 ? 'bad' : 'plain'}
          detail={total === null ? '' : `4xx ${share(total.clientErrorsPerSecond, total)}`}
        />
        <Tile
          label="p99"
          value={total === null ? '…' : ms(total.p99Ms)}
          detail={total === null ? '' : `p50 ${ms(total.p50Ms)}`}
        />
        {overview && (
          <>
            <Tile
              label="Routes"
              value={count(overview.routes)}
              detail={`${plural(overview.hosts, 'host')}, ${plural(overview.backends, 'backend')}`}
              href={linkTo('routes')}
            />
            <Tile
              label="Problems"
              value={count(overview.problems.error + overview.problems.warning)}
              tone={overview.problems.error > 0 ? 'bad' : overview.problems.warning > 0 ? 'warn' : 'good'}
              detail={`${plural(overview.problems.error, 'error')}, ${plural(overview.conflicts, 'conflict')}`}
              href={linkTo('problems')}
            />
            <Tile
              label="First expiry"
              value={overview.firstExpiry === null ? '–' : expiryText(overview.firstExpiry.notAfter)}
              tone={overview.firstExpiry === null ? 'plain' : expiryTone(overview.firstExpiry.notAfter)}
              detail={overview.firstExpiry?.host ?? 'no certificate'}
              href={linkTo('certificates')}
            />
          </>
        )}
      </div>
      <div class="columns">
        <section class="card wide">
          <h2>Busiest routes</h2>
          <Busiest traffic={traffic} />
        </section>
        <section class="card">
          <h2>Problems by namespace</h2>
          {problems?.namespaces.length === 0 && <p class="faint">Nothing is wrong.</p>}
          <table class="plain">
            <tbody>
              {problems?.namespaces.slice(0, BUSIEST).map((each) => (
                <tr key={each.namespace}>
                  <td>
                    <a href={linkTo('problems', { namespace: each.namespace })}>
                      {each.namespace || '(no namespace)'}
                    </a>
                  </td>
                  <td class="number">
                    {each.error > 0 && <Badge tone="bad">{plural(each.error, 'error')}</Badge>}
                  </td>
                  <td class="number">
                    {each.warning > 0 && <Badge tone="warn">{plural(each.warning, 'warning')}</Badge>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
        <section class="card">
          <h2>Certificates that expire first</h2>
          {certificates?.total === 0 && <p class="faint">No host has TLS.</p>}
          <table class="plain">
            <tbody>
              {certificates?.items.map(({ host, notAfter }) => (
                <tr key={host}>
                  <td class="mono">{host || '(default)'}</td>
                  <td class="number">
                    {notAfter !== null && <Badge tone={expiryTone(notAfter)}>{expiryText(notAfter)}</Badge>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      </div>
    </article>
  );
}

function Busiest({ traffic }: { readonly traffic: Traffic | null }): JSX.Element {
  if (traffic === null || traffic.seconds === 0) return <p class="faint">Counting…</p>;
  if (traffic.routes.length === 0) return <p class="faint">No requests in the last seconds.</p>;
  return (
    <table class="plain">
      <thead>
        <tr>
          <th>Route</th>
          <th class="number">Req/s</th>
          <th class="number">5xx</th>
          <th class="number">p50</th>
          <th class="number">p99</th>
        </tr>
      </thead>
      <tbody>
        {traffic.routes.slice(0, BUSIEST).map(({ id, path, ...rates }) => {
          const [kind = '', namespace = '', name = ''] = id.split('/');
          return (
            <tr key={id}>
              <td>
                {name === '' ? (
                  <span class="faint">
                    {id === '' ? 'no route takes it' : id === '_other' ? 'all others' : id}
                  </span>
                ) : (
                  <>
                    <a href={objectLink({ kind, namespace, name })}>
                      {namespace}/{name}
                    </a>{' '}
                    <span class="mono">{path || '(default)'}</span>{' '}
                    <span class="faint mono">{kind === 'Ingress' ? '' : kind}</span>
                  </>
                )}
              </td>
              <td class="number">{figure(rates.requestsPerSecond)}</td>
              <td class={`number ${rates.serverErrorsPerSecond > 0 ? 'bad' : ''}`}>
                {share(rates.serverErrorsPerSecond, rates)}
              </td>
              <td class="number">{ms(rates.p50Ms)}</td>
              <td class="number">{ms(rates.p99Ms)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
