// Steps of a sampler, guidance included. Threads share the elements.

// Of the call that runs; each thread has its own.
let velocity: usize = 0;
let schedule: usize = 0;
let all: i32 = 0;
let size: i32 = 0;
let guided: bool = false;

/** scalars: images, size, guided, steps, origin */
// @ts-ignore: decorator
@inline
function setShape(scalars: usize, step: i32, ofVelocity: usize, ofSchedule: usize): void {
  const images = load<i32>(scalars);
  size = load<i32>(scalars, 4);
  guided = load<i32>(scalars, 8) != 0;
  const row = min(max(step - load<i32>(scalars, 16), 0), load<i32>(scalars, 12) - 1);
  velocity = ofVelocity;
  schedule = ofSchedule + (<usize>(row * images) << 4);
  all = images * size;
}

// @ts-ignore: decorator
@inline
function entry(i: i32): usize {
  return schedule + (<usize>(i / size) << 4);
}

// @ts-ignore: decorator
@inline
function velocityAt(i: i32, at: usize): f32 {
  const v = load<f32>(velocity + (<usize>i << 2));
  if (!guided) return v;
  const without = load<f32>(velocity + (<usize>(all + i) << 2));
  return without + load<f32>(at, 8) * (v - without);
}

/** args: velocity, schedule, latents, images, size, guided, steps, origin */
export function eulerStep(args: usize, step: i32, thread: i32, threads: i32): void {
  const latents = load<u32>(args, 8);
  setShape(args + 12, step, load<u32>(args), load<u32>(args, 4));
  const to = <i32>((<i64>all * (thread + 1)) / threads);
  for (let i = <i32>((<i64>all * thread) / threads); i < to; i++) {
    const at = entry(i);
    const length = load<f32>(at, 4) - load<f32>(at);
    const z = latents + (<usize>i << 2);
    store<f32>(z, load<f32>(z) + length * velocityAt(i, at));
  }
}

/** args: velocity, schedule, latents, kept, guess, images, size, guided, steps, origin */
export function heunPredict(args: usize, step: i32, thread: i32, threads: i32): void {
  const latents = load<u32>(args, 8);
  const kept = load<u32>(args, 12);
  const guess = load<u32>(args, 16);
  setShape(args + 20, step, load<u32>(args), load<u32>(args, 4));
  const to = <i32>((<i64>all * (thread + 1)) / threads);
  for (let i = <i32>((<i64>all * thread) / threads); i < to; i++) {
    const at = entry(i);
    const length = load<f32>(at, 4) - load<f32>(at);
    const v = velocityAt(i, at);
    const place = <usize>i << 2;
    store<f32>(kept + place, v);
    store<f32>(guess + place, load<f32>(latents + place) + length * v);
  }
}

/** args: velocity, schedule, kept, latents, images, size, guided, steps, origin */
export function heunCorrect(args: usize, step: i32, thread: i32, threads: i32): void {
  const kept = load<u32>(args, 8);
  const latents = load<u32>(args, 12);
  setShape(args + 16, step, load<u32>(args), load<u32>(args, 4));
  const to = <i32>((<i64>all * (thread + 1)) / threads);
  for (let i = <i32>((<i64>all * thread) / threads); i < to; i++) {
    const at = entry(i);
    const length = load<f32>(at, 4) - load<f32>(at);
    const place = <usize>i << 2;
    const z = latents + place;
    store<f32>(z, load<f32>(z) + length * <f32>0.5 * (load<f32>(kept + place) + velocityAt(i, at)));
  }
}
