// Keys and values of new tokens into their slots of the tail blocks. Threads share the tokens.

/** args: k, v, slots, tail, rows, kvHeads, headSize, blockSize, tailBlocks */
export function kvAppend(args: usize, step: i32, thread: i32, threads: i32): void {
  const k = load<u32>(args);
  const v = load<u32>(args, 4);
  const slots = load<u32>(args, 8);
  const tail = load<u32>(args, 12);
  const rows = load<i32>(args, 16);
  const kvHeads = load<i32>(args, 20);
  const head = <usize>load<i32>(args, 24) << 2;
  const blockSize = load<u32>(args, 28);
  const tailBlocks = load<u32>(args, 32);
  const values = <usize>kvHeads * blockSize * head;
  const to = <i32>((<i64>rows * (thread + 1)) / threads);
  for (let t = <i32>((<i64>rows * thread) / threads); t < to; t++) {
    const slot = load<u32>(slots + (<usize>t << 2));
    const block = slot / blockSize;
    if (block >= tailBlocks) continue;
    let place = tail + 2 * <usize>block * values + <usize>(slot - block * blockSize) * head;
    let from = <usize>(t * kvHeads) * head;
    for (let h = 0; h < kvHeads; h++, place += blockSize * head, from += head) {
      for (let i: usize = 0; i < head; i += 16) {
        v128.store(place + i, v128.load(k + from + i));
        v128.store(place + values + i, v128.load(v + from + i));
      }
    }
  }
}
