import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { Page, RouteRow } from '../src/admin/api/answers.ts';
import { useSettled } from './api.ts';
import { Filter } from './filter.tsx';
import { figure, ms, plural, share } from './format.ts';
import { Badge } from './parts.tsx';
import { type Place, objectLink, setParameter } from './place.ts';
import { type Column, VirtualTable } from './virtual-table.tsx';

const COLUMNS: readonly Column<RouteRow>[] = [
  {
    head: 'Host and path',
    width: 'minmax(14rem, 2.4fr)',
    cell: ({ host, path, pathType, matches, listener }) => (
      <span class="two">
        <span class="mono cut">
          <span class="strong">{host || '*'}</span>
          {path}
        </span>
        <span class="faint cut">{[pathType, ...matches, ...(listener ? [listener] : [])].join(' · ')}</span>
      </span>
    ),
  },
  {
    head: 'Object',
    width: 'minmax(9rem, 1.2fr)',
    cell: ({ source }) => (
      <span class="two">
        <span class="cut">
          {source.namespace && `${source.namespace}/`}
          {source.name}
        </span>
        <span class="faint cut">{source.kind}</span>
      </span>
    ),
  },
  {
    head: 'Backend',
    width: 'minmax(10rem, 1.4fr)',
    cell: ({ backends, closed }) => (
      <span class="two">
        <span class="mono cut">{backends.map(({ key }) => key).join(', ')}</span>
        {closed.length > 0 ? (
          <span>
            <Badge tone="bad">closed by {closed.join(', ')}</Badge>
          </span>
        ) : (
          <BackendState backends={backends} />
        )}
      </span>
    ),
  },
  {
    head: 'Req/s',
    width: '5rem',
    isNumber: true,
    cell: ({ traffic }) => (traffic ? figure(traffic.requestsPerSecond) : '–'),
  },
  {
    head: '5xx',
    width: '4.5rem',
    isNumber: true,
    cell: ({ traffic }) =>
      traffic ? (
        <span class={traffic.serverErrorsPerSecond > 0 ? 'bad' : ''}>
          {share(traffic.serverErrorsPerSecond, traffic)}
        </span>
      ) : (
        '–'
      ),
  },
  { head: 'p50', width: '5.5rem', isNumber: true, cell: ({ traffic }) => ms(traffic?.p50Ms ?? null) },
  { head: 'p99', width: '5.5rem', isNumber: true, cell: ({ traffic }) => ms(traffic?.p99Ms ?? null) },
];

function BackendState({ backends }: Pick<RouteRow, 'backends'>): JSX.Element {
  const broken = backends.find(({ unavailable }) => unavailable !== undefined);
  if (broken) {
    return (
      <span>
        <Badge tone="bad">{broken.unavailable}</Badge>
      </span>
    );
  }
  const endpoints = backends.reduce((sum, each) => sum + each.endpoints, 0);
  return <span class="faint cut">{plural(endpoints, 'endpoint')}</span>;
}

export function Routes({ place }: { readonly place: Place }): JSX.Element {
  const filter = place.query.get('filter') ?? '';
  const settled = useSettled(filter);
  const [total, setTotal] = useState<number | null>(null);
  const query = new URLSearchParams({ traffic: 'true', ...(settled !== '' && { filter: settled }) });
  return (
    <section class="list">
      <Filter
        label="Filter routes"
        placeholder="host, path, object or backend"
        value={filter}
        onChange={(text) => setParameter(place, 'filter', text)}
        count={total === null ? '' : plural(total, 'route')}
      />
      <VirtualTable<RouteRow, Page<RouteRow>>
        label="Routes"
        path={`routes?${query.toString()}`}
        columns={COLUMNS}
        rowHeight={52}
        link={({ source }) => objectLink(source)}
        everyMs={2_000}
        empty={settled === '' ? 'Nothing is served yet.' : 'No route has all of these words.'}
        onPage={(page) => setTotal(page.total)}
      />
    </section>
  );
}
