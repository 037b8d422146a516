/**
 * Seeded randomness. All randomness comes from here, and every seed is an argument, so that a run can be
 * repeated to the bit on any machine.
 */
import { TuttiError } from './errors.js';

export interface SeededRandom {
  /** The next 32 random bits, 0 .. 2^32 - 1. */
  u32(): number;
  /** Uniform in [0, 1), with 32 bits of resolution. */
  uniform(): number;
  /** A whole number in [0, bound), `bound` at most 2^32. */
  below(bound: number): number;
  /** Standard normal (Box-Muller). */
  normal(): number;
}

/**
 * xoshiro128** (Blackman, Vigna), its state filled by splitmix32 from `seed`.
 * @throws TuttiError OPTION_INVALID when `seed` is not a whole number in 0 .. 2^32 - 1.
 */
export function seededRandom(seed: number): SeededRandom {
  let a = splitmix32(checkSeed(seed));
  let b = splitmix32(seed + 1);
  let c = splitmix32(seed + 2);
  let d = splitmix32(seed + 3) | 1; // never all zero
  let spare = Number.NaN;

  const u32 = (): number => {
    let r = Math.imul(b, 5);
    r = Math.imul((r << 7) | (r >>> 25), 9);
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = (d << 11) | (d >>> 21);
    return r >>> 0;
  };
  const uniform = (): number => u32() * 2 ** -32;
  return {
    u32,
    uniform,
    below: (bound) => Math.floor(u32() * 2 ** -32 * bound),
    normal: () => {
      if (!Number.isNaN(spare)) {
        const value = spare;
        spare = Number.NaN;
        return value;
      }
      const radius = Math.sqrt(-2 * Math.log((u32() + 1) * 2 ** -32));
      const angle = 2 * Math.PI * uniform();
      spare = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    },
  };
}

/** @throws TuttiError OPTION_INVALID when it is not a whole number in 0 .. 2^32 - 1. */
export function checkSeed(seed: number): number {
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffffffff) {
    throw new TuttiError('OPTION_INVALID', `seed must be a whole number in 0 .. 4294967295, got ${String(seed)}`, {
      where: 'seed',
    });
  }
  return seed;
}

/** One output of the splitmix32 sequence: the `n`-th number of seed s is `splitmix32(s + n)` (n wraps at 2^32). */
export function splitmix32(counter: number): number {
  return mix32(Math.imul(counter | 0, 0x9e3779b9) | 0);
}

/** A bijective 32-bit mixer (Wellons' lowbias32): every input bit changes every output bit with probability near one half. */
export function mix32(x: number): number {
  x ^= x >>> 16;
  x = Math.imul(x, 0x21f0aaad);
  x ^= x >>> 15;
  x = Math.imul(x, 0x735a2d97);
  x ^= x >>> 15;
  return x >>> 0;
}
