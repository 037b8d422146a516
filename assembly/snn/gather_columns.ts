// Synapses by post-synaptic column, for steps in which most pre-synaptic neurons fire: no scattered stores.
import { arrivingSlot, neuronBegin, neuronEnd, sampleBegin, sampleEnd } from './share';

/** args: spikeIndex, spikeIds, flags, batch, pres, slots, delay, origin */
export function spikeFlags(args: usize, step: i32, thread: i32, threads: i32): void {
  const batch = load<i32>(args, 12);
  const pres = load<i32>(args, 16);
  const slot = arrivingSlot(step, load<i32>(args, 28), load<i32>(args, 24), load<i32>(args, 20));
  const begin = <i32>((<i64>batch * thread) / threads);
  const end = <i32>((<i64>batch * (thread + 1)) / threads);
  for (let b = begin; b < end; b++) {
    const flags = load<u32>(args, 8) + ((<usize>b * <usize>pres) << 2);
    memory.fill(flags, 0, <usize>pres << 2);
    if (slot < 0) continue;
    const pair = load<u32>(args) + (<usize>(slot * batch + b) << 3);
    let id = load<u32>(args, 4) + (<usize>load<u32>(pair) << 2);
    const last = id + (<usize>load<u32>(pair, 4) << 2);
    for (; id < last; id += 4) {
      const flag = flags + (<usize>load<u32>(id) << 2);
      store<u32>(flag, load<u32>(flag) + 1);
    }
  }
}

/** args: flags, columnStart, rows, weights, input, batch, pres, posts, inputStride, inputOffset, shift */
export function gatherColumnsF32(args: usize, step: i32, thread: i32, threads: i32): void {
  gatherColumns<f32>(args, thread, threads);
}

/** args: as gatherColumnsF32 */
export function gatherColumnsI8(args: usize, step: i32, thread: i32, threads: i32): void {
  gatherColumns<i8>(args, thread, threads);
}

// @ts-ignore: decorator
@inline
function gatherColumns<W>(args: usize, thread: i32, threads: i32): void {
  const columnStart = load<u32>(args, 4);
  const rows = load<u32>(args, 8);
  const weights = load<u32>(args, 12);
  const batch = load<i32>(args, 20);
  const pres = load<i32>(args, 24);
  const posts = load<i32>(args, 28);
  const shift = load<i32>(args, 40);
  const from = neuronBegin(batch, posts, 16, thread, threads);
  const to = neuronEnd(batch, posts, 16, thread, threads);
  for (let b = sampleBegin(batch, thread, threads); b < sampleEnd(batch, thread, threads); b++) {
    const flags = load<u32>(args) + ((<usize>b * <usize>pres) << 2);
    const target = load<u32>(args, 16) + ((<usize>b * <usize>load<u32>(args, 32) + <usize>load<u32>(args, 36)) << 2);
    for (let n = from; n < to; n++) {
      const at = target + (<usize>n << 2);
      let k = load<u32>(columnStart + (<usize>n << 2));
      const end = load<u32>(columnStart + (<usize>n << 2), 4);
      if (isFloat<W>()) {
        let sum = load<f32>(at);
        for (; k < end; k++) {
          const spikes = load<u32>(flags + (<usize>load<u32>(rows + (<usize>k << 2)) << 2));
          if (spikes) sum += <f32>spikes * load<f32>(weights + (<usize>k << 2));
        }
        store<f32>(at, sum);
      } else {
        let sum: i32 = 0;
        for (; k < end; k++) {
          sum += load<i32>(flags + (<usize>load<u32>(rows + (<usize>k << 2)) << 2)) * (load<i8>(weights + <usize>k) << shift);
        }
        store<i32>(at, load<i32>(at) + sum);
      }
    }
  }
}
