import { INGRESS_NGINX_DEFAULTS, NO_DEFAULTS } from '../policies/global-defaults.ts';
import type { HealthCheck, HttpsRedirect } from '../routing/decide.ts';
import type { CompileSettings } from '../routing/settings.ts';
import type { CompileConfig } from './config.ts';

/**
 * What compiling depends on besides the cluster, by the flags: the same for `run`, `check` and `explain`, so that the
 * latter judge what the first serves. `now` is set at each compilation.
 */
export function compileSettings(config: CompileConfig): Omit<CompileSettings, 'now'> {
  return {
    ingressClass: config.ingressClass,
    controllerName: config.controllerName,
    watchIngressWithoutClass: config.watchIngressWithoutClass,
    gatewayController: config.gatewayController,
    hostOwnership: config.hostOwnership,
    defaultBackend: config.defaultBackend,
    allowLoopback: config.allowLoopback,
    allowCrossNamespaceExternalNames: config.allowCrossNamespaceExternalNames,
    ...(config.annotationsPrefix !== 'nginx.ingress.kubernetes.io' && {
      annotationsPrefix: config.annotationsPrefix,
    }),
    ...(config.namespaceSelector && { namespaceSelector: config.namespaceSelector }),
    externalNames: config.externalNames,
    catchAll: config.catchAll,
    allowCrossNamespaceReferences: config.allowCrossNamespaceReferences,
    location: { node: config.nodeName, zone: config.zone },
    defaultTlsSecret: config.defaultTlsSecret,
    ingressNginxConfigMap: config.ingressNginxConfigMap,
    tcpServicesConfigMap: config.tcpServicesConfigMap,
    udpServicesConfigMap: config.udpServicesConfigMap,
    gatewayAddresses: config.gatewayAddresses,
    gatewayServicePorts: config.gatewayServicePorts,
    ingressPorts: { http: config.httpPort, https: config.httpsPort > 0 ? config.httpsPort : null },
    ownPorts: [config.httpPort, config.httpsPort].filter((port) => port > 0),
    defaults: config.dropIn === null ? NO_DEFAULTS : INGRESS_NGINX_DEFAULTS,
  };
}

/** How health checks are answered by a Portico that is not draining; null for not at all. */
export function healthCheck({ healthCheckPath: path }: CompileConfig): HealthCheck | null {
  return path === null ? null : { path, isDraining: false };
}

/** Where clients of hosts with TLS are sent that come without; null to serve them without. */
export function httpsRedirect({ sslRedirect, httpsPort }: CompileConfig): HttpsRedirect | null {
  return sslRedirect && httpsPort > 0 ? { port: httpsPort } : null;
}
