/**
 * Steps of a sampler along a rectified flow, guidance included. `velocity` has the images' velocities with their condition, and behind all of them, where
 * `guided`, those without: `v = without + guidance (with - without)`. `schedule` says for every step and image: time, time after the step, guidance.
 *
 * `eulerStep`: `z += (after - time) v`. Heun's method is two kernels around a second evaluation: `heunPredict` keeps v and puts the Euler step into `guess`;
 * `heunCorrect`: `z += (after - time) (kept + v) / 2`.
 */
import eulerSource from '../../../gpu-kernels/dit/euler_step.wgsl';
import correctSource from '../../../gpu-kernels/dit/heun_correct.wgsl';
import predictSource from '../../../gpu-kernels/dit/heun_predict.wgsl';
import { defineKernel, type Scalars } from '../kernel.js';
import { spread } from '../tensor/spread.js';
import { ditModule } from './module.js';

const f = Math.fround;
/** Numbers of a step and an image: time, after, guidance, and one that fills up. */
export const SCHEDULE_ENTRY = 4;

const scalars = { images: 'u32', size: 'u32', guided: 'u32', steps: 'u32', origin: 'u32' } as const;
type Shape = Scalars<typeof scalars>;

const scheduleOf = (s: Shape): number => s.steps * s.images * SCHEDULE_ENTRY;
const velocityOf = (s: Shape): number => (s.guided ? 2 : 1) * s.images * s.size;
const workgroups = (s: Shape, size: number): readonly [number, number, number] =>
  spread(Math.ceil((s.images * s.size) / size));

/** For every element: its place, the guided velocity, the length of the step. */
function eachVelocity(
  s: Shape & { readonly velocity: Float32Array; readonly schedule: Float32Array },
  step: number,
  visit: (i: number, v: number, length: number) => void,
): void {
  const { velocity, schedule, images, size, guided, steps, origin } = s;
  const row = Math.min(Math.max(step - origin, 0), steps - 1) * images;
  for (let i = 0; i < images * size; i++) {
    const at = (row + Math.floor(i / size)) * SCHEDULE_ENTRY;
    const without = velocity[images * size + i]!;
    const v = guided ? f(without + f(schedule[at + 2]! * f(velocity[i]! - without))) : velocity[i]!;
    visit(i, v, f(schedule[at + 1]! - schedule[at]!));
  }
}

export const eulerStep = defineKernel({
  name: 'eulerStep',
  buffers: {
    /** [guided ? 2 : 1][images][size] */
    velocity: ['f32', 'read'],
    /** [steps][images][4] */
    schedule: ['f32', 'read'],
    /** [images][size] */
    latents: ['f32', 'read-write'],
  },
  scalars,
  usesStep: true,
  elements: (s) => ({ velocity: velocityOf(s), schedule: scheduleOf(s), latents: s.images * s.size }),
  oracle({ latents, ...s }, step) {
    eachVelocity(s, step, (i, v, length) => (latents[i] = f(latents[i]! + f(length * v))));
  },
  wasm: ditModule,
  wgsl: [{ requires: [], source: eulerSource }],
  workgroups,
});

export const heunPredict = defineKernel({
  name: 'heunPredict',
  buffers: {
    velocity: ['f32', 'read'],
    schedule: ['f32', 'read'],
    latents: ['f32', 'read'],
    /** [images][size] */
    kept: ['f32', 'read-write'],
    guess: ['f32', 'read-write'],
  },
  scalars,
  usesStep: true,
  elements: (s) => {
    const all = s.images * s.size;
    return { velocity: velocityOf(s), schedule: scheduleOf(s), latents: all, kept: all, guess: all };
  },
  oracle({ latents, kept, guess, ...s }, step) {
    eachVelocity(s, step, (i, v, length) => {
      kept[i] = v;
      guess[i] = f(latents[i]! + f(length * v));
    });
  },
  wasm: ditModule,
  wgsl: [{ requires: [], source: predictSource }],
  workgroups,
});

export const heunCorrect = defineKernel({
  name: 'heunCorrect',
  buffers: {
    velocity: ['f32', 'read'],
    schedule: ['f32', 'read'],
    kept: ['f32', 'read'],
    latents: ['f32', 'read-write'],
  },
  scalars,
  usesStep: true,
  elements: (s) => {
    const all = s.images * s.size;
    return { velocity: velocityOf(s), schedule: scheduleOf(s), kept: all, latents: all };
  },
  oracle({ kept, latents, ...s }, step) {
    eachVelocity(s, step, (i, v, length) => {
      latents[i] = f(latents[i]! + f(f(length * 0.5) * f(kept[i]! + v)));
    });
  },
  wasm: ditModule,
  wgsl: [{ requires: [], source: correctSource }],
  workgroups,
});
