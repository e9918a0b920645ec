import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Logger } from 'pino';
import type { ExporterVariables } from '../config/otlp-variables.ts';
import { VERSION } from '../version.ts';
import { OtlpExporter, type OtlpSignal } from './otlp-exporter.ts';

const TROUBLE_LOG_MS = 60_000;

/**
 * Opens what sends a signal to its collector; null where it needs a file that cannot be read. That is logged, and so is, at
 * most once a minute, what the collector does not take.
 */
export function openExporter(
  signal: OtlpSignal,
  variables: ExporterVariables,
  env: NodeJS.ProcessEnv,
  logger: Logger,
): OtlpExporter | null {
  const { items } = signal;
  let loggedAt = Number.NEGATIVE_INFINITY;
  let isLogged = false;
  const onTrouble = (reason: string | null): void => {
    if (reason === null) {
      if (isLogged) logger.info(`resolved: ${items} reach the collector again`);
      isLogged = false;
      return;
    }
    // Also of a collector that fails now and then.
    if (performance.now() - loggedAt < TROUBLE_LOG_MS) return;
    loggedAt = performance.now();
    isLogged = true;
    logger.warn(
      `${items} cannot be sent to the collector: ${reason}; requests are served, and ${items} are dropped`,
    );
  };
  try {
    return new OtlpExporter({ signal, variables, resource: resourceOf(env), onTrouble });
  } catch (error) {
    const names = 'OTEL_EXPORTER_OTLP_CERTIFICATE, _CLIENT_KEY or _CLIENT_CERTIFICATE';
    logger.warn(`no ${items} are sent: a file of ${names} cannot be used: ${(error as Error).message}`);
    return null;
  }
}

/** The same for all signals of the process. */
const INSTANCE = randomUUID();

/** What everything comes from, as far as it is known. */
function resourceOf(env: NodeJS.ProcessEnv): Readonly<Record<string, string>> {
  const known: Readonly<Record<string, string | undefined>> = {
    'service.version': VERSION,
    'service.instance.id': INSTANCE,
    'host.name': hostname(),
    'k8s.pod.name': env['POD_NAME'],
    'k8s.namespace.name': env['POD_NAMESPACE'],
    'k8s.node.name': env['PORTICO_NODE_NAME'],
    'process.runtime.name': 'nodejs',
    'process.runtime.version': process.versions.node,
    'telemetry.sdk.name': 'portico',
    'telemetry.sdk.language': 'nodejs',
    'telemetry.sdk.version': VERSION,
  };
  return Object.fromEntries(
    Object.entries(known).flatMap(([key, value]) => (value ? [[key, value] as const] : [])),
  );
}
