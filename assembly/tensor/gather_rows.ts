// Rows of a table, one for each id.

/** args: ids, table, out, rows, width, tableRows */
export function gatherRowsF32(args: usize, step: i32, thread: i32, threads: i32): void {
  const ids = load<u32>(args);
  const table = load<u32>(args, 4);
  const out = load<u32>(args, 8);
  const rows = load<i32>(args, 12);
  const bytes = <usize>load<i32>(args, 16) << 2;
  const tableRows = load<u32>(args, 20);
  const to = <i32>((<i64>rows * (thread + 1)) / threads);
  for (let t = <i32>((<i64>rows * thread) / threads); t < to; t++) {
    const id = load<u32>(ids + (<usize>t << 2));
    const target = out + <usize>t * bytes;
    if (id < tableRows) memory.copy(target, table + <usize>id * bytes, bytes);
    else memory.fill(target, 0, bytes);
  }
}
