// Blocks from one buffer to another, or within one. Threads share the words of all pairs.
import { NO_BLOCK } from './layout';

function move(source: usize, target: usize, pairs: usize, count: i32, words: u32, thread: i32, threads: i32): void {
  const bytes = <u64>words << 2;
  const total = <u64>count * words;
  const end = ((total * (thread + 1)) / threads) << 2;
  for (let at = ((total * thread) / threads) << 2; at < end; ) {
    const k = at / bytes;
    const within = at - k * bytes;
    const length = min(end - at, bytes - within);
    const from = load<u32>(pairs + (<usize>k << 3));
    const to = load<u32>(pairs + (<usize>k << 3), 4);
    if (from != NO_BLOCK && to != NO_BLOCK) {
      const place = <usize>within;
      memory.copy(target + to * <usize>bytes + place, source + from * <usize>bytes + place, <usize>length);
    }
    at += length;
  }
}

/** args: source, into, pairs, count, blockWords */
export function kvMoveBlocks(args: usize, step: i32, thread: i32, threads: i32): void {
  move(
    load<u32>(args),
    load<u32>(args, 4),
    load<u32>(args, 8),
    load<i32>(args, 12),
    load<u32>(args, 16),
    thread,
    threads,
  );
}

/** args: pool, pairs, count, blockWords */
export function kvMoveWithin(args: usize, step: i32, thread: i32, threads: i32): void {
  const pool = load<u32>(args);
  move(pool, pool, load<u32>(args, 4), load<i32>(args, 8), load<u32>(args, 12), thread, threads);
}
