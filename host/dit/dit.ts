/**
 * A diffusion transformer on one device, in three stages: `encode` makes conditions of classes, a `DitRun` takes latents from noise to a picture step by step, `decode` makes pixels of
 * them. What goes from stage to stage are plain arrays, so that each stage may run on another device.
 */
import type { Device, DeviceBuffer, KernelBody, KernelCall, LongCallOptions } from '../device/device.js';
import { TuttiError } from '../errors.js';
import { ACTIVATIONS, ditKernels, eulerStep, heunCorrect, heunPredict, linearRows } from '../kernels/dit/index.js';
import { addRows } from '../kernels/tensor/index.js';
import { frequencyTable, pictureShape, type DitConfig, type PictureShape } from './config.js';
import { createDecoding, toPixels } from './decode.js';
import { uploadDit, type DitWeights } from './device-weights.js';
import { createEvaluation, type Evaluation } from './evaluation.js';
import type { DitModel } from './model.js';
import type { GreyPicture } from './png.js';
import { checkGuidance, MOST_STEPS, type Sampler } from './schedule.js';

export interface DitRunOptions {
  /** In pixels. */
  readonly size: number;
  readonly images: number;
  /** Whether velocities without a condition are computed too. */
  readonly guided: boolean;
  /** Rows of the schedule. Default 100. */
  readonly mostSteps?: number;
}

export interface DitRun {
  readonly shape: PictureShape;
  readonly images: number;
  /** [images][width], and what `encode` made of no class where the run is guided. @throws TuttiError INPUT_INVALID */
  setConditions(conditions: Float32Array, none?: Float32Array): void;
  /** Of models with cross-attention, [images][tokens][width] of the context; and that of no condition where the run is guided. @throws TuttiError INPUT_INVALID */
  setContext(context: Float32Array, none?: Float32Array): void;
  /** [images][side][side][channels]. @throws TuttiError INPUT_INVALID */
  setLatents(latents: Float32Array): void;
  /** Times of each image (one more than steps; pictures need not be at the same time), and guidance of each. @throws TuttiError INPUT_INVALID */
  setSchedule(times: readonly Float32Array[], guidance: readonly number[]): void;
  /** Steps `first` to `first + count - 1` of the schedule; nothing is read back between them. */
  steps(first: number, count: number, sampler: Sampler, options?: LongCallOptions): Promise<void>;
  /** A step of all images from `time` to `after`, without a schedule. */
  step(time: number, after: number, guidance: number, sampler: Sampler): Promise<void>;
  latents(): Promise<Float32Array>;
  /** Velocities at step `at` of the schedule, those without a condition behind the others. */
  velocity(at: number): Promise<Float32Array>;
  release(): void;
}

export interface Dit {
  readonly device: Device;
  readonly config: DitConfig;
  readonly weights: DitWeights;
  /** Conditions [classes][width] of classes at a size; `config.classes` is no class. @throws TuttiError INPUT_INVALID */
  encode(classes: readonly number[], size: number): Promise<Float32Array>;
  /** @throws TuttiError INPUT_INVALID, LIMIT_EXCEEDED, MemoryRefusedError */
  open(options: DitRunOptions): DitRun;
  /** Latents [images][side][side][channels] to pictures. @throws TuttiError INPUT_INVALID, OPTION_INVALID, MemoryRefusedError */
  decode(latents: Float32Array, size: number): Promise<GreyPicture[]>;
  warmup(): Promise<void>;
  release(): void;
}

/** Of WebGPU: workgroups to a side of a dispatch. */
const MOST_ROWS = 65_535;

function invalid(where: string, what: string): never {
  throw new TuttiError('INPUT_INVALID', what, { where });
}

/** @throws TuttiError FILE_INVALID, MemoryRefusedError */
export function createDit(device: Device, model: DitModel): Dit {
  const { config } = model;
  const weights = uploadDit(device, model);
  const { width, classes } = config;

  /** A condition's beginnings: the row of its class, and sinusoids of the size. */
  function classRows(which: readonly number[], shape: PictureShape): Float32Array {
    const rows = new Float32Array(which.length * width);
    const half = width / 2;
    const frequencies = frequencyTable(half);
    const angle = Math.fround(Math.fround(Math.log2(shape.side / 8)) * 8);
    which.forEach((id, i) => {
      if (!Number.isSafeInteger(id) || id < 0 || id > classes)
        invalid(
          `classes[${i}]`,
          `a class must be a whole number of 0 to ${classes - 1} (or ${classes}, none), got ${String(id)}`,
        );
      for (let k = 0; k < width; k++) {
        const turn = Math.fround(angle * frequencies[k % half]!);
        rows[i * width + k] = weights.classTable[id * width + k]! + (k < half ? Math.cos(turn) : Math.sin(turn));
      }
    });
    return rows;
  }

  async function encode(which: readonly number[], size: number): Promise<Float32Array> {
    const rows = classRows(which, pictureShape(config, size));
    const count = which.length;
    if (count === 0) return rows;
    const buffers = [0, 1, 2].map(() => device.allocate(rows.byteLength, `${config.name} classes`));
    try {
      const [from, hidden, out] = buffers as [DeviceBuffer, DeviceBuffer, DeviceBuffer];
      device.write(from, rows);
      const layer = (at: 0 | 1, x: DeviceBuffer, y: DeviceBuffer): KernelCall => {
        const { inner, outer, ...of } = weights.classes[at];
        return linearRows({
          ...{ x, ...of, y, rows: count, inner, outer, tokens: count },
          ...{ xSequence: count, xFirst: 0, ySequence: count, yFirst: 0 },
          activation: at === 0 ? ACTIVATIONS.silu : ACTIVATIONS.none,
        });
      };
      const done = device.run([layer(0, from, hidden), layer(1, hidden, out)]);
      const [data] = await Promise.all([device.read(out), done]);
      return new Float32Array(data);
    } finally {
      buffers.forEach((buffer) => buffer.release());
    }
  }

  function open({ size, images, guided, mostSteps = 100 }: DitRunOptions): DitRun {
    const shape = pictureShape(config, size);
    const sequences = images * (guided ? 2 : 1);
    if (!Number.isSafeInteger(images) || images < 1)
      invalid('images', `images must be a whole number of at least 1, got ${String(images)}`);
    if (!Number.isSafeInteger(mostSteps) || mostSteps < 1 || mostSteps > MOST_STEPS)
      invalid('mostSteps', `mostSteps must be a whole number of 1 to ${MOST_STEPS}, got ${String(mostSteps)}`);
    if (sequences * shape.tokens > MOST_ROWS) {
      throw new TuttiError(
        'LIMIT_EXCEEDED',
        `${images} pictures of ${size} pixels are ${sequences * shape.tokens} tokens; at most ${MOST_ROWS} go together, take fewer at a time`,
        { where: 'images' },
      );
    }
    const points = shape.side * shape.side * config.channels;
    const all = images * points;
    const held: DeviceBuffer[] = [];
    let evaluation: Evaluation | undefined;
    try {
      evaluation = createEvaluation(device, config, weights, {
        ...{ picture: shape, images, halves: guided ? 'both' : 'with', guided },
        ...{ first: 0, rows: shape.tokens, mostSteps },
      });
      const { schedule, condition, velocity } = evaluation.buffers;
      const floats = (label: string): DeviceBuffer => {
        const buffer = device.allocate(4 * all, `${config.name} ${label}`);
        held.push(buffer);
        return buffer;
      };
      const latents = floats('latents');
      const common = { velocity, schedule, images, size: points, guided: Number(guided), steps: mostSteps, origin: 0 };
      const first = evaluation.whole(latents, 0);
      // Lists are made once: a device recognises them. Heun's buffers only when it is used.
      const lists = new Map<Sampler, readonly KernelCall[]>();
      const listOf = (sampler: Sampler): readonly KernelCall[] => {
        let list = lists.get(sampler);
        if (list) return list;
        if (sampler === 'euler') list = [...first, eulerStep({ ...common, latents })];
        else if (sampler === 'heun') {
          const [kept, guess] = [floats('kept velocities'), floats('guessed latents')];
          list = [
            ...first,
            heunPredict({ ...common, latents, kept, guess }),
            ...evaluation!.whole(guess, 1),
            heunCorrect({ ...common, kept, latents }),
          ];
        } else invalid('sampler', `sampler must be "euler" or "heun", got ${JSON.stringify(sampler)}`);
        lists.set(sampler, list);
        return list;
      };
      const steps: DitRun['steps'] = async (from, count, sampler, options) => {
        if (
          !Number.isSafeInteger(from) ||
          !Number.isSafeInteger(count) ||
          from < 0 ||
          count < 1 ||
          from + count > mostSteps
        )
          invalid(
            'steps',
            `steps ${String(from)} to ${String(from + count - 1)} are not within the ${mostSteps} of this run`,
          );
        await device.run(listOf(sampler), { ...options, steps: count, firstStep: from });
      };
      const setSchedule: DitRun['setSchedule'] = (times, guidance) => {
        const rows = Math.max(...times.map((t) => t.length)) - 1;
        if (times.length !== images || guidance.length !== images || rows < 1 || rows > mostSteps)
          invalid(
            'schedule',
            `a schedule of ${images} pictures and 1 to ${mostSteps} steps is expected, got ${times.length} of ${rows}`,
          );
        const table = new Float32Array(rows * images * 4);
        times.forEach((t, i) => {
          if (!t.every((value) => value >= 0 && value <= 1)) invalid(`schedule[${i}]`, 'times are numbers of 0 to 1');
          checkGuidance(guidance[i]!);
          for (let s = 0; s < rows; s++) {
            // A picture that is through stays as it is.
            const last = t[t.length - 1]!;
            table.set([t[s] ?? last, t[s + 1] ?? last, guidance[i]!, 0], (s * images + i) * 4);
          }
        });
        device.write(schedule, table);
      };
      return {
        shape,
        images,
        setConditions(conditions, none) {
          if (conditions.length !== images * width || (guided && none?.length !== width))
            invalid(
              'conditions',
              `conditions of ${images} pictures${guided ? ' and one of no class' : ''}, ${width} numbers each, are expected`,
            );
          device.write(condition, conditions);
          if (guided) for (let i = 0; i < images; i++) device.write(condition, none!, 4 * (images + i) * width);
        },
        setContext(data, none) {
          const { context } = evaluation!.buffers;
          const each = (config.context?.tokens ?? 0) * (config.context?.width ?? 0);
          if (!context || data.length !== images * each || (guided && none?.length !== each))
            invalid(
              'context',
              `${config.name} takes a context of ${each} numbers for each of ${images} pictures${guided ? ' and for none' : ''}`,
            );
          device.write(context, data);
          if (guided) for (let i = 0; i < images; i++) device.write(context, none!, 4 * (images + i) * each);
        },
        setLatents(data) {
          if (data.length !== all) invalid('latents', `${all} numbers are expected, got ${data.length}`);
          device.write(latents, data);
        },
        setSchedule,
        steps,
        async step(time, after, guidance, sampler) {
          setSchedule(
            Array.from({ length: images }, () => Float32Array.of(time, after)),
            Array.from({ length: images }, () => guidance),
          );
          await steps(0, 1, sampler);
        },
        latents: async () => new Float32Array(await device.read(latents)),
        async velocity(at) {
          const done = device.run(first, { firstStep: at });
          const [data] = await Promise.all([device.read(velocity), done]);
          return new Float32Array(data);
        },
        release() {
          evaluation!.release();
          held.splice(0).forEach((buffer) => buffer.release());
        },
      };
    } catch (error) {
      evaluation?.release();
      held.forEach((buffer) => buffer.release());
      throw error;
    }
  }

  return {
    device,
    config,
    weights,
    encode,
    open,
    async decode(latents, size) {
      const shape = pictureShape(config, size);
      const points = shape.side * shape.side * config.channels;
      const images = latents.length / points;
      if (!Number.isSafeInteger(images) || images < 1)
        invalid('latents', `pictures of ${size} pixels have ${points} numbers each, got ${latents.length}`);
      const decoding = createDecoding(device, config, weights, shape, images);
      try {
        device.write(decoding.latents, latents);
        const done = device.run(decoding.calls);
        const [data] = await Promise.all([device.read(decoding.pictures), done]);
        const pixels = toPixels(new Float32Array(data));
        const each = size * size;
        return Array.from({ length: images }, (_, i) => ({
          ...{ width: size, height: size, pixels: pixels.slice(i * each, (i + 1) * each) },
        }));
      } finally {
        decoding.release();
      }
    },
    warmup: () => device.warmup([...ditKernels(), addRows.body] as readonly KernelBody[]),
    release: () => weights.release(),
  };
}
