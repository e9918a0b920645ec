import { ingressOf } from '../../e2e/site.ts';
import type { ApiObject } from '../../support/api-server.ts';
import type { Family } from '../scene.ts';
import { ADMIN_HOST, ADMIN_PORT, adminApi } from './admin-api.ts';
import { statusPort } from './status-port.ts';

const INGRESSES = 300;

/** The ports that are not for clients: the status port and the admin API, where there is something to tell. */
export const ownPorts: Family = {
  name: 'own-ports',
  flags: ['--admin-address', `${ADMIN_HOST}:${ADMIN_PORT}`, '--recent-requests', '1000'],
  objects: (): readonly ApiObject[] =>
    Array.from({ length: INGRESSES }, (_, index) => ({
      ...ingressOf({ host: `many-${index}.test`, name: 'web-0', namespace: 'attacked', endpoints: [] }),
      metadata: { name: `many-${index}`, namespace: 'attacked' },
    })),
  scenes: [...statusPort, ...adminApi],
};
