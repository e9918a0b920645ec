import type { JSX } from 'preact';
import type { RequestRow } from '../src/admin/api/answers.ts';
import { useAnswer, useSettled } from './api.ts';
import { Filter } from './filter.tsx';
import { ms, plural } from './format.ts';
import { Badge, Notice, type Tone } from './parts.tsx';
import { type Place, objectLink, setParameter } from './place.ts';

/** The newest requests, where they are kept. */
export function Requests({
  place,
  keeps,
}: {
  readonly place: Place;
  readonly keeps: boolean | null;
}): JSX.Element {
  const filter = place.query.get('filter') ?? '';
  const settled = useSettled(filter);
  const query = settled === '' ? '' : `?${new URLSearchParams({ filter: settled }).toString()}`;
  const path = keeps === true ? `requests${query}` : null;
  const { answer, error } = useAnswer<{ readonly items: readonly RequestRow[] }>(path, 2_000);
  if (keeps === false) {
    return (
      <p class="note">
        No requests are kept. Start Portico with <span class="mono">--recent-requests 200</span> to see the
        newest ones of each thread here; what looks like a credential in a query is left out.
      </p>
    );
  }
  return (
    <section class="list">
      <Filter
        label="Filter requests"
        placeholder="host, path, status, client, request id"
        value={filter}
        onChange={(text) => setParameter(place, 'filter', text)}
        count={answer === null ? '' : plural(answer.items.length, 'request')}
      />
      <Notice error={error} />
      <div class="scroll">
        <table class="plain">
          <thead>
            <tr>
              <th>Time</th>
              <th>Request</th>
              <th>Status</th>
              <th class="number">Duration</th>
              <th>Route</th>
              <th>Endpoint</th>
              <th>Client</th>
            </tr>
          </thead>
          <tbody>
            {answer?.items.map((request) => (
              <tr key={`${request.startedAt} ${request.requestId}`}>
                <td class="faint">{request.startedAt.slice(11, 23)}</td>
                <td class="mono" title={request.requestId}>
                  {request.method} <span class="strong">{request.host}</span>
                  {request.target}
                </td>
                <td>
                  <Badge tone={toneOf(request.status)}>{request.status}</Badge>{' '}
                  <span class="faint">{request.detail}</span>
                </td>
                <td class="number">{ms(request.durationMs)}</td>
                <td>
                  <Source id={request.route} />
                </td>
                <td class="mono">
                  {request.endpoint || '–'}
                  {request.attempts > 1 && <span class="warn"> ×{request.attempts}</span>}
                </td>
                <td class="mono faint">{request.client}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Source({ id }: { readonly id: string }): JSX.Element {
  const [kind = '', namespace = '', name = ''] = id.split('/');
  if (name === '') return <span class="faint">{id || 'none'}</span>;
  return (
    <a href={objectLink({ kind, namespace, name })}>
      {namespace}/{name}
    </a>
  );
}

function toneOf(status: number): Tone {
  if (status >= 500) return 'bad';
  return status >= 400 ? 'warn' : 'good';
}
