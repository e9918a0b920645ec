/**
 * A release, step by step (docs/release.md):
 *
 *     node scripts/release.ts prepare VERSION    writes the version to every place, and renders the chart anew
 *     node scripts/release.ts check [TAG]        whether everything is of one version and the changelog has it
 *     node scripts/release.ts build [FOLDER]     what is published beside the image, and its checksums; default: release/
 *
 * `build` needs neither Docker nor a network, and makes the same files of the same commit but for the SBOMs, which have a
 * date: times in archives are that of the commit, or SOURCE_DATE_EPOCH.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './bundle.ts';
import { changelogFault, packageVersion, versionFaults, writeVersion } from './release-version.ts';
import { writeSboms } from './sbom.ts';

const [command, argument] = process.argv.slice(2);

if (import.meta.main) {
  switch (command) {
    case 'prepare':
      prepare(argument ?? '');
      break;
    case 'check':
      check(argument);
      break;
    case 'build':
      build(argument ?? join(ROOT, 'release'));
      break;
    default:
      fail('usage: node scripts/release.ts prepare VERSION | check [TAG] | build [FOLDER]');
  }
}

function prepare(version: string): void {
  if (!/^\d+\.\d+\.\d+(-[0-9A-Za-z.]+)?$/.test(version))
    fail(`"${version}" is not a version: write one like 0.2.0`);
  writeVersion(version);
  run('npm', ['install', '--package-lock-only', '--ignore-scripts']);
  run(process.execPath, ['scripts/helm.ts']);
  console.log(`everything says ${version} now. Next:`);
  console.log(`  1. write "## ${version}, YYYY-MM-DD" over the newest section of CHANGELOG.md`);
  console.log('  2. npm test && node scripts/release.ts check');
  console.log(
    `  3. git commit -am "release: ${version}" && git tag -s v${version} && git push --follow-tags`,
  );
}

function check(tag: string | undefined): void {
  const version = packageVersion();
  const changelog = changelogFault(readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8'), version);
  const faults = [
    ...versionFaults(),
    ...(tag === undefined || tag === `v${version}` ? [] : [`the tag is ${tag}, and the version ${version}`]),
    ...(changelog === null ? [] : [changelog]),
  ];
  if (faults.length > 0) fail(faults.join('\n'));
  console.log(`${version} can be released`);
}

function build(folder: string): void {
  const version = packageVersion();
  const epoch = process.env['SOURCE_DATE_EPOCH'] ?? run('git', ['log', '-1', '--format=%ct']).trim();
  mkdirSync(folder, { recursive: true });
  if (readdirSync(folder).length > 0) fail(`${folder} is not empty: name another folder, or empty it`);
  const stage = mkdtempSync(join(tmpdir(), 'portico-release-'));
  try {
    // The command alone, for `npx --package` and for machines that have Node.
    const command = join(stage, 'portico');
    run(process.execPath, ['scripts/build.ts', command]);
    cpSync(join(ROOT, 'LICENSE'), join(command, 'LICENSE'));
    pack(stage, ['portico'], join(folder, `portico-${version}.tar.gz`), epoch);
    writeSboms(folder, command);

    pack(join(ROOT, 'deploy/helm'), ['portico'], join(folder, `portico-chart-${version}.tgz`), epoch);

    const kubectl = join(stage, 'kubectl');
    mkdirSync(kubectl);
    for (const file of ['deploy/kubectl/kubectl-portico', 'LICENSE'])
      cpSync(join(ROOT, file), join(kubectl, file.split('/').at(-1) ?? ''));
    const archive = join(folder, `kubectl-portico-v${version}.tar.gz`);
    pack(kubectl, ['LICENSE', 'kubectl-portico'], archive, epoch);
    const manifest = readFileSync(join(ROOT, 'deploy/kubectl/portico.yaml'), 'utf8');
    writeFileSync(join(folder, 'portico.yaml'), krewManifest(manifest, sha256(archive)));

    writeFileSync(join(folder, `install-${version}.yaml`), installManifest());
  } finally {
    rmSync(stage, { recursive: true });
  }
  const lines = readdirSync(folder)
    .toSorted()
    .map((name) => `${sha256(join(folder, name))}  ${name}\n`);
  writeFileSync(join(folder, 'SHA256SUMS'), lines.join(''));
  process.stdout.write(lines.join(''));
}

/** The manifest of the plugin with the checksum of its archive. */
export function krewManifest(manifest: string, checksum: string): string {
  return manifest
    .replace(/^# For krew[^]*?(?=^apiVersion)/m, '')
    .replace(/(sha256: ')0{64}(')/, `$1${checksum}$2`);
}

/** deploy/ in the order in which `kubectl apply` takes it, as one file. */
function installManifest(): string {
  const folder = join(ROOT, 'deploy');
  const files = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
  return files
    .toSorted()
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .join('---\n');
}

/** The same bytes for the same files. */
export function pack(folder: string, names: readonly string[], archive: string, epoch: string): void {
  const args = [
    '--sort=name',
    `--mtime=@${epoch}`,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--mode=go=rX,u+rw,a-s',
  ];
  const tar = execFileSync('tar', [...args, '--format=ustar', '-C', folder, '-cf', '-', ...names], {
    maxBuffer: 256 * 1024 * 1024,
  });
  writeFileSync(archive, execFileSync('gzip', ['-n9'], { input: tar, maxBuffer: 256 * 1024 * 1024 }));
}

function sha256(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function run(program: string, args: readonly string[]): string {
  return execFileSync(program, args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}
