import { entries } from '../../src/model/sharded-map.ts';
import { COLLECTIONS } from '../../src/model/snapshot.ts';
import { asArray, asObject } from '../../src/model/untyped.ts';
import { STATUS_KINDS, wantedStatus } from '../../src/publish/wanted-status.ts';
import type { Compilation } from '../../src/routing/compile/compile.ts';

const FACTS = {
  nodeAddresses: [{ type: 'IPAddress', value: '192.0.2.1' }],
  ports: null,
} as const;

/** The conditions of every object of Gateway API as the goldens show them: `Accepted` where it is True, else why not. */
export function describeStatuses(compilation: Compilation): Record<string, unknown> {
  const described: Record<string, unknown> = {};
  for (const kind of STATUS_KINDS) {
    for (const [key] of entries(compilation.snapshot[COLLECTIONS[kind]])) {
      const status = wantedStatus(`${kind} ${key}`, compilation, FACTS, '2026-06-01T00:00:00Z');
      if (status !== null) described[`${kind} ${key}`] = describeStatus(status);
    }
  }
  return described;
}

function describeStatus(status: unknown): unknown {
  const { addresses, listeners, parents, ancestors } = asObject(status);
  const entries = parents ?? ancestors;
  if (entries !== undefined) {
    return Object.fromEntries(
      asArray(entries)
        .map(asObject)
        .map((entry) => [
          parentText(asObject(entry['parentRef'] ?? entry['ancestorRef'])),
          conditionsText(entry),
        ]),
    );
  }
  return {
    conditions: conditionsText(status),
    ...(addresses !== undefined && { addresses: asArray(addresses).map((each) => asObject(each)['value']) }),
    ...(listeners !== undefined && {
      listeners: Object.fromEntries(
        asArray(listeners)
          .map(asObject)
          .map((each) => [each['name'], `${String(each['attachedRoutes'])} routes, ${conditionsText(each)}`]),
      ),
    }),
  };
}

function parentText({
  kind = 'Gateway',
  name,
  namespace,
  sectionName,
  port,
}: Record<string, unknown>): string {
  const at = [namespace, name].filter(Boolean).join('/');
  return [`${String(kind)} ${at}`, sectionName, port].filter(Boolean).join(' ');
}

/** `Accepted, ResolvedRefs False/RefNotPermitted (No ReferenceGrant …)` */
function conditionsText(of: unknown): string {
  const texts = asArray(asObject(of)['conditions'])
    .map(asObject)
    .map(({ type, status, reason, message }) => {
      if (status === 'True' && (reason === type || reason === 'Accepted')) return String(type);
      return `${String(type)} ${String(status)}/${String(reason)} (${String(message)})`;
    });
  return texts.join(', ');
}
