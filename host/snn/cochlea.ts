/**
 * A cochlea-like encoder: sound to spikes. A bank of band-pass channels on the ERB scale (Glasberg and Moore 1990) gives each
 * channel's level over time (kernel `cochleaLevels`); a channel's units spike when its level, relative to the loudest of the
 * recording, rises or falls across one of several levels, and its onset unit when it jumps within a frame.
 *
 * Unit ids: `kind * channels + channel`, kinds 0 .. levels - 1 rising through that level, then as many falling, then the onset.
 */
import { TuttiError } from '../errors.js';
import type { Device } from '../device/device.js';
import { cochleaLevels } from '../kernels/snn/cochlea_levels.js';
import { createBufferScope } from './buffer-scope.js';
import { invalid, type SpikeTrain } from './spike-train.js';

export interface CochleaOptions {
  /** Samples per second. Default 8000. */
  readonly sampleRate?: number;
  /** Default 36. */
  readonly channels?: number;
  /** Centre of the lowest and of the highest channel in Hz. Default 100 and 3600. */
  readonly range?: readonly [lowest: number, highest: number];
  /** Steps (frames); a recording that is longer is cut, one that is shorter is silent afterwards. Default 64. */
  readonly steps?: number;
  /** Samples per step. Default 100, which is 12.5 ms at 8 kHz. */
  readonly hop?: number;
  /** Levels below the loudest at which units spike, in 1/16 octave of amplitude (0.376 dB). Default 24, 48, 72. */
  readonly levels?: readonly number[];
  /** Rise within a step that is an onset, in 1/16 octave. Default 24. */
  readonly onset?: number;
  /** Where the filters run. Default: in plain TypeScript. The spikes are the same anywhere. */
  readonly device?: Device;
}

interface Settings {
  readonly sampleRate: number;
  readonly channels: number;
  readonly range: readonly [number, number];
  readonly steps: number;
  readonly hop: number;
  readonly levels: readonly number[];
  readonly onset: number;
}

/** Input neurons that an encoding has. */
export function cochleaUnits({ channels = 36, levels = DEFAULT_LEVELS }: CochleaOptions = {}): number {
  return channels * (2 * levels.length + 1);
}

const DEFAULT_LEVELS = [24, 48, 72] as const;
/** Levels below this are silence, however loud the rest: about 3 units of a 16-bit amplitude. */
const FLOOR = 16 * 7;

/**
 * @param recordings amplitudes of 16 bits, one array each
 * @throws TuttiError OPTION_INVALID, INPUT_INVALID, and what the device throws
 */
export async function encodeCochlea(
  recordings: readonly Int16Array[],
  options: CochleaOptions = {},
): Promise<SpikeTrain> {
  const { channels, steps, levels, onset } = checked(options);
  const batch = recordings.length;
  const level = await hearLevels(recordings, options);

  const index = new Uint32Array(2 * steps * batch);
  const ids: number[] = [];
  const before = new Int32Array(batch * channels);
  const loudest = new Int32Array(batch);
  for (let at = 0; at < level.length; at++) {
    const b = Math.floor(at / channels) % batch;
    if (level[at]! > loudest[b]!) loudest[b] = level[at]!;
  }
  for (let step = 0; step < steps; step++) {
    for (let b = 0; b < batch; b++) {
      const start = ids.length;
      const row = (step * batch + b) * channels;
      const crossings = (rising: boolean): void => {
        for (const [k, below] of levels.entries()) {
          const limit = Math.max(FLOOR, loudest[b]! - below);
          for (let c = 0; c < channels; c++) {
            const was = before[b * channels + c]! >= limit;
            const is = level[row + c]! >= limit;
            if (was !== is && is === rising) ids.push((k + (rising ? 0 : levels.length)) * channels + c);
          }
        }
      };
      crossings(true);
      crossings(false);
      for (let c = 0; c < channels; c++) {
        const now = level[row + c]!;
        if (now >= FLOOR && now - Math.max(FLOOR, before[b * channels + c]!) >= onset)
          ids.push(2 * levels.length * channels + c);
      }
      for (let c = 0; c < channels; c++) before[b * channels + c] = level[row + c]!;
      index[2 * (step * batch + b)] = start;
      index[2 * (step * batch + b) + 1] = ids.length - start;
    }
  }
  return { kind: 'spikes', steps, batch, neurons: cochleaUnits(options), index, ids: Uint32Array.from(ids) };
}

/**
 * What the crossings are taken from: each channel's level at the end of every step, in 1/16 octave, [steps][recordings][channels].
 * @throws as encodeCochlea
 */
export async function hearLevels(recordings: readonly Int16Array[], options: CochleaOptions = {}): Promise<Int32Array> {
  const settings = checked(options);
  const { steps, hop } = settings;
  const batch = recordings.length;
  if (batch === 0) throw invalid('recordings', 'is empty; give at least one recording');
  recordings.forEach((recording, b) => {
    if (!(recording instanceof Int16Array))
      throw invalid(`recordings[${b}]`, 'is not an Int16Array of 16-bit amplitudes');
  });
  const sound = new Int32Array(batch * steps * hop);
  recordings.forEach((recording, b) => sound.set(recording.subarray(0, steps * hop), b * steps * hop));
  return runFilters(sound, batch, settings, options.device);
}

async function runFilters(
  sound: Int32Array,
  batch: number,
  settings: Settings,
  device: Device | undefined,
): Promise<Int32Array> {
  const { channels, steps: frames, hop } = settings;
  const coefficients = resonators(settings);
  const scalars = { batch, channels, frames, hop };
  if (device === undefined) {
    const levels = new Int32Array(frames * batch * channels);
    cochleaLevels.body.oracle([sound, coefficients, levels], Object.values(scalars), 0);
    return levels;
  }
  const buffers = createBufferScope(device, 'cochlea', () => {});
  try {
    const levels = buffers.allocate('levels', 4 * frames * batch * channels);
    const made = { sound: buffers.upload('sound', sound), coefficients: buffers.upload('coefficients', coefficients) };
    await device.run([cochleaLevels({ ...made, levels, ...scalars })]);
    return new Int32Array(await device.read(levels)).subarray(0, frames * batch * channels);
  } finally {
    buffers.releaseAll();
  }
}

/**
 * [gain, a1, a2][channels] in 1/4096: two-pole resonators of one ERB bandwidth, gain 1 at their centre. Far below the sample rate the
 * poles come so close to 1 that such steps no longer place them.
 * @throws TuttiError OPTION_INVALID when a channel would be off by more than half of its bandwidth
 */
function resonators({ channels, range: [lowest, highest], sampleRate }: Settings): Int32Array {
  const erbNumber = (f: number): number => 21.4 * Math.log10(1 + 0.00437 * f);
  const frequency = (erb: number): number => (10 ** (erb / 21.4) - 1) / 0.00437;
  const coefficients = new Int32Array(3 * channels);
  for (let c = 0; c < channels; c++) {
    const place = channels === 1 ? 0.5 : c / (channels - 1);
    const centre = frequency(erbNumber(lowest) + place * (erbNumber(highest) - erbNumber(lowest)));
    const bandwidth = 24.7 * (1 + 0.00437 * centre);
    const r = Math.exp((-Math.PI * bandwidth) / sampleRate);
    coefficients[c] = Math.round(((1 - r * r) / 2) * 4096);
    coefficients[channels + c] = Math.round(2 * r * Math.cos((2 * Math.PI * centre) / sampleRate) * 4096);
    coefficients[2 * channels + c] = Math.round(-r * r * 4096);
    const radius = Math.sqrt(-coefficients[2 * channels + c]! / 4096);
    const made = (Math.acos(coefficients[channels + c]! / 4096 / (2 * radius)) * sampleRate) / (2 * Math.PI);
    // NaN where the poles are no longer a pair.
    if (!(Math.abs(made - centre) <= bandwidth / 2))
      throw wrong(
        'range',
        `begins too low for ${sampleRate} samples a second: the channel at ${centre.toFixed(0)} Hz cannot be made with 12 bits; resample to 8000 or begin higher`,
      );
  }
  return coefficients;
}

function checked(options: CochleaOptions): Settings {
  const settings: Settings = {
    sampleRate: options.sampleRate ?? 8000,
    channels: options.channels ?? 36,
    range: options.range ?? [100, 3600],
    steps: options.steps ?? 64,
    hop: options.hop ?? 100,
    levels: options.levels ?? DEFAULT_LEVELS,
    onset: options.onset ?? 24,
  };
  const whole = (field: 'channels' | 'steps' | 'hop' | 'onset' | 'sampleRate', most: number): void => {
    const value = settings[field];
    if (!Number.isInteger(value) || value < 1 || value > most)
      throw wrong(field, `is ${String(value)}; it must be a whole number in 1 .. ${most}`);
  };
  whole('channels', 1024);
  whole('steps', 2 ** 14);
  whole('hop', 2 ** 16);
  whole('onset', 512);
  whole('sampleRate', 192_000);
  const [lowest, highest] = Array.isArray(settings.range) ? settings.range : [NaN, NaN];
  if (!(lowest >= 20 && highest >= lowest && highest < settings.sampleRate / 2))
    throw wrong(
      'range',
      `is ${lowest} .. ${highest} Hz; it must lie in 20 .. ${settings.sampleRate / 2} Hz, lower end first`,
    );
  if (!Array.isArray(settings.levels)) throw wrong('levels', 'must be a list of whole numbers');
  const rising = settings.levels.every((level, i, all) => Number.isInteger(level) && level > (all[i - 1] ?? 0));
  if (settings.levels.length === 0 || settings.levels.length > 16 || !rising)
    throw wrong('levels', 'must be 1 to 16 ascending whole numbers above 0');
  return settings;
}

function wrong(where: string, what: string): TuttiError {
  return new TuttiError('OPTION_INVALID', `${where} ${what}`, { where });
}
