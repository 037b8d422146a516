// From spikes per neuron to ascending lists of ids, each as often as it fired. A sample's list is written by one thread.

/** args: spikeCounts, spikeIndex, spikeIds, totals, batch, neurons, slots, most, origin */
export function spikeExpand(args: usize, step: i32, thread: i32, threads: i32): void {
  const spikeCounts = load<u32>(args);
  const spikeIndex = load<u32>(args, 4);
  const spikeIds = load<u32>(args, 8);
  const totals = load<u32>(args, 12);
  const batch = load<i32>(args, 16);
  const neurons = load<i32>(args, 20);
  const slots = load<i32>(args, 24);
  const most = load<i32>(args, 28);
  const slot = (step - load<i32>(args, 32)) % slots;
  const begin = <i32>((<i64>batch * thread) / threads);
  const end = <i32>((<i64>batch * (thread + 1)) / threads);
  for (let b = begin; b < end; b++) {
    const start = (slot * batch + b) * neurons * most;
    const first = spikeIds + (<usize>start << 2);
    let at = first;
    const counts = spikeCounts + ((<usize>b * <usize>neurons) << 2);
    const total = totals + ((<usize>b * <usize>neurons) << 2);
    for (let n = 0; n < neurons; n++) {
      // Most neurons are silent: four of them cost one test.
      if (n + 4 <= neurons && !v128.any_true(v128.load(counts + (<usize>n << 2)))) {
        n += 3;
        continue;
      }
      const count = load<u32>(counts + (<usize>n << 2));
      if (count == 0) continue;
      for (const until = at + (<usize>count << 2); at < until; at += 4) store<u32>(at, n);
      const counter = total + (<usize>n << 2);
      store<u32>(counter, load<u32>(counter) + count);
    }
    const pair = spikeIndex + (<usize>(slot * batch + b) << 3);
    store<u32>(pair, start);
    store<u32>(pair, <u32>((at - first) >> 2), 4);
  }
}
