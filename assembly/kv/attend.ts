// Attention over the packed blocks of a sequence and the token's own block in the tail. The arithmetic is that of host/kernels/kv/attend_block.ts; here
// is who does what: threads share the pairs (token, head). A thread takes a tile of neighbours and goes through the blocks once
// for all of them, so that a block comes from memory once and is read from the cache by every token and head of the tile.
import { scratchBytes, scratchOf } from '../scratch';
import { attendF16Block, attendF32Block } from './attend_floats';
import { attendInt4Block } from './attend_int4';
import { attendInt8Block, roundQuery } from './attend_int8';
import { F16, F32, INT4, INT8, blockBytes } from './layout';
import { LOWEST } from './lanes';
import { HIGHEST, HEADER, SUM, setShape } from './softmax';

/** args: q, tail, pool, tables, sequences, positions, slots, out, rows, heads, kvHeads, headSize, blockSize, tableWidth, window, scale, cap */
export function attendF32(args: usize, step: i32, thread: i32, threads: i32): void {
  attend(args, thread, threads, F32);
}
/** args as attendF32's */
export function attendF16(args: usize, step: i32, thread: i32, threads: i32): void {
  attend(args, thread, threads, F16);
}
/** args as attendF32's */
export function attendInt8(args: usize, step: i32, thread: i32, threads: i32): void {
  attend(args, thread, threads, INT8);
}
/** args as attendF32's */
export function attendInt4(args: usize, step: i32, thread: i32, threads: i32): void {
  attend(args, thread, threads, INT4);
}

/** Most tokens times heads of a tile: what they have summed up should stay in the first cache. */
const TILE: i32 = 48;

function attend(args: usize, thread: i32, threads: i32, format: i32): void {
  const sequences = load<u32>(args, 16);
  const rows = load<i32>(args, 32);
  const heads = load<i32>(args, 36);
  const headSize = load<i32>(args, 44);
  // Scratch: what setShape takes, then the states of the tile.
  const states = setShape(
    scratchOf(thread, threads),
    load<i32>(args, 40),
    headSize,
    load<i32>(args, 48),
    load<f32>(args, 60),
    load<f32>(args, 64),
  );
  const stateBytes = HEADER + (format == INT8 ? ((<usize>headSize << 1) + 15) & ~<usize>15 : 0);
  const room = scratchOf(thread, threads) + scratchBytes(threads) - states;
  const most = max(1, min(TILE, <i32>(room / stateBytes)));
  const items = rows * heads;
  const to = <i32>((<i64>items * (thread + 1)) / threads);
  let item = <i32>((<i64>items * thread) / threads);
  while (item < to) {
    const row = item / heads;
    const head = item - row * heads;
    const span = min(heads - head, min(most, to - item));
    let count = 1;
    if (span == heads) {
      const sequence = load<u32>(sequences + (<usize>row << 2));
      while (
        (count + 1) * heads <= min(most, to - item) &&
        load<u32>(sequences + (<usize>(row + count) << 2)) == sequence
      ) {
        count++;
      }
    }
    attendTile(args, format, row, count, head, span, states, stateBytes);
    item += count * span;
  }
}

/** Tokens row .. row + count - 1, which are of one sequence, and heads head .. head + span - 1 of each. */
function attendTile(
  args: usize,
  format: i32,
  row: i32,
  count: i32,
  head: i32,
  span: i32,
  states: usize,
  stateBytes: usize,
): void {
  const pool = load<u32>(args, 8);
  const positions = load<u32>(args, 20) + (<usize>row << 2);
  const slots = load<u32>(args, 24) + (<usize>row << 2);
  const heads = load<i32>(args, 36);
  const kvHeads = load<i32>(args, 40);
  const headSize = load<i32>(args, 44);
  const blockSize = load<u32>(args, 48);
  const tableWidth = load<u32>(args, 52);
  const window = load<u32>(args, 56);
  const group = heads / kvHeads;
  const bytes = blockBytes(format, kvHeads, headSize, blockSize);
  const tailBytes = blockBytes(F32, kvHeads, headSize, blockSize);
  const vector = <usize>headSize << 2;
  const place = <usize>(row * heads + head) * vector;
  const q = load<u32>(args) + place;
  const out = load<u32>(args, 28) + place;
  const rowBytes = <usize>heads * vector;
  const table = load<u32>(args, 12) + (<usize>load<u32>(load<u32>(args, 16) + (<usize>row << 2)) * tableWidth << 2);

  let first: u32 = 0xffffffff;
  let blocks: u32 = 0;
  for (let t = 0; t < count; t++) {
    const position = load<u32>(positions + (<usize>t << 2));
    first = min(first, firstOf(position, window));
    blocks = max(blocks, position / blockSize);
    memory.fill(out + <usize>t * rowBytes, 0, <usize>span * vector);
    for (let h = 0; h < span; h++) {
      const state = states + <usize>(h * count + t) * stateBytes;
      store<f32>(state, LOWEST, HIGHEST);
      store<f32>(state, 0, SUM);
      if (format == INT8) roundQuery(q + <usize>t * rowBytes + <usize>h * vector, state);
    }
  }
  blocks = min(blocks, tableWidth);
  for (let j = first / blockSize; j < blocks; j++) {
    const block = pool + <usize>load<u32>(table + (<usize>j << 2)) * bytes;
    const begin = j * blockSize;
    for (let h = 0; h < span; h++) {
      const kvHead = (head + h) / group;
      for (let t = 0; t < count; t++) {
        const position = load<u32>(positions + (<usize>t << 2));
        const from = firstOf(position, window);
        if (begin + blockSize > position || begin + blockSize <= from) continue;
        const state = states + <usize>(h * count + t) * stateBytes;
        const at = <usize>t * rowBytes + <usize>h * vector;
        const skipped = from > begin ? <i32>(from - begin) : 0;
        if (format == INT8) attendInt8Block(block, kvHead, out + at, state, skipped);
        else if (format == INT4) attendInt4Block(block, kvHead, q + at, out + at, state, skipped);
        else if (format == F16) attendF16Block(block, kvHead, q + at, out + at, state, skipped, blockSize);
        else attendF32Block(block, kvHead, q + at, out + at, state, skipped, blockSize);
      }
    }
  }
  const tail = load<u32>(args, 4);
  for (let t = 0; t < count; t++) {
    const position = load<u32>(positions + (<usize>t << 2));
    const block = tail + <usize>(load<u32>(slots + (<usize>t << 2)) / blockSize) * tailBytes;
    const begin = position - (position % blockSize);
    const from = firstOf(position, window);
    const skipped = from > begin ? <i32>(from - begin) : 0;
    for (let h = 0; h < span; h++) {
      const state = states + <usize>(h * count + t) * stateBytes;
      const at = <usize>t * rowBytes + <usize>h * vector;
      attendF32Block(block, (head + h) / group, q + at, out + at, state, skipped, <i32>(position - begin) + 1);
      const share = f32x4.splat(<f32>1 / load<f32>(state, SUM));
      for (let i: usize = 0; i < vector; i += 16) {
        v128.store(out + at + i, f32x4.mul(v128.load(out + at + i), share));
      }
    }
  }
}

/** The first position that the token at this one attends to. */
// @ts-ignore: decorator
@inline
function firstOf(position: u32, window: u32): u32 {
  return window > 0 && position >= window ? position + 1 - window : 0;
}
