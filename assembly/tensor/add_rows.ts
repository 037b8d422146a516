// Adds one set of rows to another, again and again where it is shorter. Threads share the elements.

/** args: x, y, count, period */
export function addRows(args: usize, step: i32, thread: i32, threads: i32): void {
  const x = load<u32>(args);
  const y = load<u32>(args, 4);
  const vectors = load<i32>(args, 8) >> 2;
  const period = <usize>load<i32>(args, 12) << 2;
  const to = <usize>((<i64>vectors * (thread + 1)) / threads) << 4;
  let i = <usize>((<i64>vectors * thread) / threads) << 4;
  let from = i % period;
  for (; i < to; i += 16) {
    v128.store(y + i, f32x4.add(v128.load(y + i), v128.load(x + from)));
    from += 16;
    if (from == period) from = 0;
  }
}
