import { healthCheck, httpsRedirect } from '../config/compile-settings.ts';
import type { CompileConfig } from '../config/config.ts';
import { EXIT } from '../config/exit-codes.ts';
import { runToEnd } from '../model/run-to-end.ts';
import { type FullExplanation, explainFully, parseUrl } from '../routing/explain-url.ts';
import type { AdminClient } from './admin-client.ts';
import { compileOnce } from './compile-once.ts';
import { explanationText } from './explanation-text.ts';

/** `portico explain`: says what a URL reaches and why. */
export async function runExplain(
  config: CompileConfig,
  env: NodeJS.ProcessEnv,
  url: string,
  { output, offline }: { readonly output: 'text' | 'json'; readonly offline: boolean },
  write: (text: string) => void,
): Promise<number> {
  const parsed = parseUrl(url);
  if (parsed.kind === 'invalid') {
    console.error(`portico explain: ${parsed.reason}`);
    return EXIT.usage;
  }
  const compiled = await compileOnce(config, env, { assumeClass: offline });
  if (compiled.kind !== 'compiled') {
    console.error(`portico explain: ${compiled.message}`);
    return compiled.kind === 'no-input' ? EXIT.noInput : EXIT.unavailable;
  }
  const { compilation, problems, locate } = compiled;
  const options = {
    redirect: httpsRedirect(config),
    health: healthCheck(config),
    problems: () => problems,
    locate,
    hidesValues: false,
  };
  const full = runToEnd(explainFully(compilation, parsed.request, options));
  write(output === 'json' ? `${JSON.stringify(full, null, 2)}\n` : explanationText(url, full));
  return EXIT.ok;
}

/** The same of what a running Portico serves. */
export async function runLiveExplain(
  client: AdminClient,
  url: string,
  output: 'text' | 'json',
  write: (text: string) => void,
): Promise<number> {
  const parsed = parseUrl(url);
  if (parsed.kind === 'invalid') {
    console.error(`portico explain: ${parsed.reason}`);
    return EXIT.usage;
  }
  const answer = await client.get<{ explanation: FullExplanation }>(`explain?url=${encodeURIComponent(url)}`);
  write(
    output === 'json' ? `${JSON.stringify(answer, null, 2)}\n` : explanationText(url, answer.explanation),
  );
  return EXIT.ok;
}
