/** Times of a sampler, and the noise it starts from. */
import { TuttiError } from '../errors.js';
import { seededRandom } from '../random.js';
import type { DitConfig, PictureShape } from './config.js';

export type Sampler = 'euler' | 'heun';

export const MOST_STEPS = 1000;

/**
 * Times 1 (noise) to 0 of `steps` steps. Points of large latent pictures say more about each other, so their times move towards noise (Esser et al. 2024): by the side over that of
 * the smallest pictures that the model was trained with.
 * @throws TuttiError INPUT_INVALID
 */
export function flowTimes(config: DitConfig, shape: PictureShape, steps: number): Float32Array {
  if (!Number.isSafeInteger(steps) || steps < 1 || steps > MOST_STEPS) {
    throw new TuttiError('INPUT_INVALID', `steps must be a whole number of 1 to ${MOST_STEPS}, got ${String(steps)}`, {
      where: 'steps',
    });
  }
  const smallest = config.sizes.length > 0 ? Math.min(...config.sizes) : shape.size;
  const shift = shape.size / smallest;
  return Float32Array.from({ length: steps + 1 }, (_, k) => {
    const t = 1 - k / steps;
    return (shift * t) / (1 + (shift - 1) * t);
  });
}

/** @throws TuttiError INPUT_INVALID unless it is a finite number. */
export function checkGuidance(guidance: number): number {
  if (typeof guidance !== 'number' || !Number.isFinite(guidance) || Math.abs(guidance) > 1000) {
    throw new TuttiError(
      'INPUT_INVALID',
      `guidance must be a number (1 is without, 2 to 4 are usual), got ${String(guidance)}`,
      { where: 'guidance' },
    );
  }
  return guidance;
}

/** Standard normal noise for a latent picture, from a seed of its own, so that a picture does not depend on those beside it. @throws TuttiError OPTION_INVALID */
export function noiseOf(config: DitConfig, shape: PictureShape, seed: number): Float32Array {
  const random = seededRandom(seed);
  return Float32Array.from({ length: shape.side * shape.side * config.channels }, () => random.normal());
}
