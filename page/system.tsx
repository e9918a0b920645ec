import type { JSX } from 'preact';
import type { Overview, ThreadRow, WatchRow } from '../src/admin/api/answers.ts';
import { useAnswer } from './api.ts';
import { ago, count, mib } from './format.ts';
import { Badge, Notice } from './parts.tsx';

/** The process itself: readiness, threads, watches. */
export function System({ overview }: { readonly overview: Overview | null }): JSX.Element {
  const { answer: threads, error } = useAnswer<{ readonly items: readonly ThreadRow[] }>('threads', 2_000);
  const { answer: watches } = useAnswer<{ readonly items: readonly WatchRow[] }>('watches', 5_000);
  const failing = overview?.checks.filter(({ ok }) => !ok) ?? [];
  return (
    <article>
      <Notice error={error} />
      {overview && (
        <section class="card">
          <h2>
            Portico {overview.version} {overview.pod && <span class="faint">in Pod {overview.pod}</span>}
          </h2>
          <p>
            Started {ago(overview.startedAt)}, serves table generation {overview.generation}.{' '}
            {overview.ready ? <Badge tone="good">ready</Badge> : <Badge tone="bad">not ready</Badge>}
          </p>
          <ul class="plain">
            {failing.map(({ name, detail }) => (
              <li key={name} class="bad">
                {name}: {detail}
              </li>
            ))}
          </ul>
        </section>
      )}
      <section class="card">
        <h2>Data-plane threads</h2>
        <table class="plain">
          <thead>
            <tr>
              <th>Thread</th>
              <th class="number">Busy</th>
              <th class="number">Memory</th>
              <th class="number">In flight</th>
              <th class="number">Clients</th>
              <th class="number">Upstreams</th>
              <th class="number">Generation</th>
              <th>State</th>
            </tr>
          </thead>
          <tbody>
            {threads?.items.map((thread) => (
              <tr key={thread.thread}>
                <td>{thread.thread}</td>
                <td class="number">
                  {thread.utilization === null ? '–' : `${Math.round(thread.utilization * 100)} %`}
                </td>
                <td class="number">{thread.memoryBytes === null ? '–' : mib(thread.memoryBytes)}</td>
                <td class="number">{thread.inFlight ?? '–'}</td>
                <td class="number">{thread.clientConnections ?? '–'}</td>
                <td class="number">{thread.upstreamConnections ?? '–'}</td>
                <td class="number">{thread.generation}</td>
                <td>
                  {!thread.answered ? (
                    <Badge tone="bad">does not answer</Badge>
                  ) : thread.listening ? (
                    <Badge tone="good">serving</Badge>
                  ) : (
                    <Badge tone="warn">starting</Badge>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      <section class="card">
        <h2>Watches</h2>
        <table class="plain">
          <thead>
            <tr>
              <th>Kind</th>
              <th class="number">Objects</th>
              <th>State</th>
              <th>Last event</th>
              <th class="number">Relists</th>
              <th class="number">Errors</th>
              <th>Last error</th>
            </tr>
          </thead>
          <tbody>
            {watches?.items.map((watch) => (
              <tr key={watch.kind}>
                <td>{watch.kind}</td>
                <td class="number">{count(watch.objects)}</td>
                <td>
                  {watch.connected ? (
                    <Badge tone="good">connected</Badge>
                  ) : watch.synced ? (
                    <Badge tone="warn">stale</Badge>
                  ) : (
                    <Badge tone="bad">not listed yet</Badge>
                  )}
                </td>
                <td>{watch.lastEventAt === null ? '–' : ago(watch.lastEventAt)}</td>
                <td class="number">{watch.relists}</td>
                <td class="number">{watch.errors}</td>
                <td class="faint">{watch.lastError ?? ''}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </article>
  );
}
