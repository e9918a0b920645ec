import { expect, it } from 'vitest';
import {
  FRAME,
  SETTING,
  frameClient,
  headers,
  requestFields,
  settingsOf,
} from '../../../support/http2-frames.ts';
import { answerOn, siteForAll } from './site.ts';

const site = siteForAll();

it('the smallest HEADER_TABLE_SIZE of several is said before the last (RFC 7541 4.2)', async () => {
  const { headerTableSize } = SETTING;
  using client = await frameClient(
    site().proxy.port,
    settingsOf([headerTableSize, 0], [headerTableSize, 8192]),
  );
  client.send(headers(1, requestFields('GET', '/ok')));
  const { payload } = await client.until(({ type }) => type === FRAME.headers);
  // A table of nothing, and then one of some size, which need not be all that was offered.
  expect(payload[0]).toBe(0x20);
  expect((payload[1] ?? 0) >> 5).toBe(1);
  expect((await answerOn(client, 1, 8192)).status).toBe(200);
});
