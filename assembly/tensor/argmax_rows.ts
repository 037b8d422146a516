// Where each row is largest, the first place where there are several. Threads share the rows.

/** args: x, out, rows, width */
export function argmaxRows(args: usize, step: i32, thread: i32, threads: i32): void {
  const x = load<u32>(args);
  const out = load<u32>(args, 4);
  const rows = load<i32>(args, 8);
  const width = load<i32>(args, 12);
  const to = <i32>((<i64>rows * (thread + 1)) / threads);
  for (let t = <i32>((<i64>rows * thread) / threads); t < to; t++) {
    const row = x + <usize>t * (<usize>width << 2);
    let best = 0;
    let highest: f32 = -Infinity;
    for (let i = 0; i < width; i++) {
      const value = load<f32>(row + (<usize>i << 2));
      if (value > highest) {
        highest = value;
        best = i;
      }
    }
    store<u32>(out + (<usize>t << 2), best);
  }
}
