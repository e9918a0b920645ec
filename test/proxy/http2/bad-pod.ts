import { expect, it } from 'vitest';
import { nativeEngine } from '../../../src/proxy/native-engine.ts';
import { http2Client } from '../../support/http2-client.ts';
import { type FramePod, forEachRequest, framePod, response, valueOf } from '../../support/http2-frame-pod.ts';
import { CODE, FRAME, type Frame, codeOf } from '../../support/http2-frames.ts';
import { startProxy } from '../../support/proxy.ts';

/** What the pod is told: an error of the stream, or of the connection. */
export interface Told {
  readonly stream?: readonly number[];
  readonly connection?: readonly number[];
}

/** A pod that answers `/bad` with these bytes, and everything else as it should. */
export function badPod(bytes: Uint8Array, first?: Buffer | null): Promise<FramePod> {
  return framePod(
    (end) =>
      forEachRequest(end, (request) => {
        end.send(valueOf(request, ':path') === '/bad' ? bytes : response(request.stream));
      }),
    first,
  );
}

export const isEnd = ({ type }: Frame): boolean => type === FRAME.reset || type === FRAME.goaway;

/**
 * One test for each: a client asks for `/bad` on stream 1 of a new connection, which is answered so. It gets 502, or a
 * response that is seen to be cut; the pod is told; and the next request is served.
 */
export function refused(
  cases: Readonly<Record<string, Uint8Array>>,
  told: Told,
  outcome: '502' | 'cut' | 'either' = '502',
): void {
  for (const [what, bytes] of Object.entries(cases)) {
    it(what, async () => {
      await using pod = await badPod(bytes);
      await using proxy = await startProxy(nativeEngine, [{ ports: [pod.port], protocol: 'h2c' }], {
        h2c: true,
      });
      using client = http2Client(proxy.port);
      const answer = await client.ask({ ':path': '/bad', ':method': 'POST' }, '');
      const cut = answer.code !== CODE.noError;
      if (outcome !== 'either')
        expect(cut ? 'cut' : String(answer.status), JSON.stringify(answer)).toBe(outcome);
      else expect([502, 200]).toContain(answer.status);
      expect(JSON.stringify(answer)).not.toContain('evil');
      expect(await client.ask({ ':path': '/ok' })).toMatchObject({ status: 200, body: 'ok' });
      const end = pod.connections[0]!;
      // A stream that both have ended needs no reset.
      const said = told.stream ? end.frames.filter(isEnd) : [await end.until(isEnd)];
      for (const frame of said) {
        const isReset = frame.type === FRAME.reset;
        const codes = isReset ? told.stream : told.connection;
        expect(codes ?? [], `${isReset ? 'RST_STREAM' : 'GOAWAY'} with ${codeOf(frame)}`).toContain(
          codeOf(frame),
        );
      }
      expect(proxy.engine.gauges().inFlight).toBe(0);
    });
  }
}
