// Full blocks into int4: keys with a scale and minimum per channel, values per token. See host/kernels/kv/pack_blocks.ts.
import { scratchOf } from '../scratch';
import { INT4, blockBytes, headsPerGroup, keysAt, valueGroups, valueScalesAt, valuesAt } from './layout';
import { packKeys } from './pack_int4_keys';
import { packValues } from './pack_int4_values';
import { skip } from './pack_blocks';

/** args: tail, pairs, pool, count, kvHeads, headSize, blockSize. Threads share keys of heads and values of groups of heads. */
export function kvPackInt4(args: usize, step: i32, thread: i32, threads: i32): void {
  const tail = load<u32>(args);
  const pairs = load<u32>(args, 4);
  const pool = load<u32>(args, 8);
  const count = load<i32>(args, 12);
  const kvHeads = load<i32>(args, 16);
  const headSize = load<i32>(args, 20);
  const blockSize = load<i32>(args, 24);
  const scratch = scratchOf(thread, threads);
  const heads = headsPerGroup(kvHeads, headSize);
  const parts = kvHeads + valueGroups(kvHeads, headSize);
  const floats = <usize>(blockSize * headSize) << 2;
  const nibbles = floats >> 3;
  const bytes = blockBytes(INT4, kvHeads, headSize, blockSize);
  const keys = keysAt(INT4, kvHeads, headSize, blockSize);
  const values = valuesAt(INT4, kvHeads, headSize, blockSize);
  const valueScales = valueScalesAt(INT4, kvHeads, headSize);
  const items = count * parts;
  const to = <i32>((<i64>items * (thread + 1)) / threads);
  let item = skip(pairs, <i32>((<i64>items * thread) / threads), to, parts);
  while (item < to) {
    const k = item / parts;
    const part = item - k * parts;
    const source = tail + 2 * <usize>load<u32>(pairs + (<usize>k << 3)) * kvHeads * floats;
    const target = pool + <usize>load<u32>(pairs + (<usize>k << 3), 4) * bytes;
    item = skip(pairs, item + 1, to, parts);
    if (part < kvHeads) {
      const h = <usize>part;
      const from = source + h * floats;
      // Keys of the next head, or the first values, come next in memory.
      packKeys(from, target + ((h * headSize) << 2), target + keys + h * nibbles, headSize, blockSize, from + floats, scratch);
    } else {
      const group = part - kvHeads;
      const h = <usize>(group * heads);
      const from = source + (kvHeads + h) * floats;
      packValues(
        from,
        target + valueScales + (<usize>(group * blockSize) << 2),
        target + values + h * nibbles,
        headSize,
        blockSize,
        min(heads, kvHeads - <i32>h),
      );
    }
  }
}
