import { parser } from '@prometheus-io/lezer-promql';

/** What a query of Prometheus asks for. */
export interface PromqlQuery {
  readonly metrics: ReadonlySet<string>;
  readonly labels: ReadonlySet<string>;
}

/** Throws where Prometheus would not understand it. */
export function readPromql(expr: string): PromqlQuery {
  const metrics = new Set<string>();
  const labels = new Set<string>();
  parser.parse(expr).iterate({
    enter({ name, type, from, to }) {
      if (type.isError) throw new Error(`not PromQL at ${from}: ${expr}`);
      if (name === 'LabelName') labels.add(expr.slice(from, to));
      if (name === 'Identifier') metrics.add(expr.slice(from, to));
    },
  });
  return { metrics, labels };
}
