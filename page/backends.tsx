import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { BackendRow, Page } from '../src/admin/api/answers.ts';
import { useAnswer, useSettled } from './api.ts';
import { Filter } from './filter.tsx';
import { figure, ms, plural } from './format.ts';
import { Badge, Endpoints, Notice, TrafficLine, healthTone } from './parts.tsx';
import { type Place, linkTo, setParameter } from './place.ts';
import { type Column, VirtualTable } from './virtual-table.tsx';

const DOTS = 12;

const COLUMNS: readonly Column<BackendRow>[] = [
  {
    head: 'Backend',
    width: 'minmax(14rem, 2fr)',
    cell: ({ key, protocol, externalName }) => (
      <span class="two">
        <span class="mono strong cut">{key}</span>
        <span class="faint cut">{externalName === null ? protocol : `${protocol} · ${externalName}`}</span>
      </span>
    ),
  },
  { head: 'Endpoints', width: 'minmax(12rem, 1.5fr)', cell: (row) => <Health row={row} /> },
  {
    head: 'Req/s',
    width: '5rem',
    isNumber: true,
    cell: ({ traffic }) => (traffic ? figure(traffic.requestsPerSecond) : '–'),
  },
  { head: 'p50', width: '5.5rem', isNumber: true, cell: ({ traffic }) => ms(traffic?.p50Ms ?? null) },
  { head: 'p99', width: '5.5rem', isNumber: true, cell: ({ traffic }) => ms(traffic?.p99Ms ?? null) },
];

function Health({ row }: { readonly row: BackendRow }): JSX.Element {
  const { endpoints, endpointCount, failoverCount, lastResort, unavailable } = row;
  if (unavailable !== null) return <Badge tone="bad">{unavailable}</Badge>;
  const reserve = failoverCount > 0 ? `, ${failoverCount} in reserve` : '';
  return (
    <span class="two">
      <span class="dots" aria-hidden="true">
        {endpoints.slice(0, DOTS).map((endpoint) => (
          <span key={endpoint.address} class={`dot ${healthTone(endpoint)}`} />
        ))}
      </span>
      <span class="faint">
        {plural(endpointCount, 'endpoint')}
        {reserve}
        {lastResort && ', none is ready'}
      </span>
    </span>
  );
}

export function Backends({ place }: { readonly place: Place }): JSX.Element {
  const filter = place.query.get('filter') ?? '';
  const unavailable = place.query.get('unavailable') === 'true';
  const settled = useSettled(filter);
  const [total, setTotal] = useState<number | null>(null);
  const query = new URLSearchParams({
    ...(settled !== '' && { filter: settled }),
    ...(unavailable && { unavailable: 'true' }),
  });
  if (place.rest !== '') return <Backend name={decodeURIComponent(place.rest)} />;
  return (
    <section class="list">
      <Filter
        label="Filter backends"
        placeholder="namespace/service:port"
        value={filter}
        onChange={(text) => setParameter(place, 'filter', text)}
        count={total === null ? '' : plural(total, 'backend')}
      >
        <label class="check">
          <input
            type="checkbox"
            checked={unavailable}
            onChange={(event) =>
              setParameter(place, 'unavailable', event.currentTarget.checked ? 'true' : '')
            }
          />
          only those that cannot serve
        </label>
      </Filter>
      <VirtualTable<BackendRow, Page<BackendRow>>
        label="Backends"
        path={`backends?${query.toString()}`}
        columns={COLUMNS}
        rowHeight={52}
        link={({ key }) => linkTo(`backends/${encodeURIComponent(key)}`)}
        everyMs={2_000}
        empty={settled === '' && !unavailable ? 'There is no backend.' : 'No such backend.'}
        onPage={(page) => setTotal(page.total)}
      />
    </section>
  );
}

function Backend({ name }: { readonly name: string }): JSX.Element {
  const query = new URLSearchParams({ filter: name, limit: '20' });
  const { answer, error } = useAnswer<Page<BackendRow>>(`backends?${query.toString()}`, 2_000);
  const backend = answer?.items.find(({ key }) => key === name);
  return (
    <article>
      <p class="faint">
        <a href={linkTo('backends')}>Backends</a>
      </p>
      <h1 class="mono">{name}</h1>
      <Notice error={error} />
      {answer !== null && !backend && <p class="note">There is no such backend any more.</p>}
      {backend && <BackendCard backend={backend} />}
      <p>
        <a href={linkTo('routes', { filter: name })}>Routes that lead here</a>
      </p>
    </article>
  );
}

export function BackendCard({ backend }: { readonly backend: BackendRow }): JSX.Element {
  const { key, protocol, externalName, unavailable, lastResort, endpoints, endpointCount, failoverCount } =
    backend;
  return (
    <section class="card">
      <h2>
        <a class="mono" href={linkTo(`backends/${encodeURIComponent(key)}`)}>
          {key}
        </a>{' '}
        <Badge tone="plain">{protocol}</Badge>{' '}
        {unavailable !== null && <Badge tone="bad">{unavailable}</Badge>}
        {lastResort && <Badge tone="warn">no endpoint is ready</Badge>}
      </h2>
      <p>
        <TrafficLine traffic={backend.traffic} />
      </p>
      {externalName !== null && <p class="faint">An ExternalName, resolved by DNS: {externalName}</p>}
      {endpoints.length > 0 && (
        <Endpoints endpoints={endpoints} more={endpointCount + failoverCount - endpoints.length} />
      )}
    </section>
  );
}
