import type { Family, Result, Scene, Verdict } from './scene.ts';
import { type Site, inTime, openSite } from './site.ts';

/** A scene, with all it waits for, is over within this time. */
const SCENE_MS = 60_000;
const SAFE: Verdict = { kind: 'safe' };

/** Plays the scenes of families one after the other against one process, and looks after the innocent after each. */
export async function* play(families: readonly Family[], form: 'short' | 'full'): AsyncGenerator<Result> {
  const scenes = families.flatMap(({ name, scenes }) =>
    scenes.filter(({ fullOnly }) => form === 'full' || !fullOnly).map((scene) => ({ family: name, scene })),
  );
  let site: Site | null = null;
  try {
    for (const { family, scene } of scenes) {
      site ??= await openSite(families);
      const verdict = await judge(scene, site);
      yield { family, scene, verdict };
      if (verdict.kind === 'safe') continue;
      // What one scene left behind is not the fault of the next.
      await site[Symbol.asyncDispose]();
      site = null;
    }
  } finally {
    await site?.[Symbol.asyncDispose]();
  }
}

async function judge(scene: Scene, site: Site): Promise<Verdict> {
  try {
    const seen = await inTime(scene.run(site), 'the scene was not over', SCENE_MS);
    if (seen !== null) return { kind: 'unsafe', seen };
  } catch (error) {
    return { kind: 'unsafe', seen: (error as Error).message };
  }
  const suffering = await site.suffering();
  return suffering === null ? SAFE : { kind: 'unsafe', seen: suffering };
}
