// One time step of a population: four neurons to a vector, then the rest one by one. Spike bits are built a word (32
// neurons) at a time, so threads split the neurons at multiples of 32.
import { neuronBegin, neuronEnd, sampleBegin, sampleEnd } from './share';

/** args: v, input, constants, refractory, spikeBits, batch, neurons, receptors, uniform, resetMode, spiking */
export function neuronStepF32(args: usize, step: i32, thread: i32, threads: i32): void {
  const v = load<u32>(args);
  const input = load<u32>(args, 4);
  const constants = load<u32>(args, 8);
  const refractory = load<u32>(args, 12);
  const spikeBits = load<u32>(args, 16);
  const batch = load<i32>(args, 20);
  const neurons = load<i32>(args, 24);
  const receptors = load<i32>(args, 28);
  const uniform = load<i32>(args, 32) != 0;
  const resetMode = load<i32>(args, 36);
  const spiking = load<i32>(args, 40) != 0;
  const words = (neurons + 31) >> 5;
  const from = neuronBegin(batch, neurons, 32, thread, threads);
  const to = neuronEnd(batch, neurons, 32, thread, threads);
  const rowBytes = uniform ? 4 : <usize>neurons << 2;
  const one = i32x4.splat(1);
  for (let b = sampleBegin(batch, thread, threads); b < sampleEnd(batch, thread, threads); b++) {
    const state = (<usize>b * <usize>neurons) << 2;
    const inputs = input + ((<usize>b * <usize>receptors * <usize>neurons) << 2);
    const bits = spikeBits + ((<usize>b * <usize>words) << 2);
    for (let base = from; base < to; base += 32) {
      let word: u32 = 0;
      const until = min(base + 32, to);
      let n = base;
      for (; n + 4 <= until; n += 4) {
        const offset = <usize>n << 2;
        const at = state + offset;
        const before = v128.load(v + at);
        let row = constants + (uniform ? 0 : offset);
        const alpha = constant(row, uniform);
        row += rowBytes;
        let next = f32x4.add(f32x4.mul(alpha, before), constant(row, uniform));
        row += rowBytes;
        const threshold = row;
        row += rowBytes * 3;
        let g = inputs + offset;
        for (let r = 0; r < receptors; r++) {
          const current = v128.load(g);
          next = f32x4.add(next, f32x4.mul(constant(row, uniform), current));
          row += rowBytes;
          v128.store(g, f32x4.mul(constant(row, uniform), current));
          row += rowBytes;
          g += <usize>neurons << 2;
        }
        const waiting = v128.load(refractory + at);
        const held = i32x4.gt_u(waiting, i32x4.splat(0));
        const anyHeld = v128.any_true(held);
        if (anyHeld) {
          v128.store(refractory + at, i32x4.sub(waiting, v128.and(held, one)));
          next = v128.bitselect(before, next, held);
        }
        if (spiking) {
          const level = constant(threshold, uniform);
          let fired = f32x4.gt(next, level);
          if (anyHeld) fired = v128.andnot(fired, held);
          if (v128.any_true(fired)) {
            const reset = constant(threshold + rowBytes, uniform);
            let after = reset;
            if (resetMode == 1) after = f32x4.sub(next, f32x4.sub(level, reset));
            else if (resetMode == 2) after = crossings(alpha, before, next, level, reset);
            next = v128.bitselect(after, next, fired);
            const period = i32x4.trunc_sat_f32x4_u(constant(threshold + 2 * rowBytes, uniform));
            v128.store(refractory + at, v128.bitselect(period, v128.load(refractory + at), fired));
            word |= (<u32>i32x4.bitmask(fired)) << (n - base);
          }
        }
        v128.store(v + at, next);
      }
      for (; n < until; n++) {
        const offset = <usize>n << 2;
        const at = state + offset;
        let row = constants + (uniform ? 0 : offset);
        const before = load<f32>(v + at);
        let next = load<f32>(row) * before + load<f32>(row + rowBytes);
        const threshold = row + 2 * rowBytes;
        row += 5 * rowBytes;
        let g = inputs + offset;
        for (let r = 0; r < receptors; r++) {
          const current = load<f32>(g);
          next += load<f32>(row) * current;
          store<f32>(g, load<f32>(row + rowBytes) * current);
          row += 2 * rowBytes;
          g += <usize>neurons << 2;
        }
        const waiting = load<u32>(refractory + at);
        if (waiting > 0) {
          store<u32>(refractory + at, waiting - 1);
          continue;
        }
        const level = load<f32>(threshold);
        if (spiking && next > level) {
          const reset = load<f32>(threshold + rowBytes);
          if (resetMode == 0) next = reset;
          else if (resetMode == 1) next = next - (level - reset);
          else next = afterCrossing(load<f32>(constants + (uniform ? 0 : offset)), before, next, level, reset);
          store<u32>(refractory + at, <u32>load<f32>(threshold + 2 * rowBytes));
          word |= (<u32>1) << (n - base);
        }
        store<f32>(v + at, next);
      }
      store<u32>(bits + (<usize>(base >> 5) << 2), word);
    }
  }
}

// @ts-ignore: decorator
@inline
function constant(at: usize, uniform: bool): v128 {
  return uniform ? v128.load32_splat(at) : v128.load(at);
}

/** Four neurons that crossed their threshold within the step; see afterCrossing in host/kernels/snn/neuron_step.ts. */
function crossings(alpha: v128, before: v128, next: v128, level: v128, reset: v128): v128 {
  const one = f32x4.splat(1);
  const end = f32x4.div(f32x4.sub(next, f32x4.mul(alpha, before)), f32x4.sub(one, alpha));
  const elapsed = f32x4.max(one, f32x4.div(f32x4.sub(before, end), f32x4.sub(level, end)));
  const leaky = f32x4.add(end, f32x4.mul(f32x4.sub(reset, end), f32x4.mul(alpha, elapsed)));
  return v128.bitselect(f32x4.add(reset, f32x4.sub(next, level)), leaky, f32x4.eq(alpha, one));
}

function afterCrossing(alpha: f32, before: f32, next: f32, level: f32, reset: f32): f32 {
  if (alpha == 1) return reset + (next - level);
  const end = (next - alpha * before) / (<f32>1 - alpha);
  const elapsed = max(<f32>1, (before - end) / (level - end));
  return end + (reset - end) * (alpha * elapsed);
}

/** args: v, input, constants, refractory, spikeBits, batch, neurons, uniform, subtract, spiking */
export function neuronStepI32(args: usize, step: i32, thread: i32, threads: i32): void {
  const v = load<u32>(args);
  const input = load<u32>(args, 4);
  const constants = load<u32>(args, 8);
  const refractory = load<u32>(args, 12);
  const spikeBits = load<u32>(args, 16);
  const batch = load<i32>(args, 20);
  const neurons = load<i32>(args, 24);
  const uniform = load<i32>(args, 28) != 0;
  const subtract = load<i32>(args, 32) != 0;
  const spiking = load<i32>(args, 36) != 0;
  const words = (neurons + 31) >> 5;
  const from = neuronBegin(batch, neurons, 32, thread, threads);
  const to = neuronEnd(batch, neurons, 32, thread, threads);
  const rowBytes = uniform ? 4 : <usize>neurons << 2;
  const zero = i32x4.splat(0);
  const one = i32x4.splat(1);
  // Shifts of a vector share one count, so per-neuron leaks go one by one.
  const shift = load<i32>(constants);
  const leaky = shift > 0;
  for (let b = sampleBegin(batch, thread, threads); b < sampleEnd(batch, thread, threads); b++) {
    const state = (<usize>b * <usize>neurons) << 2;
    const bits = spikeBits + ((<usize>b * <usize>words) << 2);
    for (let base = from; base < to; base += 32) {
      let word: u32 = 0;
      const until = min(base + 32, to);
      let n = base;
      if (uniform) {
        const level = v128.load32_splat(constants + 4);
        const reset = v128.load32_splat(constants + 8);
        const period = v128.load32_splat(constants + 12);
        const bias = v128.load32_splat(constants + 16);
        for (; n + 4 <= until; n += 4) {
          const at = state + (<usize>n << 2);
          const before = v128.load(v + at);
          let next = before;
          if (leaky) next = i32x4.sub(next, i32x4.shr_s(before, shift));
          next = i32x4.add(i32x4.add(next, v128.load(input + at)), bias);
          v128.store(input + at, zero);
          const waiting = v128.load(refractory + at);
          const held = i32x4.gt_u(waiting, zero);
          const anyHeld = v128.any_true(held);
          if (anyHeld) {
            v128.store(refractory + at, i32x4.sub(waiting, v128.and(held, one)));
            next = v128.bitselect(before, next, held);
          }
          if (spiking) {
            let fired = i32x4.ge_s(next, level);
            if (anyHeld) fired = v128.andnot(fired, held);
            if (v128.any_true(fired)) {
              const after = subtract ? i32x4.sub(next, i32x4.sub(level, reset)) : reset;
              next = v128.bitselect(after, next, fired);
              v128.store(refractory + at, v128.bitselect(period, v128.load(refractory + at), fired));
              word |= (<u32>i32x4.bitmask(fired)) << (n - base);
            }
          }
          v128.store(v + at, next);
        }
      }
      for (; n < until; n++) {
        const offset = <usize>n << 2;
        const at = state + offset;
        const row = constants + (uniform ? 0 : offset);
        const before = load<i32>(v + at);
        const leak = load<i32>(row);
        let next = before - (leak > 0 ? before >> leak : 0) + load<i32>(input + at) + load<i32>(row + 4 * rowBytes);
        store<i32>(input + at, 0);
        const waiting = load<u32>(refractory + at);
        if (waiting > 0) {
          store<u32>(refractory + at, waiting - 1);
          continue;
        }
        const level = load<i32>(row + rowBytes);
        if (spiking && next >= level) {
          const reset = load<i32>(row + 2 * rowBytes);
          next = subtract ? next - (level - reset) : reset;
          store<u32>(refractory + at, load<u32>(row + 3 * rowBytes));
          word |= (<u32>1) << (n - base);
        }
        store<i32>(v + at, next);
      }
      store<u32>(bits + (<usize>(base >> 5) << 2), word);
    }
  }
}
