// Pictures to rows of patches and back. Threads share the rows; a line of a patch is contiguous in both.

// @ts-ignore: decorator
@inline
function move(args: usize, thread: i32, threads: i32, back: bool): void {
  const pictures = back ? load<u32>(args, 4) : load<u32>(args);
  const patches = back ? load<u32>(args) : load<u32>(args, 4);
  const images = load<i32>(args, 8);
  const rows = load<i32>(args, 12);
  const first = load<i32>(args, 16);
  const height = load<i32>(args, 20);
  const width = load<i32>(args, 24);
  const channels = load<i32>(args, 28);
  const side = load<i32>(args, 32);
  const across = width / side;
  const line = <usize>(side * channels) << 2;
  const all = images * rows;
  const to = <i32>((<i64>all * (thread + 1)) / threads);
  for (let row = <i32>((<i64>all * thread) / threads); row < to; row++) {
    const image = row / rows;
    const token = first + row - image * rows;
    const y = (token / across) * side;
    const x = (token % across) * side;
    for (let i = 0; i < side; i++) {
      const picture = pictures + ((<usize>((image * height + y + i) * width + x) * <usize>channels) << 2);
      const here = patches + <usize>(row * side + i) * line;
      if (back) memory.copy(picture, here, line);
      else memory.copy(here, picture, line);
    }
  }
}

/** args: pictures, patches, images, rows, first, height, width, channels, side */
export function patchRows(args: usize, step: i32, thread: i32, threads: i32): void {
  move(args, thread, threads, false);
}

/** args: patches, pictures, images, rows, first, height, width, channels, side */
export function unpatchRows(args: usize, step: i32, thread: i32, threads: i32): void {
  move(args, thread, threads, true);
}
