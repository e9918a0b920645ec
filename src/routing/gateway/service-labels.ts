/** What marks the Services that Portico makes for Gateways. */
const GATEWAY_GROUP = 'gateway.networking.k8s.io';

export const NAME_LABEL = `${GATEWAY_GROUP}/gateway-name`;
export const CLASS_LABEL = `${GATEWAY_GROUP}/gateway-class-name`;
/** What an object has from `spec.infrastructure`, so that it can be removed: JSON. */
export const INFRASTRUCTURE = 'portico.dev/infrastructure';
