/**
 * From values to spikes and currents. All encoders write the kernels' own layout directly, a sample at a time; none makes
 * an object per spike.
 */
import { TuttiError } from '../errors.js';
import { checkSeed, mix32 } from '../random.js';
import type { Current, SpikeTrain } from './spike-train.js';

/** Samples one after the other, [batch][neurons]: bytes 0 .. 255, or numbers 0 .. 1. */
export type Samples = Uint8Array | Float32Array | readonly number[];

export interface EncodeOptions {
  /** Values per sample. Default: all of them, one sample. */
  readonly neurons?: number;
  readonly steps: number;
}

export interface LatencyOptions extends EncodeOptions {
  /** Smallest byte value (0 .. 255) that spikes at all. Default 1. */
  readonly threshold?: number;
}

/**
 * Time to first spike: the brighter, the earlier, once or never. A value p of 0 .. 255 (a number of 0 .. 1 is taken as
 * round(255 * value)) of at least `threshold` spikes in step floor((255 - p) * steps / (256 - threshold)); the range
 * threshold .. 255 thus fills all the steps evenly.
 * @throws TuttiError INPUT_INVALID, OPTION_INVALID.
 */
export function encodeLatency(values: Samples, options: LatencyOptions): SpikeTrain {
  const { steps, neurons, batch } = checkSizes(values, options);
  const threshold = wholeOption(options.threshold ?? 1, 'threshold', 0, 255);
  const stepOf = new Int32Array(256);
  for (let p = threshold; p < 256; p++) stepOf[p] = Math.floor(((255 - p) * steps) / (256 - threshold));
  const bytes = toBytes(values);

  const index = new Uint32Array(2 * steps * batch);
  let ids = new Uint32Array(batch * Math.min(neurons, 256));
  const next = new Int32Array(steps);
  // Most pixels of most images are dark: the ones that spike are noted once and then sorted into their steps.
  const active = new Uint32Array(neurons);
  const activeStep = new Int32Array(neurons);
  let base = 0;
  for (let b = 0; b < batch; b++) {
    const from = b * neurons;
    next.fill(0);
    let actives = 0;
    for (let n = 0; n < neurons; n++) {
      const p = bytes[from + n]!;
      if (p < threshold) continue;
      const step = stepOf[p]!;
      next[step]!++;
      active[actives] = n;
      activeStep[actives++] = step;
    }
    let start = base;
    for (let step = 0; step < steps; step++) {
      const count = next[step]!;
      const at = 2 * (step * batch + b);
      index[at] = start;
      index[at + 1] = count;
      next[step] = start;
      start += count;
    }
    if (start > ids.length) ids = enlarge(ids, start);
    base = start;
    for (let k = 0; k < actives; k++) ids[next[activeStep[k]!]!++] = active[k]!;
  }
  return { kind: 'spikes', steps, batch, neurons, index, ids: ids.subarray(0, base) };
}

export interface RateOptions extends EncodeOptions {
  readonly seed: number;
  /** Probability of a spike per step for the largest value, 0 .. 1. Default 1. */
  readonly maxRate?: number;
  /** Number of the first sample. Sample i gets the same spikes whichever batch it is encoded in. Default 0. */
  readonly firstSample?: number;
}

/**
 * Bernoulli spikes: in each step, neuron n fires with probability value * maxRate. The random number is a hash of (seed,
 * sample, step, neuron), so that it depends on nothing else.
 * @throws TuttiError INPUT_INVALID, OPTION_INVALID.
 */
export function encodeRate(values: Samples, options: RateOptions): SpikeTrain {
  const { steps, neurons, batch } = checkSizes(values, options);
  const seed = checkSeed(options.seed);
  const maxRate = options.maxRate ?? 1;
  if (!(maxRate >= 0 && maxRate <= 1))
    throw optionError('maxRate', `must be a number in 0 .. 1, got ${String(maxRate)}`);
  const firstSample = wholeOption(options.firstSample ?? 0, 'firstSample', 0, 2 ** 32 - 1);
  const scale = (values instanceof Uint8Array ? 1 / 255 : 1) * maxRate * 2 ** 32;

  const index = new Uint32Array(2 * steps * batch);
  let ids = new Uint32Array(1024);
  const active = new Uint32Array(neurons);
  const limits = new Float64Array(neurons);
  let count = 0;
  for (let b = 0; b < batch; b++) {
    let actives = 0;
    for (let n = 0; n < neurons; n++) {
      const value = values[b * neurons + n]!;
      if (value > 0) {
        active[actives] = n;
        limits[actives++] = value * scale;
      } else if (value !== 0) throw outOfRange(value, b * neurons + n);
      if (value > 1 && !(values instanceof Uint8Array)) throw outOfRange(value, b * neurons + n);
    }
    if (count + actives * steps > ids.length) ids = enlarge(ids, count + actives * steps);
    const sampleKey = mix32(seed ^ mix32((firstSample + b) | 0));
    for (let step = 0; step < steps; step++) {
      const key = mix32(sampleKey + Math.imul(step + 1, 0x9e3779b9));
      const start = count;
      for (let k = 0; k < actives; k++) {
        // mix32 by hand: this is the inner loop.
        let x = (key + Math.imul(active[k]! + 1, 0x85ebca6b)) | 0;
        x ^= x >>> 16;
        x = Math.imul(x, 0x21f0aaad);
        x ^= x >>> 15;
        x = Math.imul(x, 0x735a2d97);
        x ^= x >>> 15;
        if (x >>> 0 < limits[k]!) ids[count++] = active[k]!;
      }
      const at = 2 * (step * batch + b);
      index[at] = start;
      index[at + 1] = count - start;
    }
  }
  return { kind: 'spikes', steps, batch, neurons, index, ids: ids.subarray(0, count) };
}

export interface CurrentOptions {
  /** Values per frame and sample. Default: all of them, one sample. */
  readonly neurons?: number;
  /** Number of samples. Default: as many as there are values for, with one frame. */
  readonly batch?: number;
  /** Values are multiplied by this. Default 1. */
  readonly scale?: number;
  /** Number form of the network that it is for. Fixed-point currents are rounded to whole numbers. Default 'float32'. */
  readonly numeric?: 'float32' | 'fixed';
  readonly receptor?: string;
}

/**
 * A direct current. Values lie [frames][batch][neurons]; with one frame the current is constant, otherwise frame f flows in
 * step f. In 'delta' populations a current is what is added to the potential per step.
 * @throws TuttiError INPUT_INVALID, OPTION_INVALID.
 */
export function encodeCurrent(values: Samples | Int32Array, options: CurrentOptions = {}): Current {
  const neurons = wholeOption(options.neurons ?? values.length, 'neurons', 1, 2 ** 24);
  const batch = wholeOption(options.batch ?? values.length / neurons, 'batch', 1, 2 ** 24);
  const frames = values.length / (batch * neurons);
  if (!Number.isInteger(frames) || frames < 1) {
    throw inputError(
      'values',
      `holds ${values.length} numbers, not a multiple of ${batch} samples x ${neurons} neurons`,
    );
  }
  const scale = options.scale ?? 1;
  const fixed = options.numeric === 'fixed';
  const scaled = fixed ? new Int32Array(values.length) : new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]! * scale;
    if (!Number.isFinite(value) || (fixed && Math.abs(value) > 2 ** 31 - 1)) {
      throw inputError(`values[${i}]`, `is ${values[i]}; currents must be finite${fixed ? ' and fit int32' : ''}`);
    }
    scaled[i] = fixed ? Math.round(value) : value;
  }
  const { receptor } = options;
  return { kind: 'current', frames, batch, neurons, values: scaled, ...(receptor === undefined ? {} : { receptor }) };
}

/** One recording of an event camera: parallel arrays, in any order of time. */
export interface EventStream {
  readonly x: ArrayLike<number>;
  readonly y: ArrayLike<number>;
  /** 0 or 1. */
  readonly polarity: ArrayLike<number>;
  /** Time stamps, in the unit of `binWidth` (microseconds for most cameras). */
  readonly t: ArrayLike<number>;
}

export interface EventOptions {
  readonly width: number;
  readonly height: number;
  /** Length of a step. */
  readonly binWidth: number;
  /** Events from `steps * binWidth` after the start on are left out. */
  readonly steps: number;
  /** Time at which step 0 begins. Default 0. */
  readonly start?: number;
  /** Several events of one pixel in one step: 'keep' them all (default) or count them 'once'. */
  readonly repeats?: 'keep' | 'once';
}

/**
 * Event streams (N-MNIST style), one sample each. Neuron ids are polarity-major, (polarity * height + y) * width + x, that
 * is shape [2, height, width].
 * @throws TuttiError INPUT_INVALID naming the first event that does not fit; OPTION_INVALID.
 */
export function encodeEvents(streams: readonly EventStream[], options: EventOptions): SpikeTrain {
  const steps = wholeOption(options.steps, 'steps', 1, 2 ** 24);
  const width = wholeOption(options.width, 'width', 1, 2 ** 12);
  const height = wholeOption(options.height, 'height', 1, 2 ** 11);
  const { binWidth, start = 0 } = options;
  if (!(binWidth > 0 && Number.isFinite(binWidth)))
    throw optionError('binWidth', `must be above 0, got ${String(binWidth)}`);
  if (!Number.isFinite(start)) throw optionError('start', `must be finite, got ${String(start)}`);
  const batch = streams.length;
  if (batch === 0) throw inputError('streams', 'is empty; give at least one recording');

  const index = new Uint32Array(2 * steps * batch);
  let ids = new Uint32Array(streams.reduce((sum, { t }) => sum + t.length, 0));
  let base = 0;
  const next = new Uint32Array(steps);
  streams.forEach(({ x, y, polarity, t }, b) => {
    const events = t.length;
    if (x.length !== events || y.length !== events || polarity.length !== events) {
      throw inputError(
        `streams[${b}]`,
        `has ${x.length} x, ${y.length} y, ${polarity.length} polarity and ${events} t; they must be as many`,
      );
    }
    const binOf = (i: number): number => Math.floor((t[i]! - start) / binWidth);
    next.fill(0);
    for (let i = 0; i < events; i++) {
      const column = x[i]!;
      const row = y[i]!;
      const sign = polarity[i]!;
      const fits = column >= 0 && column < width && row >= 0 && row < height && (sign === 0 || sign === 1);
      if (!fits || !Number.isInteger(column) || !Number.isInteger(row) || !Number.isFinite(t[i]!)) {
        throw inputError(
          `streams[${b}] event ${i}`,
          `(x ${column}, y ${row}, polarity ${sign}, t ${t[i]}) does not fit a ${width} x ${height} sensor with polarity 0 or 1`,
        );
      }
      const bin = binOf(i);
      if (bin >= 0 && bin < steps) next[bin]!++;
    }
    let at = base;
    for (let step = 0; step < steps; step++) {
      const count = next[step]!;
      index[2 * (step * batch + b)] = at;
      index[2 * (step * batch + b) + 1] = count;
      next[step] = at;
      at += count;
    }
    for (let i = 0; i < events; i++) {
      const bin = binOf(i);
      if (bin >= 0 && bin < steps) ids[next[bin]!++] = (polarity[i]! * height + y[i]!) * width + x[i]!;
    }
    let kept = base;
    for (let step = 0; step < steps; step++) {
      const pair = 2 * (step * batch + b);
      const from = index[pair]!;
      const list = ids.subarray(from, from + index[pair + 1]!).sort();
      if (options.repeats !== 'once') kept = from + list.length;
      else {
        const first = kept;
        for (let k = 0; k < list.length; k++) if (k === 0 || list[k] !== ids[kept - 1]) ids[kept++] = list[k]!;
        index[pair] = first;
        index[pair + 1] = kept - first;
      }
    }
    base = kept;
  });
  ids = ids.subarray(0, base);
  return { kind: 'spikes', steps, batch, neurons: 2 * width * height, index, ids };
}

function checkSizes(values: Samples, options: EncodeOptions): { steps: number; neurons: number; batch: number } {
  const steps = wholeOption(options.steps, 'steps', 1, 2 ** 24);
  const neurons = wholeOption(options.neurons ?? values.length, 'neurons', 1, 2 ** 24);
  const batch = values.length / neurons;
  if (!Number.isInteger(batch) || batch < 1) {
    throw inputError(
      'values',
      `holds ${values.length} numbers, not a multiple of ${neurons} per sample; is the image size right?`,
    );
  }
  return { steps, neurons, batch };
}

function toBytes(values: Samples): Uint8Array {
  if (values instanceof Uint8Array) return values;
  const bytes = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!(value >= 0 && value <= 1)) throw outOfRange(value, i);
    bytes[i] = Math.round(255 * value);
  }
  return bytes;
}

function enlarge(ids: Uint32Array<ArrayBuffer>, need: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(Math.max(need, Math.ceil(ids.length * 1.5)));
  larger.set(ids);
  return larger;
}

function outOfRange(value: unknown, at: number): TuttiError {
  return inputError(`values[${at}]`, `is ${String(value)}; numbers must be in 0 .. 1 (a Uint8Array takes 0 .. 255)`);
}

function wholeOption(value: number, where: string, least: number, most: number): number {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw optionError(where, `must be a whole number in ${least} .. ${most}, got ${String(value)}`);
  }
  return value;
}

function optionError(where: string, what: string): TuttiError {
  return new TuttiError('OPTION_INVALID', `${where} ${what}`, { where });
}

function inputError(where: string, what: string): TuttiError {
  return new TuttiError('INPUT_INVALID', `${where} ${what}`, { where });
}
