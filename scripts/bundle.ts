import { join } from 'node:path';
import { type BuildOptions, type Plugin, build } from 'esbuild';

export const ROOT = join(import.meta.dirname, '..');

/** A package that another one uses where it happens to be there: in the bundle it never is. */
const absent: Plugin = {
  name: 'absent',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^supports-color$/ }, ({ path }) => ({ path, namespace: 'absent' }));
    onLoad({ filter: /.*/, namespace: 'absent' }, () => ({ contents: 'module.exports = {};' }));
  },
};

/**
 * To import node:http reads all of its exports, for the last of which Node loads a WebSocket client and fetch: 30 ms and
 * 4 MB in each thread. To ask for the module reads those that are used.
 */
const http: Plugin = {
  name: 'http',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?https?$/ }, ({ path, kind }) =>
      kind === 'import-statement' ? { path, namespace: 'http' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'http' }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule('${path}');`,
    }));
  },
};

/** Bundles modules for Node, so that they need nothing beside them. */
export const bundle = (options: BuildOptions) =>
  build({
    absWorkingDir: ROOT,
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node24',
    // ES modules: data-plane threads are started from import.meta.url, which CommonJS does not have.
    format: 'esm',
    // The packages among us that are CommonJS ask for Node's modules with require.
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    plugins: [absent, http],
    logLevel: 'warning',
    ...options,
    metafile: true,
  });
