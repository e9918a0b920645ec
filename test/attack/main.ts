/**
 * `npm run attack`: attacks a running Portico in every way that the families know, and prints for each scene what it
 * promises and whether that held. With names of families, only these. The exit code is 1 when something was unsafe.
 */
import { processes } from './families.ts';
import { play } from './runner.ts';
import type { Result } from './scene.ts';

const NAME_WIDTH = 58;
const families = processes.flat();
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !families.some((family) => family.name === name));
if (unknown.length > 0) {
  const names = families.map(({ name }) => name).join(', ');
  console.error(`"${unknown.join(' ')}" is not a family of scenes; use some of ${names}.`);
  process.exit(64);
}

let count = 0;
const unsafe: Result[] = [];
for (const together of processes) {
  const some = together.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
  let family = '';
  for await (const result of play(some, 'full')) {
    if (result.family !== family) console.log(`\n${result.family}`);
    family = result.family;
    count++;
    console.log(line(result));
    if (result.verdict.kind === 'unsafe') unsafe.push(result);
  }
}
console.log(`\n${count} scenes, ${unsafe.length} unsafe`);
for (const { family, scene } of unsafe) console.log(`  ${family}: ${scene.name}`);
process.exit(unsafe.length > 0 ? 1 : 0);

function line({ scene, verdict }: Result): string {
  const name = scene.name.length > NAME_WIDTH ? `${scene.name.slice(0, NAME_WIDTH - 1)}…` : scene.name;
  const row = `  ${verdict.kind.padEnd(6)}  ${name.padEnd(NAME_WIDTH)}  ${scene.promise}`;
  return verdict.kind === 'safe' ? row : `${row}\n          ${verdict.seen}`;
}
