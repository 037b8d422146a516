// Attention of new tokens over the blocks of their sequences, softmax on the run. Threads share the pairs (token, head).
import { expF32 } from '../tensor/exp';

/** args: q, keys, values, tables, sequences, positions, out, rows, heads, kvHeads, headSize, blockSize, tableWidth, scale */
export function pagedAttentionF32(args: usize, step: i32, thread: i32, threads: i32): void {
  const q = load<u32>(args);
  const keys = load<u32>(args, 4);
  const values = load<u32>(args, 8);
  const tables = load<u32>(args, 12);
  const sequences = load<u32>(args, 16);
  const positions = load<u32>(args, 20);
  const out = load<u32>(args, 24);
  const rows = load<i32>(args, 28);
  const heads = load<i32>(args, 32);
  const kvHeads = load<i32>(args, 36);
  const head = <usize>load<i32>(args, 40) << 2;
  const blockSize = load<i32>(args, 44);
  const tableWidth = load<i32>(args, 48);
  const scale = load<f32>(args, 52);
  const group = heads / kvHeads;
  const items = rows * heads;
  const to = <i32>((<i64>items * (thread + 1)) / threads);
  for (let item = <i32>((<i64>items * thread) / threads); item < to; item++) {
    const t = item / heads;
    const kvHead = (item - t * heads) / group;
    const query = q + <usize>item * head;
    const result = out + <usize>item * head;
    const table = tables + ((<usize>load<u32>(sequences + (<usize>t << 2)) * tableWidth) << 2);
    const count = min(load<i32>(positions + (<usize>t << 2)) + 1, tableWidth * blockSize);
    memory.fill(result, 0, head);
    let highest: f32 = -3.0e38;
    let sum: f32 = 0;
    for (let first = 0; first < count; first += blockSize) {
      const block = <usize>load<u32>(table + (<usize>(first / blockSize) << 2));
      let place = (block * kvHeads + kvHead) * blockSize * head;
      const last = min(first + blockSize, count);
      for (let j = first; j < last; j++, place += head) {
        let lanes = f32x4.splat(0);
        for (let i: usize = 0; i < head; i += 16) {
          lanes = f32x4.add(lanes, f32x4.mul(v128.load(query + i), v128.load(keys + place + i)));
        }
        const score: f32 =
          (f32x4.extract_lane(lanes, 0) +
            f32x4.extract_lane(lanes, 1) +
            (f32x4.extract_lane(lanes, 2) + f32x4.extract_lane(lanes, 3))) *
          scale;
        if (score > highest) {
          const shrink = expF32(highest - score);
          highest = score;
          sum = sum * shrink + <f32>1;
          const factor = f32x4.splat(shrink);
          for (let i: usize = 0; i < head; i += 16) {
            v128.store(result + i, f32x4.add(f32x4.mul(v128.load(result + i), factor), v128.load(values + place + i)));
          }
        } else {
          const weight = expF32(score - highest);
          sum = sum + weight;
          const factor = f32x4.splat(weight);
          for (let i: usize = 0; i < head; i += 16) {
            v128.store(result + i, f32x4.add(v128.load(result + i), f32x4.mul(factor, v128.load(values + place + i))));
          }
        }
      }
    }
    const share = f32x4.splat(<f32>1 / sum);
    for (let i: usize = 0; i < head; i += 16) v128.store(result + i, f32x4.mul(v128.load(result + i), share));
  }
}
