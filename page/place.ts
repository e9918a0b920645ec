import { useEffect, useState } from 'preact/hooks';

/** Where in the page one is: `#/routes?filter=shop` is the view `routes` with its parameters. */
export interface Place {
  readonly view: string;
  /** What follows the view: `Ingress/shop/web`. */
  readonly rest: string;
  readonly query: URLSearchParams;
}

export function placeOf(hash: string): Place {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [view = '', ...rest] = path.split('/');
  return { view: view === '' ? 'overview' : view, rest: rest.join('/'), query: new URLSearchParams(query) };
}

export function usePlace(): Place {
  const [place, setPlace] = useState(() => placeOf(location.hash));
  useEffect(() => {
    const look = (): void => setPlace(placeOf(location.hash));
    addEventListener('hashchange', look);
    return () => removeEventListener('hashchange', look);
  }, []);
  return place;
}

/** Changes a parameter without a new entry in the history. */
export function setParameter(place: Place, name: string, value: string): void {
  const query = new URLSearchParams(place.query);
  if (value === '') query.delete(name);
  else query.set(name, value);
  const text = query.toString();
  const path = place.rest === '' ? place.view : `${place.view}/${place.rest}`;
  history.replaceState(null, '', `#/${path}${text === '' ? '' : `?${text}`}`);
  dispatchEvent(new HashChangeEvent('hashchange'));
}

export function linkTo(view: string, query: Readonly<Record<string, string>> = {}): string {
  const text = new URLSearchParams(query).toString();
  return `#/${view}${text === '' ? '' : `?${text}`}`;
}

/** Of everything about one object. */
export function objectLink({
  kind,
  namespace,
  name,
}: Readonly<Record<'kind' | 'namespace' | 'name', string>>): string {
  return `#/object/${[kind, namespace, name].map(encodeURIComponent).join('/')}`;
}
