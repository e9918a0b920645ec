import { type Family, labelsOf } from './families.ts';
import type { HandshakeFigures } from './figures.ts';

/** What is told of the handshakes of TLS ports. */
export function handshakeFamilies({ done, failed }: HandshakeFigures): Family[] {
  return [
    {
      name: 'portico_tls_handshakes_total',
      type: 'counter',
      help: 'TLS handshakes with clients that succeeded, by version, and whether a session was resumed.',
      samples: Object.entries(done).map(([key, value]) => {
        const [version = '', resumed = ''] = key.split(' ', 2);
        return { labels: labelsOf({ version, resumed }), value };
      }),
    },
    {
      name: 'portico_tls_handshake_failures_total',
      type: 'counter',
      help: 'TLS handshakes with clients that failed, by reason.',
      samples: Object.entries(failed).map(([reason, value]) => ({ labels: labelsOf({ reason }), value })),
    },
  ];
}
