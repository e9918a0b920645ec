import util from 'node:util';

/**
 * http-proxy 1.18.1 takes `util._extend` when it is loaded, and Node warns of that at its first call (DEP0060). What it
 * does there is what `Object.assign` does. Imported before http-proxy for this effect alone.
 */
Object.defineProperty(util, '_extend', { value: Object.assign });
