import type { ApiObject } from '../support/api-server.ts';
import type { WireMessage } from '../support/wire.ts';
import type { Site } from './site.ts';

/** One attack: what is done, and what must hold all the same. */
export interface Scene {
  /** What the attacker does. */
  readonly name: string;
  /** What must hold, as docs/security.md promises it. */
  readonly promise: string;
  /** Not part of `npm test`: it takes seconds, or is one of many of which some are. */
  readonly fullOnly?: true;
  /** Attacks, and resolves with what broke the promise; null when it held. */
  run(site: Site): Promise<string | null>;
}

/** Scenes of one kind. */
export interface Family {
  readonly name: string;
  /** How the process that they attack is started, besides its manifests. */
  readonly flags: readonly string[];
  /** What is there before the first scene, besides the attacked and the innocent hosts. */
  readonly objects?: (endpoint: string) => readonly ApiObject[];
  /** What the attacked Pod sends for a request of these scenes; null says nothing. A short 200 unless said. */
  readonly respond?: (request: WireMessage) => string | Uint8Array | null | undefined;
  readonly scenes: readonly Scene[];
}

/** Every tenth of a corpus that another test plays against the engine alone; the full form has the rest too. */
export function sampled(scenes: readonly Scene[]): readonly Scene[] {
  return scenes.map((scene, index) => (index % 10 === 0 ? scene : { ...scene, fullOnly: true }));
}

export type Verdict =
  | { readonly kind: 'safe' }
  /** `seen` is what broke the promise, or which innocent suffered. */
  | { readonly kind: 'unsafe'; readonly seen: string };

export interface Result {
  readonly family: string;
  readonly scene: Scene;
  readonly verdict: Verdict;
}
