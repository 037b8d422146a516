// Adds a given current to a population's input.
import { neuronBegin, neuronEnd, sampleBegin, sampleEnd } from './share';

/** args: current, input, batch, neurons, inputStride, inputOffset, frames, origin */
export function injectCurrentF32(args: usize, step: i32, thread: i32, threads: i32): void {
  injectCurrent<f32>(args, step, thread, threads);
}

/** args: as injectCurrentF32 */
export function injectCurrentI32(args: usize, step: i32, thread: i32, threads: i32): void {
  injectCurrent<i32>(args, step, thread, threads);
}

// @ts-ignore: decorator
@inline
function injectCurrent<T>(args: usize, step: i32, thread: i32, threads: i32): void {
  const t = step - load<i32>(args, 28);
  if (t < 0) return;
  const batch = load<i32>(args, 8);
  const neurons = load<i32>(args, 12);
  const frame = min(t, load<i32>(args, 24) - 1);
  const from = neuronBegin(batch, neurons, 16, thread, threads);
  const to = neuronEnd(batch, neurons, 16, thread, threads);
  for (let b = sampleBegin(batch, thread, threads); b < sampleEnd(batch, thread, threads); b++) {
    const current = load<u32>(args) + (<usize>(frame * batch + b) * <usize>neurons << 2);
    const input = load<u32>(args, 4) + ((<usize>b * <usize>load<u32>(args, 16) + <usize>load<u32>(args, 20)) << 2);
    for (let n = from; n < to; n++) {
      const at = <usize>n << 2;
      store<T>(input + at, load<T>(input + at) + load<T>(current + at));
    }
  }
}
