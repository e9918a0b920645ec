import { type Family, type Labels, type Sample, labelsOf } from './families.ts';
import type { StreamFigures } from './figures.ts';

/** What is told of TCP and UDP services, by protocol and port; of TLS that is passed through, by protocol. */
export function streamFamilies(streams: readonly StreamFigures[]): Family[] {
  const figure = (name: string, help: string, value: (totals: StreamFigures) => number): Family => ({
    ...{ name, help, type: 'counter' },
    samples: streams.map((totals) => ({ labels: placeOf(totals), value: value(totals) })),
  });
  const datagrams = (name: string, help: string, value: (totals: StreamFigures) => number): Family => ({
    ...{ name, help, type: 'counter' },
    samples: streams
      .filter(({ protocol }) => protocol === 'udp')
      .map((totals) => ({ labels: placeOf(totals), value: value(totals) })),
  });
  return [
    {
      name: 'portico_streams_total',
      type: 'counter',
      help: 'TCP connections that were relayed as they are, and UDP clients, by how they ended.',
      samples: streams.flatMap((totals) =>
        Object.entries(totals.ends).map(([end, value]): Sample => ({
          labels: placeOf(totals),
          more: [['end', end]],
          value,
        })),
      ),
    },
    {
      name: 'portico_streams_open',
      type: 'gauge',
      help: 'TCP connections that are relayed as they are, and UDP clients of the last minute.',
      samples: streams.map((totals) => ({ labels: placeOf(totals), value: totals.open })),
    },
    figure('portico_stream_seconds_total', 'Time that ended streams took.', ({ seconds }) => seconds),
    figure('portico_stream_received_bytes_total', 'Bytes from clients of streams.', (s) => s.receivedBytes),
    figure('portico_stream_sent_bytes_total', 'Bytes to clients of streams.', (s) => s.sentBytes),
    datagrams(
      'portico_stream_received_datagrams_total',
      'Datagrams from clients.',
      (s) => s.receivedDatagrams,
    ),
    datagrams('portico_stream_sent_datagrams_total', 'Datagrams to clients.', (s) => s.sentDatagrams),
  ];
}

function placeOf({ protocol, port }: StreamFigures): Labels {
  return labelsOf({ protocol, port: port > 0 ? `${port}` : port < 0 ? '_other' : '' });
}
