import { MessageChannel, parentPort, workerData } from 'node:worker_threads';
import { type FromThread, type ThreadReport, type ThreadData, type ToThread } from './messages.ts';
import { EMPTY_TABLE, type TableUpdate, applyTableUpdate } from '../../routing/table-update.ts';
import type { ObjectKey } from '../../model/objects.ts';
import type { SecretData } from '../../model/secret-data.ts';
import type { EngineFactory } from '../engine.ts';
import type { EngineName } from './messages.ts';
import { AccessLog } from '../access-log/access-log-lines.ts';
import { CREDENTIAL_NAMES, Redaction } from '../../http/redact-target.ts';
import { PasswordChecks } from '../password-checks.ts';
import { Subrequests } from '../subrequests/subrequests.ts';
import type { Hop } from '../subrequests/subrequest-exchange.ts';
import { LimitStore } from '../limit-store/limit-store.ts';
import { FaultLog } from '../fault-log.ts';
import { RequestDebugger } from '../debug/request-debugger.ts';
import { SpanBatch } from '../tracing/span-batch.ts';
import { spansOf } from '../tracing/spans.ts';
import { Tracer } from '../tracing/tracer.ts';
import type { PolicyThread } from '../../policies/policy.ts';
import { Inspector, memoryBytes } from '../inspector.ts';
import { RequestCounters, buffersOf } from '../request-metrics.ts';
import { SharedLimits } from '../../policies/limits/shared-limits.ts';
import { LiveSettings } from './live-settings.ts';
import { HandshakeCounters } from '../tls/handshake-counters.ts';
import { clientPolicies } from '../tls/client-policies.ts';
import { tlsStreams } from '../tls/tls-streams.ts';
import { askedTransport } from '../subrequests/asked-transport.ts';
import { upstreamTransport } from '../upstream/upstream-transport.ts';
import { type StreamContext, Streams } from '../stream/streams.ts';
import { StreamHops } from '../stream/stream-hops.ts';
import { StreamCounters } from '../stream/stream-counters.ts';
import { TcpServices } from '../stream/tcp-services.ts';
import { GatewayPorts } from '../listener/gateway-ports.ts';
import type { ReportPort } from '../listener/port-state.ts';
import { get } from '../../model/sharded-map.ts';
import { UdpServices } from '../stream/udp-services.ts';
import { createExternalNames } from '../balance/external-names.ts';
import { createEndpoints } from '../balance/endpoint-pool.ts';
import { replacingBackend } from '../../routing/replacing-backend.ts';
import { decide } from '../../routing/decide.ts';
import { listenerAt } from '../../routing/gateway-routes.ts';
import { chooseSockets } from '../sockets/sockets.ts';
import { CertificateStore } from '../tls/certificate-store.ts';
import { trustedProxies } from '../../http/forwarded.ts';

async function loadEngine(name: EngineName): Promise<EngineFactory> {
  switch (name) {
    case 'relay':
      return (await import('../native-engine.ts')).nativeEngine;
    case 'http-proxy':
      return (await import('../http-proxy/reference-engine.ts')).httpProxyEngine;
  }
}

const DESCRIPTORS_REPORT_MS = 1_000;

/** The life of a data-plane thread: adopt tables, serve by the newest, report when asked, drain when told. */
export async function serve(): Promise<void> {
  const port = parentPort;
  if (!port) throw new Error('a data-plane thread was started without a control thread');
  const { settings, limits, streams: shared } = workerData as ThreadData;
  // The clock of `hrtime` is the same for all threads; this one takes less time to read.
  const clockOffsetMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();
  const send = (message: FromThread): void => port.postMessage(message);
  const counters = new RequestCounters();
  const handshakes = new HandshakeCounters();
  const monotonicMs = (): number => clockOffsetMs + performance.now();
  const limitStore =
    settings.limitStore &&
    new LimitStore(settings.limitStore, {
      monotonicMs,
      onAway: (reason) => send({ kind: 'limit-store-away', reason }),
      onBack: () => send({ kind: 'limit-store-back' }),
    });
  const accessLog = new AccessLog(settings.accessLog, {
    send: (lines, droppedBytes) => send({ kind: 'access-log', sink: 'output', lines, droppedBytes }),
    sendRecords: settings.logRecords
      ? (lines, droppedBytes) => send({ kind: 'access-log', sink: 'collector', lines, droppedBytes })
      : null,
    listenerOf: ({ connectionInfo, host }) => listenerAt(table, connectionInfo, host),
    random: Math.random,
  });
  // Others read spans than the log, perhaps elsewhere: what looks like a credential is never in them.
  const redaction = new Redaction([...CREDENTIAL_NAMES, ...settings.accessLog.redact]);
  const debug = new RequestDebugger((line) => send({ kind: 'debug-line', line }), Date.now, redaction);
  const externalNames = createExternalNames({
    ask: (name) => send({ kind: 'resolve', name }),
    now: Date.now,
  });
  const endpoints = createEndpoints({ externalNames });
  const certificates = settings.tls && new CertificateStore(settings.tls);
  const faults = new FaultLog(
    (stack) => send({ kind: 'fault', stack }),
    () => performance.now(),
  );
  const passwords = new PasswordChecks({
    connect() {
      const { port1, port2 } = new MessageChannel();
      port.postMessage({ kind: 'hash-passwords', port: port2 } satisfies FromThread, [port2]);
      return port1;
    },
    now: Date.now,
  });
  const secrets = new Map<ObjectKey, SecretData>();
  let table = EMPTY_TABLE;
  const onFault = (fault: unknown): void => faults.report(fault);
  const spans = new SpanBatch({
    spansOf: (exchange) => spansOf(exchange, redaction),
    send: (sent) =>
      port.postMessage({ kind: 'spans', ...sent } satisfies FromThread, [sent.bytes.buffer as ArrayBuffer]),
    onFault,
  });
  const { sockets } = chooseSockets(settings.sockets ?? 'auto');
  const subrequests = new Subrequests({
    sockets,
    names: externalNames,
    rules: settings.nameRules,
    chooseEndpoint(to): Hop | null {
      const backend = get(table.backends, to.backend);
      if (!backend || backend.unavailable) return null;
      const state = endpoints.choose(backend, 'least-requests', [], '', Date.now());
      return state && { state, transport: askedTransport(to, backend) };
    },
    now: Date.now,
    upstreams: settings.limits,
    leniency: { blanks: true, bareLf: settings.bareLfInResponses ?? false },
    onFault,
  });
  const policyThread: PolicyThread = {
    now: Date.now,
    monotonicMs,
    limits: new SharedLimits(limits),
    clusterLimits: limitStore ?? null,
    secret: (key) => secrets.get(key),
    checkPassword: (...check) => passwords.check(...check),
    send: (request) => subrequests.send(request),
  };
  const live = new LiveSettings(settings, policyThread, (tracing) => new Tracer(tracing));
  let health = settings.healthCheck;
  let descriptorsReportedAt = Number.NEGATIVE_INFINITY;

  const onOutOfDescriptors = (): void => {
    subrequests.closeOldestIdle();
    if (performance.now() - descriptorsReportedAt < DESCRIPTORS_REPORT_MS) return;
    descriptorsReportedAt = performance.now();
    send({ kind: 'out-of-descriptors' });
  };
  const inspector = new Inspector({
    endpoints,
    gauges: () => engine.gauges(),
    now: Date.now,
    recentRequests: settings.recentRequests ?? 0,
    redaction: new Redaction(settings.accessLog.redact),
  });
  const streamCounters = new StreamCounters();
  const streamContext: StreamContext = {
    counters: streamCounters,
    onStreamEnd: (stream) => accessLog.writeStream(stream),
    endpoints,
    limits: settings.limits,
    sockets,
    now: Date.now,
    onFault,
    onOutOfDescriptors,
    places: shared.places,
    hops: { tcp: new StreamHops(shared.tcpHops), udp: new StreamHops(shared.udpHops) },
  };
  const streams = new Streams(streamContext);

  const reportPort: ReportPort = (key, state) => send({ kind: 'port', key, state });
  const tcpServices = new TcpServices(settings.streams, settings.limits, streams, reportPort);
  const udpServices = new UdpServices(settings.streams, streamContext, reportPort);

  const createEngine = await loadEngine(settings.engine);
  const engine = createEngine({
    decide: (request) => decide(table, request, live.httpsRedirect, health),
    replacingBackend: (route, status, reason) => replacingBackend(table, route, status, reason),
    endpoints,
    limits: live.limits,
    sockets,
    get trustedProxies() {
      return live.trustedProxies;
    },
    get tracer() {
      return live.tracer;
    },
    get debug() {
      return debug.isActive ? debug : null;
    },
    h2c: settings.h2c ?? false,
    gatewayPort: (key) => get(table.ports, key),
    get underscoresInHeaders() {
      return live.underscoresInHeaders;
    },
    ingressNginxFields: settings.ingressNginxFields ?? false,
    bareLfInResponses: settings.bareLfInResponses ?? false,
    proxyProtocolFrom: trustedProxies(settings.proxyProtocolFrom),
    proxyProtocolHttpsPorts: settings.proxyProtocolHttpsPorts,
    ...(certificates && {
      certificates,
      handshakes,
      clientPolicies: clientPolicies(() => table),
      tlsStreams: tlsStreams(
        () => table,
        streams,
        ({ route, backend }) =>
          route === null ? null : upstreamTransport(route, backend, (key) => secrets.get(key)).tls,
      ),
    }),
    policies: (policies) => live.bindPolicies(policies),
    secret: (key) => secrets.get(key),
    keepFields: (fields, route) => accessLog.keep(fields, route),
    onFault,
    onComplete(exchange) {
      counters.count(exchange);
      inspector.count(exchange);
      accessLog.write(exchange);
      if (exchange.trace !== null && exchange.trace.parts !== null) spans.add(exchange);
    },
    onOutOfDescriptors,
    now: Date.now,
  });
  const gatewayPorts = new GatewayPorts(engine, settings.streams, reportPort);
  const drainStreams = async (timeoutMs: number): Promise<number> => {
    tcpServices.close();
    const [aborted] = await Promise.all([streams.drain(timeoutMs), udpServices.drain(timeoutMs)]);
    return aborted;
  };
  const report = (): ThreadReport => {
    return {
      counters: counters.table(),
      gauges: engine.gauges(),
      memoryBytes: memoryBytes(),
      faults: faults.count,
      streams: streamCounters.table(),
      handshakes: handshakes.totals(),
      droppedMirrors: subrequests.dropped,
      droppedSpans: spans.dropped,
      limitStoreMisses: limitStore?.misses ?? 0,
    };
  };

  /** The numbers are handed over, not copied once more. */
  const sendReport = (id: number): void => {
    const message: FromThread = { kind: 'report', id, report: report() };
    port.postMessage(message, buffersOf(message.report.counters));
  };

  const adopt = (update: TableUpdate): void => {
    try {
      const next = applyTableUpdate(table, update);
      certificates?.adopt(next);
      const gone = endpoints.adopt(next);
      engine.close(gone);
      subrequests.retire(gone);
      if (live.adopt(next.globals)) engine.limitsChanged?.();
      accessLog.adopt(next.globals?.accessLog);
      table = next;
      gatewayPorts.adopt(next);
      tcpServices.adopt(next);
      udpServices.adopt(next, gone);
      send({ kind: 'adopted', generation: table.generation });
    } catch (error) {
      const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
      send({ kind: 'adopt-failed', reason });
    }
  };

  port.on('message', async (message: ToThread) => {
    switch (message.kind) {
      case 'table':
        adopt(message.update);
        break;
      case 'name':
        externalNames.answered(message.answer);
        break;
      case 'keys':
        certificates?.change(message.update);
        break;
      case 'secrets':
        for (const [key, data] of message.update) {
          if (data === null) secrets.delete(key);
          else secrets.set(key, data);
        }
        break;
      case 'ticket-key':
        certificates?.rotate(message.key);
        break;
      case 'listen': {
        const ports: number[] = [];
        for (const address of message.addresses) {
          try {
            ports.push((await engine.listen(address)).port);
          } catch (error) {
            const { code, message: text } = error as NodeJS.ErrnoException;
            return send({ kind: 'listen-failed', address, code: code ?? '', message: text });
          }
        }
        gatewayPorts.start(
          message.addresses.map(({ scheme = 'http' }, at) => ({ port: ports[at] ?? 0, scheme })),
        );
        send({ kind: 'listening', ports });
        break;
      }
      case 'log-taken':
        (message.sink === 'output' ? accessLog.lines : accessLog.records)?.taken(message.characters);
        break;
      case 'report':
        sendReport(message.id);
        break;
      case 'inspect':
        send({ kind: 'inspected', id: message.id, answer: inspector.answer(message.question) });
        break;
      case 'debug':
        debug.use(message.sessions);
        break;
      case 'spans-taken':
        spans.taken(message.count);
        break;
      case 'forget':
        counters.forget(message.sources);
        break;
      case 'drain': {
        gatewayPorts.stop();
        health &&= { ...health, isDraining: true };
        const aborted = await Promise.all([engine.drain(message.timeoutMs), drainStreams(message.timeoutMs)]);
        subrequests.close();
        accessLog.flush();
        spans.flush();
        send({ kind: 'drained', aborted: aborted[0] + aborted[1], report: report() });
        break;
      }
    }
  });
}
