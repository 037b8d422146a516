/** The whole pipeline: classes to pictures. Encode, denoise, decode. */
import { throwIfAborted } from '../errors.js';
import type { LongCallOptions } from '../device/device.js';
import { pictureShape } from './config.js';
import type { Dit } from './dit.js';
import type { GreyPicture } from './png.js';
import { checkGuidance, flowTimes, noiseOf, type Sampler } from './schedule.js';
import { checkSeed } from '../random.js';

export interface GenerateOptions extends LongCallOptions {
  /** One picture for each. */
  readonly classes: readonly number[];
  /** In pixels. */
  readonly size: number;
  /** Default 20. */
  readonly steps?: number;
  /** Of the first picture; each further one has the next. Default 0. */
  readonly seed?: number;
  /** How strongly the class is followed: 1 is as trained, without a second evaluation. Default 2. */
  readonly guidance?: number;
  /** Default 'euler'. Heun's method takes two evaluations a step. */
  readonly sampler?: Sampler;
}

/** Most pictures that go together. */
const MOST_TOGETHER = 16;

/**
 * Pictures of classes. The same options give the same pictures; a picture depends on its class, seed, size, steps, guidance and sampler, not on those beside it.
 * @throws TuttiError INPUT_INVALID, OPTION_INVALID, ABORTED, MemoryRefusedError, DeviceLostError
 */
export async function generateImages(dit: Dit, options: GenerateOptions): Promise<GreyPicture[]> {
  const { classes, size, steps = 20, seed = 0, guidance = 2, sampler = 'euler', signal, onProgress } = options;
  const { config } = dit;
  const shape = pictureShape(config, size);
  const times = flowTimes(config, shape, steps);
  const guided = checkGuidance(guidance) !== 1;
  checkSeed(seed);
  const pictures: GreyPicture[] = [];
  const conditions = await dit.encode([...classes, config.classes], size);
  const none = conditions.subarray(classes.length * config.width);
  // Sixteen pictures of 64 pixels with guidance are 32,768 tokens.
  const together = Math.max(1, Math.min(MOST_TOGETHER, Math.floor(32_768 / shape.tokens)));
  for (let first = 0; first < classes.length; first += together) {
    const count = Math.min(together, classes.length - first);
    const run = dit.open({ size, images: count, guided, mostSteps: steps });
    try {
      const noise = Array.from({ length: count }, (_, i) => noiseOf(config, shape, (seed + first + i) >>> 0));
      const all = new Float32Array(count * noise[0]!.length);
      noise.forEach((part, i) => all.set(part, i * part.length));
      run.setLatents(all);
      run.setConditions(
        conditions.slice(first * config.width, (first + count) * config.width),
        guided ? none : undefined,
      );
      run.setSchedule(
        noise.map(() => times),
        noise.map(() => guidance),
      );
      throwIfAborted(signal, 'generating pictures');
      await run.steps(0, steps, sampler, { signal });
      pictures.push(...(await dit.decode(await run.latents(), size)));
      onProgress?.({ done: pictures.length, total: classes.length, what: 'pictures' });
    } finally {
      run.release();
    }
  }
  return pictures;
}
