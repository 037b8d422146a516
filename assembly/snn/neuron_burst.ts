// One time step of a population whose neurons may fire several times in it; see host/kernels/snn/neuron_burst.ts.
import { neuronBegin, neuronEnd, sampleBegin, sampleEnd } from './share';

/** args: v, input, constants, spikeCounts, batch, neurons, receptors, uniform, most */
export function neuronBurstF32(args: usize, step: i32, thread: i32, threads: i32): void {
  const v = load<u32>(args);
  const input = load<u32>(args, 4);
  const constants = load<u32>(args, 8);
  const spikeCounts = load<u32>(args, 12);
  const batch = load<i32>(args, 16);
  const neurons = load<i32>(args, 20);
  const receptors = load<i32>(args, 24);
  const uniform = load<i32>(args, 28) != 0;
  const most = <f32>load<i32>(args, 32);
  const from = neuronBegin(batch, neurons, 32, thread, threads);
  const to = neuronEnd(batch, neurons, 32, thread, threads);
  const rowBytes = uniform ? 4 : <usize>neurons << 2;
  const limit = f32x4.splat(most);
  const zero = f32x4.splat(0);
  const one = f32x4.splat(1);
  for (let b = sampleBegin(batch, thread, threads); b < sampleEnd(batch, thread, threads); b++) {
    const state = (<usize>b * <usize>neurons) << 2;
    const inputs = input + ((<usize>b * <usize>receptors * <usize>neurons) << 2);
    let n = from;
    for (; n + 4 <= to; n += 4) {
      const offset = <usize>n << 2;
      const at = state + offset;
      let row = constants + (uniform ? 0 : offset);
      let next = f32x4.add(f32x4.mul(constant(row, uniform), v128.load(v + at)), constant(row + rowBytes, uniform));
      const level = constant(row + 2 * rowBytes, uniform);
      row += 5 * rowBytes;
      let g = inputs + offset;
      for (let r = 0; r < receptors; r++) {
        const current = v128.load(g);
        next = f32x4.add(next, f32x4.mul(constant(row, uniform), current));
        v128.store(g, f32x4.mul(constant(row + rowBytes, uniform), current));
        row += 2 * rowBytes;
        g += <usize>neurons << 2;
      }
      const fired = f32x4.gt(next, level);
      let counts = zero;
      if (v128.any_true(fired)) {
        counts = f32x4.min(f32x4.sub(f32x4.ceil(f32x4.div(next, level)), one), limit);
        const left = f32x4.sub(next, f32x4.mul(counts, level));
        counts = f32x4.add(counts, v128.and(one, f32x4.gt(left, level)));
        counts = f32x4.sub(counts, v128.and(one, f32x4.le(left, zero)));
        counts = v128.and(f32x4.min(counts, limit), fired);
        next = f32x4.sub(next, f32x4.mul(counts, level));
      }
      v128.store(spikeCounts + at, i32x4.trunc_sat_f32x4_u(counts));
      v128.store(v + at, next);
    }
    for (; n < to; n++) {
      const offset = <usize>n << 2;
      const at = state + offset;
      let row = constants + (uniform ? 0 : offset);
      let next = load<f32>(row) * load<f32>(v + at) + load<f32>(row + rowBytes);
      const level = load<f32>(row + 2 * rowBytes);
      row += 5 * rowBytes;
      let g = inputs + offset;
      for (let r = 0; r < receptors; r++) {
        const current = load<f32>(g);
        next += load<f32>(row) * current;
        store<f32>(g, load<f32>(row + rowBytes) * current);
        row += 2 * rowBytes;
        g += <usize>neurons << 2;
      }
      let count: f32 = 0;
      if (next > level) {
        count = min(ceil(next / level) - 1, most);
        const left = next - count * level;
        if (left > level) count = min(count + 1, most);
        else if (left <= 0) count -= 1;
        next = next - count * level;
      }
      store<u32>(spikeCounts + at, <u32>count);
      store<f32>(v + at, next);
    }
  }
}

// @ts-ignore: decorator
@inline
function constant(at: usize, uniform: bool): v128 {
  return uniform ? v128.load32_splat(at) : v128.load(at);
}

/** args: v, input, constants, spikeCounts, batch, neurons, uniform, most */
export function neuronBurstI32(args: usize, step: i32, thread: i32, threads: i32): void {
  const v = load<u32>(args);
  const input = load<u32>(args, 4);
  const constants = load<u32>(args, 8);
  const spikeCounts = load<u32>(args, 12);
  const batch = load<i32>(args, 16);
  const neurons = load<i32>(args, 20);
  const uniform = load<i32>(args, 24) != 0;
  const most = load<i32>(args, 28);
  const from = neuronBegin(batch, neurons, 32, thread, threads);
  const to = neuronEnd(batch, neurons, 32, thread, threads);
  const rowBytes = uniform ? 4 : <usize>neurons << 2;
  for (let b = sampleBegin(batch, thread, threads); b < sampleEnd(batch, thread, threads); b++) {
    const state = (<usize>b * <usize>neurons) << 2;
    for (let n = from; n < to; n++) {
      const offset = <usize>n << 2;
      const at = state + offset;
      const row = constants + (uniform ? 0 : offset);
      const before = load<i32>(v + at);
      const leak = load<i32>(row);
      let next = before - (leak > 0 ? before >> leak : 0) + load<i32>(input + at) + load<i32>(row + 4 * rowBytes);
      store<i32>(input + at, 0);
      const level = load<i32>(row + rowBytes);
      let count = 0;
      if (next >= level) {
        // Most bursts are of one spike, and a division takes as long as twenty other instructions.
        count = next - level < level ? 1 : min(next / level, most);
        next -= count * level;
      }
      store<i32>(spikeCounts + at, count);
      store<i32>(v + at, next);
    }
  }
}
