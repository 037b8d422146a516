/**
 * The hot part of the cochlea encoder: sound through a bank of band-pass channels, to the logarithm of each channel's envelope at the
 * end of every frame. All of it is 32-bit integer arithmetic, so every body gives the same levels on every machine.
 *
 * Per channel two resonators in series, `y = (gain (x - x2) + a1 y1 + a2 y2 + 2^11) >> 12` with coefficients in 1/4096; the envelope is
 * a leaky average of their rectified output, `e += ((|y| << 6) - e) >> 6`; the level is 16 log2(e), with linear interpolation
 * between powers of two, and 0 for e < 1.
 */
import source from '../../../gpu-kernels/snn/cochlea_levels.wgsl';
import { defineKernel } from '../kernel.js';
import { snnModule } from './module.js';

/** Rows of `coefficients`. */
export const COCHLEA_COEFFICIENTS = 3;

export const cochleaLevels = defineKernel({
  name: 'cochleaLevels',
  buffers: {
    /** [batch][frames * hop], 16-bit amplitudes. */
    sound: ['i32', 'read'],
    /** [gain, a1, a2][channels], in 1/4096. */
    coefficients: ['i32', 'read'],
    /** [frames][batch][channels]. */
    levels: ['i32', 'read-write'],
  },
  scalars: { batch: 'u32', channels: 'u32', frames: 'u32', hop: 'u32' },
  elements: (s) => ({
    sound: s.batch * s.frames * s.hop,
    coefficients: COCHLEA_COEFFICIENTS * s.channels,
    levels: s.frames * s.batch * s.channels,
  }),
  oracle({ sound, coefficients, levels, batch, channels, frames, hop }) {
    for (let b = 0; b < batch; b++) {
      for (let c = 0; c < channels; c++) {
        const gain = coefficients[c]!;
        const a1 = coefficients[channels + c]!;
        const a2 = coefficients[2 * channels + c]!;
        let [x1, x2, y1, y2, z1, z2, envelope] = [0, 0, 0, 0, 0, 0, 0];
        let at = b * frames * hop;
        for (let frame = 0; frame < frames; frame++) {
          for (let i = 0; i < hop; i++) {
            const x = sound[at++]!;
            const y = (Math.imul(gain, x - x2) + Math.imul(a1, y1) + Math.imul(a2, y2) + 2048) >> 12;
            const z = (Math.imul(gain, y - y2) + Math.imul(a1, z1) + Math.imul(a2, z2) + 2048) >> 12;
            [x2, x1, y2, y1, z2, z1] = [x1, x, y1, y, z1, z];
            envelope = (envelope + (((Math.abs(z) << 6) - envelope) >> 6)) | 0;
          }
          levels[(frame * batch + b) * channels + c] = level(envelope);
        }
      }
    }
  },
  wasm: snnModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s, size) => [Math.ceil(s.channels / size), s.batch, 1],
});

function level(envelope: number): number {
  if (envelope < 1) return 0;
  const octave = 31 - Math.clz32(envelope);
  const below = 1 << octave;
  return 16 * octave + (octave >= 4 ? (envelope - below) >> (octave - 4) : (envelope - below) << (4 - octave));
}
