// Keys and values of new tokens into their slots of the paged pool.

/** args: k, v, slots, keys, values, rows, kvHeads, headSize, blockSize, blocks */
export function kvAppendF32(args: usize, step: i32, thread: i32, threads: i32): void {
  const k = load<u32>(args);
  const v = load<u32>(args, 4);
  const slots = load<u32>(args, 8);
  const keys = load<u32>(args, 12);
  const values = load<u32>(args, 16);
  const rows = load<i32>(args, 20);
  const kvHeads = load<i32>(args, 24);
  const head = <usize>load<i32>(args, 28) << 2;
  const blockSize = load<u32>(args, 32);
  const blocks = load<u32>(args, 36);
  const to = <i32>((<i64>rows * (thread + 1)) / threads);
  for (let t = <i32>((<i64>rows * thread) / threads); t < to; t++) {
    const slot = load<u32>(slots + (<usize>t << 2));
    const block = slot / blockSize;
    if (block >= blocks) continue;
    for (let h = 0; h < kvHeads; h++) {
      const place = ((<usize>block * kvHeads + h) * blockSize + (slot % blockSize)) * head;
      const from = <usize>(t * kvHeads + h) * head;
      memory.copy(keys + place, k + from, head);
      memory.copy(values + place, v + from, head);
    }
  }
}
