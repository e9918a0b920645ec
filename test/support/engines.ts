import { describe, it } from 'vitest';
import type { EngineFactory } from '../../src/proxy/engine.ts';
import { httpProxyEngine } from '../../src/proxy/http-proxy/reference-engine.ts';
import { nativeEngine } from '../../src/proxy/native-engine.ts';
import { deviations } from './deviations.ts';

/** Every engine that must keep the contract. */
export const engines: readonly { readonly name: EngineName; readonly create: EngineFactory }[] = [
  { name: 'http-proxy', create: httpProxyEngine },
  { name: 'relay', create: nativeEngine },
];

export type EngineName = 'http-proxy' | 'relay';

/** One behaviour that every engine must show, as a test per engine. */
type Behave = (behaviour: string, test: (create: EngineFactory) => Promise<void>) => void;

/**
 * A part of the contract, asked of each engine. Where an engine is declared to deviate from a behaviour, the test
 * asserts what it is declared to do instead.
 */
export function contract(part: string, define: (behaves: Behave) => void): void {
  describe.each(engines)(`${part}: $name`, ({ name, create }) => {
    define((behaviour, test) => {
      const deviation = deviations.find((known) => known.engine === name && known.behaviour === behaviour);
      if (!deviation) return it(behaviour, () => test(create));
      it(`deviates: ${behaviour} (${deviation.reason})`, () => deviation.instead(create));
    });
  });
}
