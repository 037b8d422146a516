/**
 * What time is to a transformer: `cos(span t w[k])`, then `sin(span t w[k])`, for every sequence and every frequency w[k]. Sequences are those of the images, again and
 * again (with condition, without). The time is that of the step in `schedule` (`flow_steps.ts`), or the one after it where `after` is 1.
 */
import source from '../../../gpu-kernels/dit/time_rows.wgsl';
import { defineKernel } from '../kernel.js';
import { SCHEDULE_ENTRY } from './flow_steps.js';
import { ditModule } from './module.js';
import { turnF32 } from './sinusoid.js';

const f = Math.fround;

export const timeRows = defineKernel({
  name: 'timeRows',
  buffers: {
    /** [steps][images][4] */
    schedule: ['f32', 'read'],
    /** [half] */
    frequencies: ['f32', 'read'],
    /** [sequences][2 * half] */
    out: ['f32', 'read-write'],
  },
  scalars: {
    ...{ sequences: 'u32', images: 'u32', half: 'u32', after: 'u32', steps: 'u32', origin: 'u32', span: 'f32' },
  },
  usesStep: true,
  elements: (s) => ({
    schedule: s.steps * s.images * SCHEDULE_ENTRY,
    frequencies: s.half,
    out: s.sequences * 2 * s.half,
  }),
  oracle({ schedule, frequencies, out, sequences, images, half, after, steps, origin, span }, step) {
    const row = Math.min(Math.max(step - origin, 0), steps - 1) * images;
    for (let s = 0; s < sequences; s++) {
      const time = f(schedule[(row + (s % images)) * SCHEDULE_ENTRY + after]! * f(span));
      for (let k = 0; k < half; k++) {
        const angle = f(time * frequencies[k]!);
        out[s * 2 * half + k] = turnF32(angle, 1);
        out[s * 2 * half + half + k] = turnF32(angle, 0);
      }
    }
  },
  wasm: ditModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s, size) => [Math.ceil(s.half / size), s.sequences, 1],
});
