import { readFileSync, readdirSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { namesOf } from '../src/policies/annotation-spec.ts';
import type { PolicyModule } from '../src/policies/policy.ts';
import { POLICIES } from '../src/policies/registry.ts';
import { VERSION } from '../src/version.ts';

const ROOT = join(import.meta.dirname, '..');
const MAX_LINES = 600;

interface Import {
  /** Relative to the repository. */
  readonly file: string;
  readonly specifier: string;
  /** The file it names, relative to the repository; null for a package or a builtin. */
  readonly target: string | null;
  /** Gone when the program runs. */
  readonly typeOnly: boolean;
}

function filesBelow(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .toSorted();
}

const FROM = /^(?:import|export)\b[^;'"]*?\bfrom\s*['"]([^'"]+)['"]/gm;
const BARE = /^import\s*['"]([^'"]+)['"]/gm;
const LATER = /\bimport\(\s*['"]([^'"]+)['"]/g;

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8');
  return [FROM, BARE, LATER].flatMap((pattern) =>
    [...text.matchAll(pattern)].map(([statement, specifier = '']) => ({
      file,
      specifier,
      target: specifier.startsWith('.') ? join(dirname(file), specifier) : null,
      typeOnly: /^(?:import|export) type\b/.test(statement),
    })),
  );
}

/**
 * Which folders of `src` a folder may import, besides itself. A folder that is not here must not exist; the files in
 * `src` itself are the folder ''.
 */
const CORE = ['model', 'http', 'passwords', 'policies', 'routing'];
const PURE = new Set(CORE);
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  model: [],
  http: ['model'],
  passwords: ['model'],
  policies: ['model', 'http', 'passwords'],
  routing: ['model', 'http', 'policies'],
  kubernetes: ['model'],
  watch: [...CORE, 'kubernetes'],
  publish: [...CORE, 'kubernetes'],
  proxy: CORE,
  admin: CORE,
  config: [...CORE, 'proxy'],
  controller: ['', ...CORE, 'admin', 'config', 'kubernetes', 'proxy', 'publish', 'watch'],
  cli: ['', ...CORE, 'admin', 'config', 'controller', 'kubernetes', 'proxy', 'publish', 'watch'],
  '': ['cli', 'proxy'],
};

const sources = filesBelow('src');
const imports = sources.flatMap(importsOf);
const everything = [...sources, ...['test', 'examples', 'bench', 'scripts'].flatMap(filesBelow)];

/** `watch` of `src/watch/list.ts`; empty for what lies in `src` itself. */
function roomOf(file: string): string {
  const [, room = '', ...rest] = file.split('/');
  return rest.length > 0 ? room : '';
}

/** `@scope/name` of `@scope/name/some/file.js`. */
const packageOf = (specifier: string): string => /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier;

const show = ({ file, specifier }: Pick<Import, 'file' | 'specifier'>): string =>
  `${file} imports ${specifier}`;

describe('the import rule', () => {
  test('the imports are seen at all', () => {
    expect(imports.map(show)).toContain('src/cli/program.ts imports commander');
    expect(imports.map(show)).toContain('src/cli/program.ts imports ../controller/daemon.ts');
    expect(imports.map(show)).toContain('src/proxy/threads/thread.ts imports ../../routing/table-update.ts');
    for (const { file, specifier, target } of imports) {
      if (target !== null) expect(sources, show({ file, specifier })).toContain(target);
    }
  });

  test('there are these folders, and each imports only what it may', () => {
    const out = imports.filter(({ file, target }) => {
      if (target === null) return false;
      const [from, to] = [roomOf(file), roomOf(target)];
      return from !== to && MAY_IMPORT[from]?.includes(to) !== true;
    });
    expect(out.map(show)).toEqual([]);
    expect([...new Set(sources.map(roomOf))].toSorted()).toEqual(
      expect.arrayContaining(['', 'cli', 'controller', 'model', 'routing']),
    );
  });

  // Types count: a circle of types is a circle for its reader.
  test('no file imports itself over others', () => {
    const targets = Map.groupBy(imports, ({ file }) => file);
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (file: string, way: readonly string[]): void => {
      if (way.includes(file)) cycles.push([...way.slice(way.indexOf(file)), file].join(' → '));
      if (way.includes(file) || done.has(file)) return;
      for (const { target } of targets.get(file) ?? []) if (target !== null) visit(target, [...way, file]);
      done.add(file);
    };
    for (const file of sources) visit(file, []);
    expect(cycles).toEqual([]);
  });
});

describe('what may be used where', () => {
  test('the core is pure: no clock, no process, no files, no sockets', () => {
    // Of node:tls only what reads keys and certificates, of node:net only what reads addresses.
    const allowed = new Set(['bcryptjs', 'picomatch', 'node:crypto', 'node:net', 'node:tls', 'node:util']);
    const packages = imports.filter(
      ({ file, target, typeOnly }) => PURE.has(roomOf(file)) && target === null && !typeOnly,
    );
    expect(packages.filter(({ specifier }) => !allowed.has(specifier)).map(show)).toEqual([]);
    const impure =
      /\b(?:Date\.now|new Date\(\)|performance\.|process\.|console\.|setTimeout|await |createServer|connect\()/;
    const found = sources.filter((file) => PURE.has(roomOf(file)) && impure.test(code(file)));
    expect(found).toEqual([]);
  });

  test('commander is known to src/cli/program.ts only', () => {
    const users = imports.filter(({ specifier }) => specifier === 'commander').map(({ file }) => file);
    expect(users).toEqual(['src/cli/program.ts']);
  });

  test("Node's modules are imported by their node: names", () => {
    const short = everything
      .flatMap(importsOf)
      .filter(({ specifier }) => isBuiltin(specifier) && !specifier.startsWith('node:'));
    expect(short.map(show)).toEqual([]);
  });

  test('the program imports packages that it depends on', () => {
    const { dependencies } = packageJson();
    const unknown = imports.filter(
      ({ specifier, target }) =>
        target === null && !isBuiltin(specifier) && !(packageOf(specifier) in dependencies),
    );
    expect(unknown.map(show)).toEqual([]);
  });
});

describe('one policy is one file', () => {
  const fileOf = (policy: PolicyModule): string => `src/policies/${policy.name}.ts`;
  /** Those that act on requests themselves; the config of the others is read by routing and the proxy. */
  const acting = POLICIES.filter((policy: PolicyModule) => policy.bind !== undefined);

  test('only the registry knows a policy that acts by itself', () => {
    expect(acting.map(({ name }) => name)).toContain('response-headers');
    for (const policy of acting) {
      const users = imports.filter(({ target }) => target === fileOf(policy)).map(({ file }) => file);
      expect([policy.name, ...users]).toEqual([policy.name, 'src/policies/registry.ts']);
    }
  });

  test('only its own file names its annotations', () => {
    // The table of what ingress-nginx has names everything, whether a policy implements it or not.
    const others = sources
      .filter((file) => !file.startsWith('src/policies/ingress-nginx/'))
      .map((file) => [file, code(file)] as const);
    for (const policy of POLICIES as readonly PolicyModule[]) {
      // The name of a policy that does not act by itself is what its config is read by.
      const names = policy.annotations.flatMap((spec) => [spec.name ?? spec.global ?? '', ...namesOf(spec)]);
      const quoted = names.filter((name) => name !== '' && (policy.bind || name !== policy.name));
      // Some are asked for by routes of Gateways alone.
      if (policy.annotations.length === 0) continue;
      expect(quoted.length, policy.name).toBeGreaterThan(0);
      const naming = others
        .filter(([, text]) => quoted.some((name) => text.includes(`'${name}'`)))
        .map(([file]) => file);
      expect(naming.filter((file) => file !== fileOf(policy))).toEqual([]);
    }
  });
});

describe('names', () => {
  const twice = (names: readonly string[]): string[] =>
    names.filter((name, at) => names.indexOf(name) !== at);
  const DECLARED = /^export (?:abstract )?(?:class|interface|type) (\w+)/gm;

  test('no two files of src have the same name', () => {
    expect(twice(sources.map((file) => basename(file)))).toEqual([]);
  });

  test('no two types that are exported have the same name', () => {
    const types = sources.flatMap((file) =>
      [...readFileSync(join(ROOT, file), 'utf8').matchAll(DECLARED)].map(([, name = '']) => name),
    );
    expect(types.length).toBeGreaterThan(300);
    expect(twice(types)).toEqual([]);
  });
});

test(`no file has more than ${MAX_LINES} lines`, () => {
  const long = everything
    .map((file) => [file, readFileSync(join(ROOT, file), 'utf8').trimEnd().split('\n').length] as const)
    .filter(([, lines]) => lines > MAX_LINES);
  expect(long).toEqual([]);
});

test('the version is that of the package', () => {
  expect(VERSION).toBe(packageJson().version);
});

function packageJson(): {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
} {
  return JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as ReturnType<typeof packageJson>;
}

/** The text of a file without its comments. */
function code(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8')
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/^\s*\/\/.*$/gm, '');
}
