// Rotary position embedding of the heads of rows, in place.

/** args: x, positions, rotation, rows, heads, headSize, rotated, halves, maxPositions */
export function ropeRows(args: usize, step: i32, thread: i32, threads: i32): void {
  const x = load<u32>(args);
  const positions = load<u32>(args, 4);
  const rotation = load<u32>(args, 8);
  const rows = load<i32>(args, 12);
  const heads = load<i32>(args, 16);
  const headSize = load<i32>(args, 20);
  const pairs = load<i32>(args, 24) >> 1;
  const halves = load<i32>(args, 28) != 0;
  const most = load<u32>(args, 32) - 1;
  const stride: usize = halves ? 4 : 8;
  const partner: usize = halves ? <usize>pairs << 2 : 4;
  const to = <i32>((<i64>rows * (thread + 1)) / threads);
  for (let t = <i32>((<i64>rows * thread) / threads); t < to; t++) {
    const angles = rotation + <usize>min<u32>(load<u32>(positions + (<usize>t << 2)), most) * (<usize>pairs << 3);
    for (let h = 0; h < heads; h++) {
      let at = x + (<usize>(t * heads + h) * <usize>headSize << 2);
      for (let i = 0; i < pairs; i++) {
        const cos = load<f32>(angles + (<usize>i << 3));
        const sin = load<f32>(angles + (<usize>i << 3), 4);
        const a = load<f32>(at);
        const b = load<f32>(at + partner);
        store<f32>(at, a * cos - b * sin);
        store<f32>(at + partner, a * sin + b * cos);
        at += stride;
      }
    }
  }
}
