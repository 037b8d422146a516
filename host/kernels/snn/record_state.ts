/** Copies the state of chosen neurons into a recording, one frame per step; the bits as they are, for f32 and i32 alike. */
import source from '../../../gpu-kernels/snn/record_state.wgsl';
import { defineKernel } from '../kernel.js';
import { snnModule } from './module.js';

export const recordState = defineKernel({
  name: 'recordState',
  buffers: { state: ['u32', 'read'], ids: ['u32', 'read'], record: ['u32', 'read-write'] },
  scalars: { batch: 'u32', neurons: 'u32', chosen: 'u32', frames: 'u32', origin: 'i32' },
  usesStep: true,
  elements: (s) => ({ state: s.batch * s.neurons, ids: s.chosen, record: s.frames * s.batch * s.chosen }),
  oracle({ state, ids, record, batch, neurons, chosen, frames, origin }, step) {
    const frame = step - origin;
    if (frame < 0 || frame >= frames) return;
    for (let b = 0; b < batch; b++) {
      for (let k = 0; k < chosen; k++) record[(frame * batch + b) * chosen + k] = state[b * neurons + ids[k]!]!;
    }
  },
  wasm: snnModule,
  wgsl: [{ requires: [], source }],
  workgroups: (s, size) => [Math.ceil(s.chosen / size), s.batch, 1],
});
