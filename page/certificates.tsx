import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { CertificateRow, Page } from '../src/admin/api/answers.ts';
import { useSettled } from './api.ts';
import { Filter } from './filter.tsx';
import { expiryText, expiryTone, plural } from './format.ts';
import { Badge } from './parts.tsx';
import { type Place, linkTo, setParameter } from './place.ts';
import { type Column, VirtualTable } from './virtual-table.tsx';

const COLUMNS: readonly Column<CertificateRow>[] = [
  {
    head: 'Expires',
    width: '11rem',
    cell: ({ notAfter }) =>
      notAfter === null ? (
        <Badge tone="bad">self-signed</Badge>
      ) : (
        <span class="two">
          <span>
            <Badge tone={expiryTone(notAfter)}>{expiryText(notAfter)}</Badge>
          </span>
          <span class="faint">{notAfter.slice(0, 16).replace('T', ' ')}</span>
        </span>
      ),
  },
  {
    head: 'Host',
    width: 'minmax(12rem, 1.4fr)',
    cell: ({ host, ingress }) => (
      <span class="two">
        <span class="mono strong cut">{host || '(default)'}</span>
        <span class="faint cut">{ingress}</span>
      </span>
    ),
  },
  {
    head: 'Secret',
    width: 'minmax(9rem, 1fr)',
    cell: ({ secret }) => <span class="cut">{secret ?? '–'}</span>,
  },
  {
    head: 'Names',
    width: 'minmax(12rem, 1.6fr)',
    cell: ({ names, subject }) => (
      <span class="cut2" title={names.join(', ')}>
        {names.map((name) => name.replace(/^DNS:/, '')).join(', ') || subject || '–'}
      </span>
    ),
  },
  {
    head: 'Issuer',
    width: 'minmax(9rem, 1fr)',
    cell: ({ issuer }) => <span class="cut2">{issuer ?? '–'}</span>,
  },
];

export function Certificates({ place }: { readonly place: Place }): JSX.Element {
  const filter = place.query.get('filter') ?? '';
  const settled = useSettled(filter);
  const [total, setTotal] = useState<number | null>(null);
  const query = settled === '' ? '' : `?${new URLSearchParams({ filter: settled }).toString()}`;
  return (
    <section class="list">
      <Filter
        label="Filter certificates"
        placeholder="host or Secret"
        value={filter}
        onChange={(text) => setParameter(place, 'filter', text)}
        count={total === null ? '' : plural(total, 'TLS host')}
      />
      <VirtualTable<CertificateRow, Page<CertificateRow>>
        label="Certificates"
        path={`certificates${query}`}
        columns={COLUMNS}
        rowHeight={56}
        link={({ host }) => linkTo('explain', { url: `https://${host.replace('*', 'www')}/` })}
        everyMs={5_000}
        empty={settled === '' ? 'No host has TLS.' : 'No host or Secret has this text.'}
        onPage={(page) => setTotal(page.total)}
      />
    </section>
  );
}
