import { reasonClass } from '../http/reason-class.ts';
import {
  type Family,
  type Label,
  type Labels,
  type Sample,
  byStatus,
  histogramOf,
  labelsOf,
  once,
  sourceLabels,
} from './families.ts';
import type { EventTotals, RequestFigures, RequestTotals } from './figures.ts';

/** What is told of the requests of each Ingress and route. Samples are made while they are written. */
export function requestFamilies(
  { counters, events, since }: RequestFigures,
  bounds: readonly number[],
): Family[] {
  const labelsOfSource = once((source: string) => labelsOf(sourceLabels(source), since(source)));
  const perSource = (
    samplesOf: (counters: RequestTotals, labels: Labels) => Iterable<Sample>,
  ): Iterable<Sample | null> => ({
    *[Symbol.iterator]() {
      for (const each of counters) {
        yield null;
        yield* samplesOf(each, labelsOfSource(each.source));
      }
    },
  });
  const perEvent = <K extends EventTotals['kind']>(
    kind: K,
    moreOf: (event: EventTotals & { readonly kind: K }) => readonly Label[],
  ): Iterable<Sample | null> => ({
    *[Symbol.iterator]() {
      for (const event of events) {
        yield null;
        if (!isOf(event, kind)) continue;
        yield { labels: labelsOfSource(event.source), more: moreOf(event), value: event.count };
      }
    },
  });
  const figure = (name: string, help: string, value: (counters: RequestTotals) => number): Family => ({
    ...{ name, type: 'counter', help },
    samples: perSource((each, labels) => [{ labels, value: value(each) }]),
  });
  return [
    {
      name: 'portico_requests_total',
      type: 'counter',
      help: 'Requests, by status class.',
      samples: perSource((each, labels) => byStatus(each.statusClasses, labels)),
    },
    {
      name: 'portico_canary_requests_total',
      type: 'counter',
      help: 'Requests that went to the canary of an Ingress, by main Ingress and status class.',
      samples: perSource((each, labels) => byStatus(each.canaryStatusClasses, labels)),
    },
    {
      name: 'portico_request_duration_seconds',
      type: 'histogram',
      help: 'Time from the first byte of a request to the last byte of its response.',
      samples: perSource((each, labels) => [{ labels, value: histogramOf(each.latency, bounds) }]),
    },
    {
      name: 'portico_upstream_duration_seconds',
      type: 'histogram',
      help: 'Time from the start of an attempt, connecting included, to the head of the response of the Pod; of attempts that got one.',
      samples: perSource((each, labels) => [{ labels, value: histogramOf(each.upstream, bounds) }]),
    },
    figure('portico_request_bytes_total', 'Bytes of request bodies.', (each) => each.requestBytes),
    figure('portico_response_bytes_total', 'Bytes of response bodies.', (each) => each.responseBytes),
    figure('portico_retries_total', 'Attempts after the first one of a request.', (each) => each.retries),
    {
      name: 'portico_connect_failures_total',
      type: 'counter',
      help: 'Attempts that could not connect to a Pod, by reason.',
      samples: perSource((each, labels) =>
        Object.entries(each.connectFailures).map(([reason, value]) => ({
          labels,
          more: [['reason', reason]] as const,
          value,
        })),
      ),
    },
    {
      name: 'portico_local_responses_total',
      type: 'counter',
      help: 'Requests that Portico answered itself or broke off, by the class of the reason and the reason.',
      samples: perEvent('local-response', ({ reason }) => [
        ['class', reasonClass(reason) ?? ''],
        ['reason', reason],
      ]),
    },
    {
      name: 'portico_auth_requests_total',
      type: 'counter',
      help: 'Requests for which a policy had to find out who may pass, by policy and verdict, and whether the verdict was remembered.',
      samples: perEvent('auth', ({ outcome }) => {
        const [policy = '', verdict = '', source] = outcome.split(' ');
        return [
          ['policy', policy],
          ['verdict', verdict],
          ['cached', `${source === 'cached'}`],
        ];
      }),
    },
    figure(
      'portico_dropped_request_fields_total',
      'Request header fields dropped because their names have underscores.',
      (each) => each.droppedFields,
    ),
  ];
}

function isOf<K extends EventTotals['kind']>(
  event: EventTotals,
  kind: K,
): event is EventTotals & { readonly kind: K } {
  return event.kind === kind;
}
