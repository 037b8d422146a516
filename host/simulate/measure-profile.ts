/**
 * A device profile fitted to what an engine of ours takes here: batches of several sizes and prompts of several lengths are run, the time from one iteration to the next is
 * fitted by a line over sequences, prompt tokens and tokens attended to, and the fit's error is that on batches which it has not seen.
 */
import type { Device } from '../device/device.js';
import type { ByteSource } from '../llm/byte-source.js';
import type { MeasuredIteration } from '../llm/batching/loop-watch.js';
import type { LanguageModel } from '../llm/engine/engine.js';
import { createModelHost } from '../llm/engine/model-host.js';
import type { ModelFile } from '../llm/model/model-file.js';
import { createIterationFit } from '../maestro/live/iteration-fit.js';
import { seededRandom } from '../random.js';
import { quantileOf } from './intervals.js';
import type { DeviceProfile } from './profiles.js';
import type { ModelShape } from './workload.js';

export interface MeasureProfileOptions {
  readonly device: Device;
  readonly source: ByteSource | ModelFile;
  /** Names of the profile and of the model in it. */
  readonly name: string;
  readonly model: string;
  /** Most sequences and tokens in an iteration. Default 16 and 64. */
  readonly batchSequences?: number;
  readonly batchTokens?: number;
  /** Most tokens of a sequence. Default: what the model was trained for, 512 at most. */
  readonly context?: number;
  readonly onProgress?: (what: { readonly done: number; readonly all: number }) => void;
}

export interface MeasuredProfile {
  readonly profile: DeviceProfile;
  readonly shape: ModelShape;
  /** Of iterations that the fit has not seen: how far off it is, in parts of what they took. */
  readonly fit: { readonly iterations: number; readonly median: number; readonly p95: number; readonly total: number };
}

interface Probe {
  readonly sequences: number;
  readonly prompt: number;
  readonly answer: number;
}

/** Batches to learn from, then batches to be tried on. */
function probesFor(context: number, most: number): { readonly learn: Probe[]; readonly check: Probe[] } {
  const random = seededRandom(1);
  const draw = (): Probe => {
    const prompt = 4 + random.below(Math.floor(0.6 * context));
    const answer = 8 + random.below(Math.max(1, Math.min(48, context - prompt - 16)));
    return { sequences: 1 + random.below(most), prompt, answer };
  };
  const learn = [1, 2, 4, 8, 16]
    .filter((n) => n <= most)
    .flatMap((sequences) =>
      [0.05, 0.3, 0.6].map((part) => ({ sequences, prompt: Math.ceil(part * context), answer: 24 })),
    );
  return { learn: [...learn, ...learn, ...Array.from({ length: 20 }, draw)], check: Array.from({ length: 15 }, draw) };
}

/** @throws what opening the model throws */
export async function measureProfile(options: MeasureProfileOptions): Promise<MeasuredProfile> {
  const { device, source, name, batchSequences = 16, batchTokens = 64, onProgress } = options;
  let last = Number.NaN;
  let note: ((iteration: MeasuredIteration) => void) | undefined;
  const engine = {
    ...{ device, batchSequences, batchTokens },
    ...(options.context !== undefined && { context: options.context }),
    watch: {
      measured(iteration: MeasuredIteration) {
        const now = performance.now();
        // The first of a batch follows nothing: what it took by itself is all that is known.
        const seconds = Number.isNaN(last) ? iteration.seconds : (now - last) / 1000;
        last = now;
        note?.({ ...iteration, seconds });
      },
    },
  };
  const host = createModelHost();
  host.add('model', source, engine);
  const first = await host.use('model');
  const weightBytes = first.model.weightBytes;
  const context = Math.min(options.context ?? 512, first.model.context ?? 512);
  first.release();
  await host.park('model');
  const again = await host.use('model');
  const { loadTimes } = host.models[0]!;
  const { model } = again;

  const { learn, check } = probesFor(context, batchSequences);
  const all = learn.length + check.length;
  let done = 0;
  let seed = 1;
  const run = async (probe: Probe): Promise<void> => {
    last = Number.NaN;
    await batch(model, probe, seed++);
    onProgress?.({ done: ++done, all });
  };
  // Once without looking, so that nothing is measured cold.
  await batch(model, { sequences: 2, prompt: 16, answer: 8 }, 0);
  const fit = createIterationFit({ fades: false });
  note = fit.note;
  for (const probe of learn) await run(probe);
  const errors: number[] = [];
  let took = 0;
  let said = 0;
  note = ({ decoding, prompt, context: attended, seconds }) => {
    const predicted = fit.seconds(decoding, prompt, attended);
    errors.push(Math.abs(predicted - seconds) / seconds);
    took += seconds;
    said += predicted;
  };
  for (const probe of check) await run(probe);
  note = undefined;

  const fixed = fit.seconds(0, 0, 0);
  const kvBytesPerToken = model.usage.blockBytes / 16;
  const shape: ModelShape = {
    ...{ name: options.model, weightBytes, activeParameters: parametersOf(model), kvBytesPerToken },
  };
  again.release();
  await host.close();
  errors.sort((a, b) => a - b);
  const seconds = (milliseconds: number | undefined): number => Math.max(1e-3, (milliseconds ?? 1) / 1000);
  const profile: DeviceProfile = {
    name,
    source: `measured: ${options.model} on ${device.id}, ${fit.count} iterations`,
    ...{ memoryBytes: device.memory.budget, usable: 1, memoryEfficiency: 1, computeEfficiency: 1 },
    // Of models that were not measured: as if they took what this one takes, by their parameters.
    bytesPerSecond: weightBytes / Math.max(1e-6, fit.seconds(1, 0, 0)),
    operationsPerSecond: (2 * shape.activeParameters) / Math.max(1e-9, fit.seconds(0, 1, 0) - fixed),
    iterationSeconds: fixed,
    hostMemoryBytes: 2 ** 31,
    hostBytesPerSecond: weightBytes / seconds(loadTimes.host),
    diskBytesPerSecond: weightBytes / seconds(loadTimes.file),
    linkBytesPerSecond: weightBytes / seconds(loadTimes.host),
    ...{ warmupSeconds: 0, networkSeconds: 0, sequences: batchSequences, chunkTokens: batchTokens },
    measured: {
      [options.model]: {
        fixed,
        sequence: fit.seconds(1, 0, 0) - fixed,
        promptToken: fit.seconds(0, 1, 0) - fixed,
        context: (fit.seconds(0, 0, 1000) - fixed) / 1000,
      },
    },
    models: [shape],
  };
  return {
    ...{ profile, shape },
    fit: {
      iterations: errors.length,
      median: quantileOf(errors, 0.5),
      p95: quantileOf(errors, 0.95),
      total: Math.abs(said - took) / took,
    },
  };
}

function parametersOf({ config }: LanguageModel): number {
  const { layers, width, heads, kvHeads, headSize, feedForward, vocabulary } = config;
  return layers * (width * headSize * (2 * heads + 2 * kvHeads) + 3 * width * feedForward) + width * vocabulary;
}

/** So many requests at once, of prompts that have nothing in common. */
async function batch(model: LanguageModel, { sequences, prompt, answer }: Probe, seed: number): Promise<void> {
  const random = seededRandom(seed);
  await Promise.all(
    Array.from({ length: sequences }, async () => {
      const tokens = Array.from({ length: prompt }, () => 3 + random.below(model.config.vocabulary - 3));
      const reading = model.generate({ prompt: tokens, maxTokens: answer, temperature: 0 });
      while (!(await reading.next()).done);
    }),
  );
}
