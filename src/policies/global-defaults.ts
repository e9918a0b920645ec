/**
 * What holds where an Ingress says nothing, by the names that the options have in the ConfigMap of ingress-nginx.
 *
 * A policy uses an option by naming it in the `AnnotationSpec` that it is the default of: `global: 'proxy-body-size'`. The
 * reader then gives its value, in the syntax of ingress-nginx, wherever none of the spec's annotations is written, so that
 * `parse` needs no line for it. An option without an annotation, such as `limit-req-status-code`, is a spec with
 * `name: null` and no `nginx` names. `parse` is called for an Ingress without annotations, too, when one of its options is set.
 */
export type GlobalDefaults = Readonly<Record<string, string>>;

export const NO_DEFAULTS: GlobalDefaults = {};

/** Defaults of ingress-nginx 1.15.1 that are not those of Portico: they hold in its place, with `--drop-in`. */
export const INGRESS_NGINX_DEFAULTS: GlobalDefaults = {
  'proxy-body-size': '1m',
};
