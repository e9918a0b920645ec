import type { Logger } from 'pino';
import { plural } from '../model/plural.ts';
import { difference, entries, get } from '../model/sharded-map.ts';
import type { Compilation } from '../routing/compile/compile.ts';
import { describeLeftOut, leftOut, ofClass } from '../routing/left-out.ts';
import { type RouteChange, certificateChanges, routeChanges } from '../routing/table-changes.ts';
import { countTable } from '../routing/table-view.ts';

/** Changes that one line names; the others are counted. */
const MAX_NAMED = 3;

/** Says in one line what a change of the cluster or of the manifests did to what is served. */
export interface ChangeLog {
  /** To be called with every compilation, in order. */
  compiled(previous: Compilation | null, next: Compilation): void;
}

export interface ChangeLogOptions {
  readonly logger: Logger;
  /** Endpoints come and go all the time in a cluster, and are said at debug level there. */
  readonly endpointLevel: 'info' | 'debug';
}

export function createChangeLog({ logger, endpointLevel }: ChangeLogOptions): ChangeLog {
  let routes = 0;
  const knownClasses = new Set<string>();

  const first = (compilation: Compilation): void => {
    routes = countTable(compilation.table).routes;
    for (const [, className] of entries(compilation.foreign)) knownClasses.add(className);
    const described = describeLeftOut(leftOut(compilation));
    if (described === null) return;
    logger[routes === 0 ? 'warn' : 'info'](`not served: ${described}; portico check lists them`);
  };

  /** Whether a route changed. */
  const sayRoutes = (changes: Iterable<RouteChange>): boolean => {
    const before = routes;
    const first: string[] = [];
    let total = 0;
    for (const change of changes) {
      routes += change.kind === 'added' ? 1 : change.kind === 'removed' ? -1 : 0;
      if (total++ < MAX_NAMED) first.push(routeChange(change));
    }
    if (total === 0) return false;
    const count = `${before === routes ? '' : `${before} → `}${plural(routes, 'route')}`;
    logger.info(`${count} (${named(first, total)})`);
    return true;
  };

  const sayEndpoints = (previous: Compilation, next: Compilation): void => {
    const changed: string[] = [];
    for (const [key, backend] of difference(previous.table.backends, next.table.backends)) {
      const before = get(previous.table.backends, key);
      if (!before || !backend) continue;
      const [had, has] = [before.endpoints.length, backend.endpoints.length];
      changed.push(`${had === has ? '' : `${had} → `}${plural(has, 'endpoint')} of ${key}`);
    }
    if (changed.length > 0) logger[endpointLevel](named(changed));
  };

  const sayLeftOut = (previous: Compilation, next: Compilation): void => {
    const lost: string[] = [];
    for (const [ingress, className] of difference(previous.foreign, next.foreign)) {
      if (className === undefined) continue;
      // Of the classes of other controllers an Ingress more is nobody's mistake.
      const isNews = className === '' || !knownClasses.has(className) || get(previous.asked, ingress);
      knownClasses.add(className);
      if (isNews) lost.push(`Ingress ${ingress} ${ofClass(className)}`);
    }
    if (lost.length > 0) logger.info(`not served: ${named(lost)}`);
  };

  return {
    compiled(previous, next) {
      if (previous === null) return first(next);
      if (previous.table !== next.table) {
        const hasChanged = sayRoutes(routeChanges(previous.table, next.table));
        if (!hasChanged) sayEndpoints(previous, next);
      }
      const hosts = certificateChanges(previous, next);
      if (hosts.length > 0) logger.info(`new certificates: ${named(hosts)}`);
      if (previous.foreign !== next.foreign) sayLeftOut(previous, next);
    },
  };
}

const SIGNS = { added: '+', removed: '-', changed: '~' } as const;

/** `+ shop.example.com /cart` */
function routeChange({ kind, host, path }: RouteChange): string {
  return `${SIGNS[kind]} ${host || '(any host)'} ${path || '/'}`;
}

/** The first of `total` changes, and how many more there are. */
function named(changes: readonly string[], total = changes.length): string {
  const more = total - MAX_NAMED;
  return [...changes.slice(0, MAX_NAMED), ...(more > 0 ? [`and ${more} more`] : [])].join(', ');
}
