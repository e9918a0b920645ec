import { connections } from './families/connections.ts';
import { http2 } from './families/http2.ts';
import { ownPorts } from './families/own-ports.ts';
import { proxyProtocol } from './families/proxy-protocol.ts';
import { requests, requestsByReference } from './families/requests.ts';
import { responses } from './families/responses.ts';
import { tenants } from './families/tenants.ts';
import type { Family } from './scene.ts';

/** All there are, in the order in which they are played. Those of one line do not disturb each other, and share a process. */
export const processes: readonly (readonly Family[])[] = [
  [requests, responses],
  [requestsByReference],
  [http2],
  [proxyProtocol, connections],
  [ownPorts, tenants],
];
