import type { ComponentChildren, JSX } from 'preact';
import type { EndpointRow, ProblemRow, Rates } from '../src/admin/api/answers.ts';
import { count, figure, ms, share } from './format.ts';
import { objectLink } from './place.ts';

export type Tone = 'good' | 'warn' | 'bad' | 'plain';

export function Badge({
  tone,
  children,
}: {
  readonly tone: Tone;
  readonly children: ComponentChildren;
}): JSX.Element {
  return <span class={`badge ${tone}`}>{children}</span>;
}

export function toneOf(severity: ProblemRow['severity']): Tone {
  return severity === 'error' ? 'bad' : severity === 'warning' ? 'warn' : 'plain';
}

export interface TileProps {
  readonly label: string;
  readonly value: string;
  readonly detail?: string;
  readonly tone?: Tone;
  readonly href?: string;
}

export function Tile({ label, value, detail = '', tone = 'plain', href }: TileProps): JSX.Element {
  const inside = (
    <>
      <span class="label">{label}</span>
      <span class={`value ${tone}`}>{value}</span>
      <span class="detail">{detail}</span>
    </>
  );
  return href === undefined ? (
    <div class="tile">{inside}</div>
  ) : (
    <a class="tile" href={href}>
      {inside}
    </a>
  );
}

export function Notice({ error }: { readonly error: string | null }): JSX.Element | null {
  return error === null ? null : (
    <p class="note bad" role="alert">
      {error}
    </p>
  );
}

/** What one route or backend does, in one line; a dash where nothing came. */
export function TrafficLine({ traffic }: { readonly traffic: Rates | null | undefined }): JSX.Element {
  if (!traffic || traffic.requestsPerSecond === 0) return <span class="faint">no requests</span>;
  const failing = traffic.serverErrorsPerSecond > 0;
  return (
    <span>
      {figure(traffic.requestsPerSecond)} req/s · p50 {ms(traffic.p50Ms)} · p99 {ms(traffic.p99Ms)} ·{' '}
      <span class={failing ? 'bad' : 'faint'}>5xx {share(traffic.serverErrorsPerSecond, traffic)}</span>
    </span>
  );
}

export function healthTone({ health, terminating }: EndpointRow): Tone {
  if (health !== null && health.ejectedBy > 0) return 'bad';
  return terminating ? 'warn' : 'good';
}

export function Endpoints({
  endpoints,
  more,
}: {
  readonly endpoints: readonly EndpointRow[];
  readonly more: number;
}): JSX.Element {
  return (
    <table class="plain">
      <thead>
        <tr>
          <th>Endpoint</th>
          <th>Pod</th>
          <th>Node</th>
          <th>Zone</th>
          <th class="number">In flight</th>
          <th class="number">First byte</th>
          <th>State</th>
        </tr>
      </thead>
      <tbody>
        {endpoints.map((endpoint) => (
          <tr key={endpoint.address}>
            <td class="mono">{endpoint.address}</td>
            <td>{endpoint.pod ?? '–'}</td>
            <td>{endpoint.node ?? '–'}</td>
            <td>{endpoint.zone ?? '–'}</td>
            <td class="number">{endpoint.health === null ? '–' : count(endpoint.health.inFlight)}</td>
            <td class="number">{ms(endpoint.health?.latencyMs ?? null)}</td>
            <td>
              <Badge tone={healthTone(endpoint)}>{stateOf(endpoint)}</Badge>
            </td>
          </tr>
        ))}
        {more > 0 && (
          <tr>
            <td colSpan={7} class="faint">
              and {count(more)} more
            </td>
          </tr>
        )}
      </tbody>
    </table>
  );
}

function stateOf({ health, terminating, failover }: EndpointRow): string {
  if (health !== null && health.ejectedBy > 0)
    return `set aside by ${health.ejectedBy} of ${health.threads} threads`;
  if (terminating) return 'terminating';
  return failover ? 'in reserve' : 'in use';
}

export function ProblemList({ problems }: { readonly problems: readonly ProblemRow[] }): JSX.Element {
  return (
    <ul class="problems">
      {problems.map((problem, index) => (
        <li key={index}>
          <Badge tone={toneOf(problem.severity)}>{problem.severity}</Badge>
          <div>
            <p>{problem.message}</p>
            <p class="faint">
              <a href={objectLink(problem.object)}>
                {problem.object.kind} {problem.object.namespace && `${problem.object.namespace}/`}
                {problem.object.name}
              </a>{' '}
              {problem.field} · {problem.code}
              {problem.place !== null && ` · ${problem.place}`}
            </p>
          </div>
        </li>
      ))}
    </ul>
  );
}
