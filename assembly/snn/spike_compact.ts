// From one bit per neuron to ascending lists of ids. A sample's list is written by one thread.

/** args: spikeBits, spikeIndex, spikeIds, totals, batch, neurons, slots, origin */
export function spikeCompact(args: usize, step: i32, thread: i32, threads: i32): void {
  const spikeBits = load<u32>(args);
  const spikeIndex = load<u32>(args, 4);
  const spikeIds = load<u32>(args, 8);
  const totals = load<u32>(args, 12);
  const batch = load<i32>(args, 16);
  const neurons = load<i32>(args, 20);
  const slots = load<i32>(args, 24);
  const slot = (step - load<i32>(args, 28)) % slots;
  const words = (neurons + 31) >> 5;
  const begin = <i32>((<i64>batch * thread) / threads);
  const end = <i32>((<i64>batch * (thread + 1)) / threads);
  for (let b = begin; b < end; b++) {
    const start = (slot * batch + b) * neurons;
    const first = spikeIds + (<usize>start << 2);
    let at = first;
    const bits = spikeBits + ((<usize>b * <usize>words) << 2);
    const total = totals + ((<usize>b * <usize>neurons) << 2);
    for (let w = 0; w < words; w++) {
      let word = load<u32>(bits + (<usize>w << 2));
      while (word) {
        const id = (<u32>w << 5) + ctz(word);
        word &= word - 1;
        store<u32>(at, id);
        at += 4;
        const counter = total + (<usize>id << 2);
        store<u32>(counter, load<u32>(counter) + 1);
      }
    }
    const pair = spikeIndex + (<usize>(slot * batch + b) << 3);
    store<u32>(pair, start);
    store<u32>(pair, <u32>((at - first) >> 2), 4);
  }
}
