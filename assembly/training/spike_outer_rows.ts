// The weight gradient of an event-driven layer: for every spike of every list, the list's row of deltas is added to the
// row of the neuron that fired. Threads split the columns, so no two threads touch one element and the order of additions
// does not depend on the thread count.

/** args: spikeIndex, spikeIds, delta, gradient, lists, pres, neurons */
export function spikeOuterRows(args: usize, step: i32, thread: i32, threads: i32): void {
  const spikeIndex = load<u32>(args);
  const spikeIds = load<u32>(args, 4);
  const delta = load<u32>(args, 8);
  const gradient = load<u32>(args, 12);
  const lists = load<i32>(args, 16);
  const pres = load<i32>(args, 20);
  const neurons = load<i32>(args, 24);
  const vectors = neurons >> 2;
  const from = <usize>((<i64>vectors * thread) / threads) << 4;
  const to = <usize>((<i64>vectors * (thread + 1)) / threads) << 4;
  if (from == to) return;
  const rowBytes = <usize>neurons << 2;
  for (let p = 0; p < pres; p++) memory.fill(gradient + <usize>p * rowBytes + from, 0, to - from);
  for (let l = 0; l < lists; l++) {
    const pair = spikeIndex + (<usize>l << 3);
    let id = spikeIds + (<usize>load<u32>(pair) << 2);
    const last = id + (<usize>load<u32>(pair, 4) << 2);
    const d = delta + <usize>l * rowBytes;
    for (; id < last; id += 4) {
      const g = gradient + <usize>load<u32>(id) * rowBytes;
      let n = from;
      for (; n + 64 <= to; n += 64) {
        v128.store(g + n, f32x4.add(v128.load(g + n), v128.load(d + n)));
        v128.store(g + n, f32x4.add(v128.load(g + n, 16), v128.load(d + n, 16)), 16);
        v128.store(g + n, f32x4.add(v128.load(g + n, 32), v128.load(d + n, 32)), 32);
        v128.store(g + n, f32x4.add(v128.load(g + n, 48), v128.load(d + n, 48)), 48);
      }
      for (; n < to; n += 16) v128.store(g + n, f32x4.add(v128.load(g + n), v128.load(d + n)));
    }
  }
}
