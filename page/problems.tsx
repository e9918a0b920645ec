import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { ProblemPage, ProblemRow } from '../src/admin/api/answers.ts';
import { useSettled } from './api.ts';
import { Filter } from './filter.tsx';
import { count, plural } from './format.ts';
import { Badge, toneOf } from './parts.tsx';
import { type Place, linkTo, objectLink, setParameter } from './place.ts';
import { type Column, VirtualTable } from './virtual-table.tsx';

const COLUMNS: readonly Column<ProblemRow>[] = [
  {
    head: 'Severity',
    width: '6rem',
    cell: ({ severity }) => <Badge tone={toneOf(severity)}>{severity}</Badge>,
  },
  {
    head: 'Object',
    width: 'minmax(11rem, 1fr)',
    cell: ({ object, field }) => (
      <span class="two">
        <span class="cut">
          {object.kind} {object.namespace && `${object.namespace}/`}
          {object.name}
        </span>
        <span class="faint mono cut" title={field}>
          {field || 'the object'}
        </span>
      </span>
    ),
  },
  {
    head: 'What is wrong',
    width: 'minmax(16rem, 3fr)',
    cell: ({ message, code, place }) => (
      <span class="two" title={message}>
        <span class="cut2">{message}</span>
        <span class="faint cut">{[code, ...(place === null ? [] : [place])].join(' · ')}</span>
      </span>
    ),
  },
];

/** All problems, or only those where an object lost something to another one. */
export function Problems({
  place,
  conflicts,
}: {
  readonly place: Place;
  readonly conflicts: boolean;
}): JSX.Element {
  const filter = place.query.get('filter') ?? '';
  const namespace = place.query.get('namespace') ?? '';
  const severity = place.query.get('severity') ?? '';
  const settled = useSettled(filter);
  const [page, setPage] = useState<ProblemPage | null>(null);
  const query = new URLSearchParams({
    ...(settled !== '' && { filter: settled }),
    ...(namespace !== '' && { namespace }),
    ...(severity !== '' && { severity }),
    ...(conflicts && { conflicts: 'true' }),
  });
  const noun = conflicts ? 'conflict' : 'problem';
  return (
    <section class="list with-side">
      <nav class="side" aria-label="Namespaces">
        <a class={namespace === '' ? 'on' : ''} href={linkTo(place.view, { ...(filter && { filter }) })}>
          All namespaces
        </a>
        {page?.namespaces.map((each) => (
          <a
            key={each.namespace}
            class={each.namespace !== '' && each.namespace === namespace ? 'on' : ''}
            href={linkTo(place.view, { namespace: each.namespace })}
          >
            <span class="cut">{each.namespace || '(no namespace)'}</span>
            <span class="counts">
              {each.error > 0 && <span class="bad">{count(each.error)}</span>}
              {each.warning > 0 && <span class="warn">{count(each.warning)}</span>}
              {each.error + each.warning === 0 && <span class="faint">{count(each.info)}</span>}
            </span>
          </a>
        ))}
      </nav>
      <div class="main">
        <Filter
          label={`Filter ${noun}s`}
          placeholder="object, field, code or message"
          value={filter}
          onChange={(text) => setParameter(place, 'filter', text)}
          count={page === null ? '' : plural(page.total, noun)}
        >
          <select
            aria-label="Severity"
            value={severity}
            onChange={(event) => setParameter(place, 'severity', event.currentTarget.value)}
          >
            <option value="">Every severity</option>
            <option value="error">Errors</option>
            <option value="warning">Warnings</option>
            <option value="info">Notes</option>
          </select>
        </Filter>
        <VirtualTable<ProblemRow, ProblemPage>
          label={conflicts ? 'Conflicts' : 'Problems'}
          path={`problems?${query.toString()}`}
          columns={COLUMNS}
          rowHeight={76}
          link={({ object }) => objectLink(object)}
          everyMs={5_000}
          empty={conflicts ? 'No object lost anything to another one.' : 'Nothing is wrong.'}
          onPage={setPage}
        />
      </div>
    </section>
  );
}
