/**
 * The Spiking Heidelberg Digits and Spiking Speech Commands (Cramer et al. 2020) as their HDF5 files hold them: `spikes/times` and
 * `spikes/units`, one array of its own length per recording, `labels`, and `extra/speaker` where there is one. Read by way of the
 * optional package h5wasm.
 */
import { TuttiError } from '../errors.js';
import { loadHdf5, type Hdf5Library } from '../snn/nir/hdf5.js';
import type { SpikeTrain } from '../snn/spike-train.js';

export interface ShdRecording {
  /** Seconds, one per spike, in the order of the file. */
  readonly times: Float32Array;
  /** Channel of the cochlea model, one per spike. */
  readonly units: Uint16Array;
  readonly label: number;
  /** Undefined when the file does not say. */
  readonly speaker: number | undefined;
}

export interface ShdOptions {
  /** For error messages. */
  readonly name?: string;
  /** First recording to read, and how many. Default: all. */
  readonly first?: number;
  readonly count?: number;
  /** The h5wasm module, where it cannot be imported by name. */
  readonly hdf5?: Hdf5Library;
}

export interface ShdEncodeOptions {
  /** Length of a step in seconds. Default 0.01. */
  readonly binWidth?: number;
  /** Spikes from `steps * binWidth` on are left out. Default 100. */
  readonly steps?: number;
  /** Channels in the files. Default 700. */
  readonly units?: number;
  /** Neighbouring channels that share one input neuron. Default 1. */
  readonly merge?: number;
  /** Several spikes of one neuron in one step: 'once' (default) or 'keep' them all. */
  readonly repeats?: 'keep' | 'once';
}

const INTEGER = 0;
const FLOAT = 1;
const VARIABLE_LENGTH = 9;
/** Recordings read at a time. */
const PART = 16;

interface ElementFacts {
  readonly type: number;
  readonly size: number;
  readonly littleEndian: boolean;
}

interface Dataset {
  readonly type: string;
  readonly file_id: bigint;
  readonly path: string;
  readonly shape: readonly number[] | null;
  readonly metadata: ElementFacts & { readonly vlen_type?: ElementFacts };
  slice(ranges: readonly (readonly [number, number])[]): unknown;
}

interface File {
  get(path: string): { readonly type: string } | null;
  close(): unknown;
}

/** The part of h5wasm that stands closest to the C library. */
interface Hdf5Module {
  HEAPU8: Uint8Array;
  _malloc(bytes: number): number;
  _free(address: number): void;
  get_dataset_data(
    file: bigint,
    path: string,
    count: readonly bigint[],
    offset: readonly bigint[],
    strides: readonly bigint[],
    address: bigint,
  ): unknown;
  reclaim_vlen_memory_count(
    file: bigint,
    path: string,
    attribute: string,
    address: bigint,
    count: readonly bigint[],
  ): unknown;
}

let files = 0;
/** Libraries in which a damaged file has ended in a Wasm trap: what they hold in memory is no longer sound. */
const broken = new WeakSet();

/**
 * @param bytes a whole file, e.g. shd_test.h5 (unpacked)
 * @throws TuttiError FILE_INVALID naming what is wrong or missing; OPTION_INVALID; DEVICE_UNAVAILABLE without h5wasm; DEVICE_FAILED when an
 *   earlier file has broken h5wasm
 */
export async function readShd(bytes: Uint8Array, options: ShdOptions = {}): Promise<ShdRecording[]> {
  const name = options.name ?? 'SHD file';
  const { library, fs } = await loadSound(options.hdf5);
  const refuse = (what: string, cause?: unknown): TuttiError =>
    new TuttiError('FILE_INVALID', `${name} ${what}`, { where: name, cause });
  const module = (await library.ready) as unknown as Hdf5Module;
  const path = `tutti-shd-${files++}.h5`;
  fs.writeFile(path, bytes);
  let file: File | undefined;
  try {
    file = new library.File(path, 'r') as File;
    const opened = file;
    const dataset = (at: string): Dataset => {
      const found = opened.get(at);
      if (found?.type !== 'Dataset')
        throw refuse(`has no data set ${at}; SHD files hold spikes/times, spikes/units and labels`);
      return found as unknown as Dataset;
    };
    const labels = dataset('labels');
    const times = dataset('spikes/times');
    const units = dataset('spikes/units');
    const speakers = opened.get('extra/speaker') === null ? undefined : dataset('extra/speaker');
    const total = recordingsOf(labels, 'labels');
    const sizes = { 'spikes/times': times, 'spikes/units': units, ...(speakers && { 'extra/speaker': speakers }) };
    for (const [at, set] of Object.entries(sizes)) {
      const count = recordingsOf(set, at);
      if (count !== total) throw refuse(`holds ${count} entries in ${at} and ${total} labels; they must be as many`);
    }
    // Every recording takes bytes of its own.
    if (total > bytes.length) throw refuse(`claims ${total} recordings in ${bytes.length} bytes`);
    const first = position(options.first ?? 0, 'first', total);
    const count = position(options.count ?? total - first, 'count', total - first);
    const timeSize = elementOf(times, FLOAT, 'spikes/times');
    const unitSize = elementOf(units, INTEGER, 'spikes/units');
    checkElement(labels.metadata, INTEGER, 'labels');
    if (speakers) checkElement(speakers.metadata, INTEGER, 'extra/speaker');
    const recordings: ShdRecording[] = [];
    let room = bytes.length;
    for (let from = first; from < first + count; from += PART) {
      const to = Math.min(from + PART, first + count);
      const partTimes = readLists(times, timeSize, from, to - from);
      const partUnits = readLists(units, unitSize, from, to - from);
      const partLabels = labels.slice([[from, to]]) as ArrayLike<number | bigint>;
      const partSpeakers = speakers?.slice([[from, to]]) as ArrayLike<number | bigint> | undefined;
      for (let k = 0; k < to - from; k++) {
        const where = `recording ${from + k}`;
        const timeBytes = partTimes[k]!;
        const unitBytes = partUnits[k]!;
        const spikes = timeBytes.byteLength / timeSize;
        if (unitBytes.byteLength / unitSize !== spikes)
          throw refuse(
            `${where} has ${spikes} times and ${unitBytes.byteLength / unitSize} units; they must be as many`,
          );
        // Every list takes bytes of its own too.
        room -= timeBytes.byteLength + unitBytes.byteLength;
        if (room < 0) throw refuse('names the same spikes again and again; it is corrupt');
        recordings.push({
          times: Float32Array.from({ length: spikes }, (_, i) => {
            const time = floatAt(timeBytes, i, timeSize);
            if (!Number.isFinite(time)) throw refuse(`${where} has a spike at ${time} s`);
            return time;
          }),
          units: Uint16Array.from({ length: spikes }, (_, i) => {
            const unit = wholeAt(unitBytes, i, unitSize);
            if (unit > 0xffff) throw refuse(`${where} names unit ${unit}`);
            return unit;
          }),
          label: Number(partLabels[k]),
          speaker: partSpeakers === undefined ? undefined : Number(partSpeakers[k]),
        });
      }
    }
    return recordings;
  } catch (cause) {
    if (cause instanceof TuttiError) throw cause;
    // The library throws strings, errors and Wasm traps.
    if (cause instanceof WebAssembly.RuntimeError) broken.add(library);
    throw refuse(
      `is not a sound HDF5 file: ${cause instanceof Error ? cause.message : String(cause)}`.slice(0, 300),
      cause,
    );
  } finally {
    try {
      file?.close();
    } catch {
      // A damaged file need not close cleanly.
    }
    if (!broken.has(library)) fs.unlink(path);
  }

  function recordingsOf({ shape }: Dataset, at: string): number {
    if (shape?.length !== 1) throw refuse(`holds ${at} as ${shape?.length ?? 0}-dimensional data; it must be a list`);
    return Number(shape[0]);
  }

  function checkElement(facts: ElementFacts | undefined, type: number, at: string): asserts facts is ElementFacts {
    const sizes = type === FLOAT ? [2, 4, 8] : [1, 2, 4, 8];
    if (facts?.type !== type || !facts.littleEndian || !sizes.includes(facts.size))
      throw refuse(`holds something other than little-endian ${type === FLOAT ? 'floats' : 'whole numbers'} in ${at}`);
  }

  function elementOf({ metadata }: Dataset, type: number, at: string): number {
    const facts = metadata.type === VARIABLE_LENGTH ? metadata.vlen_type : undefined;
    checkElement(facts, type, at);
    return facts.size;
  }

  /**
   * The bytes of some lists. h5wasm's own way has no half floats and, when a damaged list cannot be read, has the C library free memory
   * that nothing was written to; here it is zero from the start, which stands for no list.
   */
  function readLists({ file_id: id, path: at }: Dataset, size: number, from: number, count: number): DataView[] {
    const address = module._malloc(8 * count);
    if (address === 0) throw refuse('does not fit the memory');
    module.HEAPU8.fill(0, address, address + 8 * count);
    try {
      module.get_dataset_data(id, at, [BigInt(count)], [BigInt(from)], [1n], BigInt(address));
      const pairs = new Uint32Array(module.HEAPU8.slice(address, address + 8 * count).buffer);
      return Array.from({ length: count }, (_, k) => {
        const [length, start] = [pairs[2 * k]!, pairs[2 * k + 1]!];
        if (start + length * size > module.HEAPU8.length) throw refuse(`claims ${length} spikes in ${at}[${from + k}]`);
        return new DataView(module.HEAPU8.slice(start, start + length * size).buffer);
      });
    } finally {
      module.reclaim_vlen_memory_count(id, at, '', BigInt(address), [BigInt(count)]);
      module._free(address);
    }
  }
}

async function loadSound(given: Hdf5Library | undefined): ReturnType<typeof loadHdf5> {
  const failed = (cause?: unknown): TuttiError =>
    new TuttiError(
      'DEVICE_FAILED',
      'h5wasm was broken by a damaged file that it read earlier; read HDF5 files in a new process or worker',
      { where: 'h5wasm', cause },
    );
  try {
    const loaded = await loadHdf5(given);
    if (broken.has(loaded.library)) throw failed();
    return loaded;
  } catch (cause) {
    throw cause instanceof TuttiError ? cause : failed(cause);
  }
}

function floatAt(bytes: DataView, i: number, size: number): number {
  if (size === 2) return halfFloat(bytes.getUint16(2 * i, true));
  return size === 4 ? bytes.getFloat32(4 * i, true) : bytes.getFloat64(8 * i, true);
}

function wholeAt(bytes: DataView, i: number, size: number): number {
  if (size === 1) return bytes.getUint8(i);
  if (size === 2) return bytes.getUint16(2 * i, true);
  return size === 4 ? bytes.getUint32(4 * i, true) : Number(bytes.getBigUint64(8 * i, true));
}

/** IEEE 754 binary16. */
function halfFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

function position(value: number, where: string, most: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= most) return value;
  throw new TuttiError('OPTION_INVALID', `${where} is ${String(value)}; it must be a whole number in 0 .. ${most}`, {
    where,
  });
}

/**
 * Recordings as one batch of spikes, `ceil(units / merge)` input neurons.
 * @throws TuttiError INPUT_INVALID naming the recording that does not fit; OPTION_INVALID
 */
export function encodeShd(recordings: readonly ShdRecording[], options: ShdEncodeOptions = {}): SpikeTrain {
  const { binWidth = 0.01, repeats = 'once' } = options;
  const whole = (value: number, where: string, most: number): number => {
    if (value === 0) throw new TuttiError('OPTION_INVALID', `${where} must be above 0`, { where });
    return position(value, where, most);
  };
  const steps = whole(options.steps ?? 100, 'steps', 2 ** 20);
  const units = whole(options.units ?? 700, 'units', 2 ** 16);
  const merge = whole(options.merge ?? 1, 'merge', units);
  if (!(binWidth > 0 && Number.isFinite(binWidth)))
    throw new TuttiError('OPTION_INVALID', `binWidth is ${String(binWidth)}; it must be seconds above 0`, {
      where: 'binWidth',
    });
  const batch = recordings.length;
  if (batch === 0)
    throw new TuttiError('INPUT_INVALID', 'recordings is empty; give at least one', { where: 'recordings' });
  const index = new Uint32Array(2 * steps * batch);
  const ids = new Uint32Array(recordings.reduce((sum, { units: list }) => sum + list.length, 0));
  let at = 0;
  recordings.forEach((recording, b) => {
    // step * neurons + neuron, sorted: the spikes in the order of a train.
    const neurons = Math.ceil(units / merge);
    const keys: number[] = [];
    recording.units.forEach((unit, i) => {
      if (unit >= units)
        throw new TuttiError(
          'INPUT_INVALID',
          `recordings[${b}] names unit ${unit}; there are ${units} (0 .. ${units - 1})`,
          {
            where: `recordings[${b}]`,
          },
        );
      const step = Math.floor(recording.times[i]! / binWidth);
      if (step >= 0 && step < steps) keys.push(step * neurons + Math.floor(unit / merge));
    });
    const sorted = Float64Array.from(keys).sort();
    let k = 0;
    for (let step = 0; step < steps; step++) {
      const start = at;
      for (; k < sorted.length && sorted[k]! < (step + 1) * neurons; k++) {
        if (repeats === 'once' && k > 0 && sorted[k] === sorted[k - 1]) continue;
        ids[at++] = sorted[k]! - step * neurons;
      }
      index[2 * (step * batch + b)] = start;
      index[2 * (step * batch + b) + 1] = at - start;
    }
  });
  return { kind: 'spikes', steps, batch, neurons: Math.ceil(units / merge), index, ids: ids.subarray(0, at) };
}
