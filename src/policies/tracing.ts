import type { AnnotationReader } from './annotation-reader.ts';
import type { AnnotationSpec } from './annotation-spec.ts';
import { definePolicy } from './policy.ts';

export interface TracingConfig {
  /** Null as the process is set up. */
  readonly isOn: boolean | null;
  /** Whether the trace that a client names is gone on with; null as the process is set up. */
  readonly trustsClient: boolean | null;
  /** Of the span of a request; null for its method and the path of its rule. */
  readonly spanName: string | null;
}

const TRACING: AnnotationSpec = {
  name: 'tracing',
  nginx: 'enable-opentelemetry',
  global: 'enable-opentelemetry',
  values: '`true`, `false`',
  default: 'true if an `OTEL_` variable names a collector, otherwise false',
  scope: 'path',
  about:
    'Whether requests for these paths are traced: recorded as the sampler says, and passed on with `traceparent`. With `false` ' +
    'the trace fields of clients reach Pods unchanged. Tracing needs a collector.',
  difference: 'spans go to the collector as OTLP over HTTP, in JSON.',
};

const TRUST: AnnotationSpec = {
  name: 'trace-trust-client',
  nginx: 'opentelemetry-trust-incoming-span',
  global: 'opentelemetry-trust-incoming-span',
  values: '`true`, `false`',
  default: 'as `--trust-trace-context` says',
  scope: 'path',
  about:
    'Whether a traced request continues the trace that its client names in `traceparent`. With `false` every request begins a ' +
    'trace of its own, and clients cannot decide what is recorded.',
  difference: 'it counts without `enable-opentelemetry` on the same Ingress, too.',
};

const SPAN_NAME: AnnotationSpec = {
  name: 'trace-span-name',
  nginx: 'opentelemetry-operation-name',
  global: 'opentelemetry-operation-name',
  values: 'a name of at most 128 letters, digits, spaces and `_ - . / : { }`',
  default: 'method and path of the rule, as in `GET /cart`',
  scope: 'path',
  about: 'The name of the spans of requests for these paths.',
  difference: 'it counts without `enable-opentelemetry` on the same Ingress, too.',
};

const NAME = /^[\w\-./:{} ]{1,128}$/;

export const tracing = definePolicy({
  name: 'tracing',
  phase: 'response',
  summary: 'Which requests are traced with OpenTelemetry, and how.',
  page: { title: 'Tracing', file: 'tracing.md' },
  annotations: [TRACING, TRUST, SPAN_NAME],
  whenInvalid: 'default',

  parse(read): TracingConfig | null {
    const isOn = read.bool(TRACING);
    const trustsClient = read.bool(TRUST);
    const spanName = readName(read);
    if (isOn === true && read.isWritten(TRACING) && !read.hasCollector) {
      const message =
        'Requests are not traced, because no collector is known: set OTEL_EXPORTER_OTLP_ENDPOINT where Portico runs, as in http://otel-collector.observability:4318.';
      read.warn('TracingWithoutCollector', TRACING, message);
    }
    return isOn === null && trustsClient === null && spanName === null
      ? null
      : { isOn, trustsClient, spanName };
  },

  describe({ isOn, trustsClient, spanName }) {
    const words = [
      isOn === null ? null : isOn ? 'on' : 'off',
      trustsClient === null ? null : `${trustsClient ? 'continues' : 'ignores'} traces of clients`,
      spanName === null ? null : `spans named "${spanName}"`,
    ];
    return words.filter((word) => word !== null).join(', ');
  },
});

function readName(read: AnnotationReader): string | null {
  const name = read.text(SPAN_NAME)?.trim() ?? '';
  if (name === '' || NAME.test(name)) return name || null;
  read.invalid(SPAN_NAME, 'is not valid', 'write a name of letters, digits, spaces and _ - . / : { }');
  return null;
}
