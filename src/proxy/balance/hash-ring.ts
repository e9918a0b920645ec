/** Many points per endpoint on a circle of hashes, ordered; a request belongs to the next point clockwise. */
export interface HashRing {
  readonly points: Float64Array;
  /** By point: the index of the endpoint it belongs to. */
  readonly owners: Uint32Array;
}

const POINTS_PER_NAME = 160;
const INDEX_RANGE = 2 ** 20;

/**
 * The ring of these names. The points of a name depend on the name alone, so that adding or taking one moves only
 * the requests that it gains or loses.
 */
export function hashRing(names: readonly string[]): HashRing {
  // Hash and index in one number, 32 and 20 bits: a typed array sorts natively.
  const packed = new Float64Array(names.length * POINTS_PER_NAME);
  for (const [index, name] of names.entries()) {
    const seed = hashOf(name);
    for (let point = 0; point < POINTS_PER_NAME; point++) {
      packed[index * POINTS_PER_NAME + point] =
        mix(seed + Math.imul(point, 0x9e3779b1)) * INDEX_RANGE + index;
    }
  }
  packed.sort();
  const owners = new Uint32Array(packed.length);
  const points = packed.map((value, place) => {
    owners[place] = value % INDEX_RANGE;
    return Math.floor(value / INDEX_RANGE);
  });
  return { points, owners };
}

/** The place of the first point at or after the key's hash. */
export function ringStart(ring: HashRing, key: string): number {
  const hash = hashOf(key);
  let low = 0;
  let high = ring.points.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ring.points[middle] ?? 0) < hash) low = middle + 1;
    else high = middle;
  }
  return low === ring.points.length ? 0 : low;
}

/** FNV-1a over the UTF-16 code units, mixed so that near names land far apart. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/** The finalizer of MurmurHash3. */
function mix(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
