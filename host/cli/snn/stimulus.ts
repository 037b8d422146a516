/** What `tutti snn` feeds a network with: images (IDX), spikes (JSON) or the digits that come with the package. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { TuttiError } from '../../errors.js';
import { encodeLatency, encodeRate, parseIdx, spikeTrain, type SpikeTrain } from '../../snn/index.js';
import { packageFile } from '../package-file.js';
import { readBytes } from './source.js';
import { whole } from './whole-number.js';

export interface StimulusOptions {
  readonly digits?: boolean;
  readonly images?: string;
  readonly labels?: string;
  readonly latency?: string;
  readonly rate?: string;
  readonly spikes?: string;
  readonly samples?: string;
}

export interface Stimulus {
  readonly train: SpikeTrain;
  /** The true class of each sample, where it is known. */
  readonly labels: Uint8Array | undefined;
  /** For a person. */
  readonly what: string;
}

export function stimulusOptions(command: Command): Command {
  return command
    .option(
      '--digits',
      'the 200 handwritten digits that come with the package (the default for an input of 784 neurons)',
    )
    .option('--images <file>', 'images as an IDX file of unsigned bytes')
    .option('--labels <file>', 'their classes as an IDX file')
    .option('--latency <numbers>', 'encode images by latency, as steps=6,threshold=64 (the default)')
    .option('--rate <numbers>', 'encode images by rate, as steps=20,seed=1')
    .option('--spikes <file>', 'spikes as JSON: { "neurons": 3, "samples": [[[0, 2], [], [1]]] }, [sample][step][ids]')
    .option('--samples <count>', 'take the first so many samples');
}

const packaged = (name: string): Uint8Array => new Uint8Array(readFileSync(packageFile(`models/mnist/${name}`)));

/** @throws TuttiError OPTION_INVALID, FILE_INVALID, INPUT_INVALID */
export async function readStimulus(options: StimulusOptions, neurons: number): Promise<Stimulus> {
  const ways = [options.digits && '--digits', options.images && '--images', options.spikes && '--spikes'].filter(
    Boolean,
  );
  if (ways.length > 1) throw wrong(`${ways.join(' and ')} exclude each other; give one`);
  const limit = options.samples === undefined ? Infinity : whole(options.samples, '--samples');
  if (options.spikes !== undefined) return readSpikes(options.spikes, neurons, limit);
  if (ways.length === 0 && neurons !== 784)
    throw wrong(`the network has an input of ${neurons} neurons; give --images or --spikes`);
  const [images, labels] =
    options.images === undefined
      ? [packaged('t200-images.idx3-ubyte'), packaged('t200-labels.idx1-ubyte')]
      : [await readBytes(options.images), options.labels === undefined ? undefined : await readBytes(options.labels)];
  const { shape, data } = parseIdx(images, options.images ?? 'the packaged digits');
  const pixels = shape.slice(1).reduce((product, size) => product * size, 1);
  if (pixels !== neurons)
    throw wrong(
      `images of ${shape.slice(1).join(' x ')} pixels do not fit an input of ${neurons} neurons`,
      'INPUT_INVALID',
    );
  const truth = labels === undefined ? undefined : parseIdx(labels, options.labels ?? 'their labels').data;
  const batch = Math.min(shape[0]!, limit);
  if (truth !== undefined && truth.length < batch)
    throw wrong(`there are ${shape[0]} images, but ${truth.length} labels`, 'INPUT_INVALID');
  const values = data.subarray(0, batch * pixels);
  const what = options.images === undefined ? `${batch} handwritten digits` : `${batch} images of ${options.images}`;
  if (options.rate !== undefined) {
    const { steps, seed } = numbers(options.rate, '--rate', { steps: 20, seed: 1 });
    const train = encodeRate(
      Float32Array.from(values, (v) => v / 255),
      { neurons, steps: steps!, seed: seed! },
    );
    return { train, labels: truth?.subarray(0, batch), what };
  }
  const { steps, threshold } = numbers(options.latency, '--latency', { steps: 6, threshold: 64 });
  return {
    train: encodeLatency(values, { neurons, steps: steps!, threshold: threshold! }),
    labels: truth?.subarray(0, batch),
    what,
  };
}

async function readSpikes(path: string, neurons: number, limit: number): Promise<Stimulus> {
  const text = new TextDecoder().decode(await readBytes(path));
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new TuttiError('FILE_INVALID', `${path} is not JSON: ${(cause as Error).message}`, { where: path, cause });
  }
  const { samples, neurons: stated } = (parsed ?? {}) as { samples?: unknown; neurons?: unknown };
  const lists = (value: unknown): value is readonly unknown[] => Array.isArray(value);
  const sound =
    lists(samples) &&
    samples.length > 0 &&
    samples.every((steps) => lists(steps) && steps.length > 0 && steps.every((ids) => lists(ids)));
  if (!sound) {
    throw new TuttiError(
      'FILE_INVALID',
      `${path} must hold { "samples": [sample][step][ids] } with a step or more each`,
      {
        where: path,
      },
    );
  }
  if (stated !== undefined && stated !== neurons)
    throw wrong(`${path} is for ${String(stated)} neurons, the network's input has ${neurons}`, 'INPUT_INVALID');
  const taken = (samples as readonly (readonly (readonly number[])[])[]).slice(0, limit);
  const steps = taken.reduce((most, sample) => Math.max(most, sample.length), 0);
  const train = spikeTrain(
    Array.from({ length: steps }, (_, step) => taken.map((sample) => sample[step] ?? [])),
    neurons,
  );
  return { train, labels: undefined, what: `${taken.length} samples of ${resolve(path)}` };
}

/**
 * The input population that a stimulus is for.
 * @throws TuttiError INPUT_INVALID when there are none or several
 */
export function inputOf(
  populations: readonly { readonly name: string; readonly model: string; readonly size: number }[],
): { readonly name: string; readonly size: number } {
  const inputs = populations.filter(({ model }) => model === 'input');
  if (inputs.length !== 1)
    throw wrong(`the network has ${inputs.length} input populations; this command feeds exactly one`, 'INPUT_INVALID');
  return inputs[0]!;
}

/** `a=1,b=2` over defaults. */
function numbers(
  text: string | undefined,
  option: string,
  defaults: Readonly<Record<string, number>>,
): Readonly<Record<string, number>> {
  const values: Record<string, number> = { ...defaults };
  for (const part of text?.split(',') ?? []) {
    const [key = '', value = ''] = part.split('=');
    if (!(key in defaults)) throw wrong(`${option} has no number "${key}"; it has ${Object.keys(defaults).join(', ')}`);
    values[key] = whole(value, `${option} ${key}`);
  }
  return values;
}

function wrong(message: string, code: 'OPTION_INVALID' | 'INPUT_INVALID' = 'OPTION_INVALID'): TuttiError {
  return new TuttiError(code, message);
}
