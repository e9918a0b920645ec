import { isDeepStrictEqual } from 'node:util';
import { ObjectReader } from '../../model/object-reader.ts';
import { type Problem, problem, referenceTo } from '../../model/problem.ts';
import { get } from '../../model/sharded-map.ts';
import type { Snapshot } from '../../model/snapshot.ts';
import { type GlobalOptions, readGlobalOptions } from '../global-options.ts';
import { globalOptionProblems } from '../ingress/annotations.ts';
import type { CompileSettings } from '../settings.ts';

const NO_OPTIONS: GlobalOptions = {
  ...{ defaults: {}, settings: {}, refused: [] },
  ...{ allowCrossNamespaceReferences: null, allowsAnyPathType: false },
};

/**
 * The settings with what the ConfigMap says that they name, and what is wrong with it. One that is not there says nothing;
 * one that may not be read could say who is to be kept out, and closes everything.
 */
export function withGlobalOptions(
  settings: CompileSettings,
  snapshot: Snapshot,
  before: GlobalOptions | undefined,
): { readonly settings: CompileSettings; readonly problems: readonly Problem[] } {
  const key = settings.ingressNginxConfigMap;
  if (!key) return { settings, problems: [] };
  const objects = new ObjectReader(snapshot, settings);
  const configMap = objects.configMap(key);
  if (configMap === undefined) {
    const [namespace = '', name = ''] = key.split('/');
    const reference = { kind: 'ConfigMap', namespace, name };
    const isUnreadable = get(snapshot.unreadable, `ConfigMap ${key}`) !== undefined;
    const consequence = isUnreadable
      ? 'Until then every path of every Ingress answers 503, as it may say who is to be kept out.'
      : 'Its options have their defaults.';
    const message = `${objects.absence(`ConfigMap ${key}`, 'with the options of ingress-nginx')}. ${consequence}`;
    const code = isUnreadable ? 'GlobalOptionsForbidden' : 'GlobalOptionsMissing';
    const options = { ...NO_OPTIONS, refused: isUnreadable ? ['the ConfigMap that may not be read'] : [] };
    return {
      settings: { ...settings, globalOptions: sameOptions(before, options) },
      problems: [problem(isUnreadable ? 'error' : 'warning', code, reference, '', message)],
    };
  }
  const { options, problems } = readGlobalOptions(key, configMap);
  const defaults = { ...settings.defaults, ...options.defaults };
  const policyProblems = globalOptionProblems(referenceTo('ConfigMap', key, configMap), objects, defaults);
  return {
    settings: {
      ...settings,
      defaults,
      globalOptions: sameOptions(before, options),
      ...(options.settings.tracing?.collector && { hasCollector: true }),
      allowCrossNamespaceReferences:
        options.allowCrossNamespaceReferences ?? settings.allowCrossNamespaceReferences ?? false,
    },
    problems: [...problems, ...policyProblems],
  };
}

/** The former where both say the same, so that a comparison of objects tells whether anything changed. */
function sameOptions(before: GlobalOptions | undefined, after: GlobalOptions): GlobalOptions {
  return before !== undefined && isDeepStrictEqual(before, after) ? before : after;
}
