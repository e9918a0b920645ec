import type { Route } from './table.ts';

/** The object that a route comes from, and where in it. */
export interface RouteSource {
  /** `Ingress`, a kind of route of Gateway API, or `Portico` for the controller's own default backend. */
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** `spec.rules[0].http.paths[1]` */
  readonly field: string;
}

const INGRESS = 'Ingress';

export function routeSource({ ingress, kind, field }: Route): RouteSource {
  if (ingress === '') return { kind: 'Portico', namespace: '', name: 'default-backend', field: '' };
  const slash = ingress.indexOf('/');
  return { kind: kind ?? INGRESS, namespace: ingress.slice(0, slash), name: ingress.slice(slash + 1), field };
}

/**
 * By which a route is told from others, in the table of every thread: `Ingress/shop/web/spec.rules[0].http.paths[1]`. A
 * rule of several hosts has one for all of them.
 */
export function routeId({ ingress, kind, field }: Route): string {
  return ingress === '' ? 'Portico/default-backend' : `${kind ?? INGRESS}/${ingress}/${field}`;
}
