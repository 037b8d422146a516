// Rows of heads to panels of eight keys. Threads share the panels.

/** args: x, panels, sequences, rows, heads, headSize, sequence, first, stride, begin */
export function panelRows(args: usize, step: i32, thread: i32, threads: i32): void {
  const x = load<u32>(args);
  const panels = load<u32>(args, 4);
  const sequences = load<i32>(args, 8);
  const rows = load<i32>(args, 12);
  const heads = load<i32>(args, 16);
  const headSize = load<i32>(args, 20);
  const sequence = load<i32>(args, 24);
  const first = load<i32>(args, 28);
  const stride = load<i32>(args, 32);
  const begin = load<i32>(args, 36);
  const each = (rows + 7) >> 3;
  const items = sequences * heads * each;
  const to = <i32>((<i64>items * (thread + 1)) / threads);
  for (let item = <i32>((<i64>items * thread) / threads); item < to; item++) {
    const pair = item / each;
    const j = (item - pair * each) << 3;
    const s = pair / heads;
    const h = pair - s * heads;
    const row = <usize>(s * sequence + first + j) * <usize>stride + <usize>(begin + h * headSize);
    const panel = panels + ((<usize>item * <usize>headSize) << 5);
    const count = min(8, rows - j);
    for (let k = 0; k < count; k++) {
      const from = x + ((row + <usize>k * <usize>stride) << 2);
      const target = panel + (<usize>k << 2);
      for (let i: usize = 0; i < <usize>headSize; i++) store<f32>(target + (i << 5), load<f32>(from + (i << 2)));
    }
    for (let k = count; k < 8; k++) {
      for (let i: usize = 0; i < <usize>headSize; i++) store<f32>(panel + (<usize>k << 2) + (i << 5), 0);
    }
  }
}
