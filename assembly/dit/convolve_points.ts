// Convolutions of 3 x 3 over weights in panels. Points are taken in fours of a line; threads share the lines.
import { scratchOf } from '../scratch';
import { activate } from './activation';
import { clearSums, fourRows, loadSome, oneRow, storeSome, SUMS } from './panels';

/** args: x, weights, bias, y, images, height, width, inChannels, outChannels, upsample, activation */
export function convolvePoints(args: usize, step: i32, thread: i32, threads: i32): void {
  const x = load<u32>(args);
  const weights = load<u32>(args, 4);
  const bias = load<u32>(args, 8);
  const y = load<u32>(args, 12);
  const images = load<i32>(args, 16);
  const height = load<i32>(args, 20);
  const width = load<i32>(args, 24);
  const inChannels = load<i32>(args, 28);
  const outChannels = load<i32>(args, 32);
  const upsample = load<i32>(args, 36);
  const activation = load<i32>(args, 40);
  const sums = scratchOf(thread, threads);
  const across = width / upsample;
  const down = height / upsample;
  const point = <usize>inChannels << 2;
  const tapBytes = <usize>inChannels << 5;
  const panels = (outChannels + 7) >> 3;
  const lines = images * height;
  const to = <i32>((<i64>lines * (thread + 1)) / threads);
  for (let line = <i32>((<i64>lines * thread) / threads); line < to; line++) {
    const image = line / height;
    const row = line - image * height;
    for (let p = 0; p < panels; p++) {
      const panel = weights + <usize>(p * 9) * tapBytes;
      const count = min(8, outChannels - (p << 3));
      for (let column = 0; column < width; ) {
        // At the edges some taps of some points are missing: one point at a time there.
        const points = column > 0 && column + 4 < width ? 4 : 1;
        clearSums(sums, points);
        for (let ky = 0; ky < 3; ky++) {
          const yy = row + ky - 1;
          if (yy < 0 || yy >= height) continue;
          const source = x + <usize>((image * down + yy / upsample) * across) * point;
          for (let kx = 0; kx < 3; kx++) {
            const xx = column + kx - 1;
            const tap = panel + <usize>(ky * 3 + kx) * tapBytes;
            if (points == 4) {
              fourRows(
                source + <usize>(xx / upsample) * point,
                source + <usize>((xx + 1) / upsample) * point,
                source + <usize>((xx + 2) / upsample) * point,
                source + <usize>((xx + 3) / upsample) * point,
                tap,
                inChannels,
                sums,
              );
            } else if (xx >= 0 && xx < width) {
              oneRow(source + <usize>(xx / upsample) * point, tap, inChannels, sums);
            }
          }
        }
        const room = sums + 32;
        for (let r = 0; r < points; r++) {
          const at = sums + <usize>r * SUMS;
          loadSome(bias + (<usize>p << 5), count, room);
          const low = activate(f32x4.add(v128.load(at), v128.load(room)), activation);
          const high = activate(f32x4.add(v128.load(at, 16), v128.load(room, 16)), activation);
          const target = y + (<usize>((line * width + column + r) * outChannels + (p << 3)) << 2);
          storeSome(target, low, high, count, room);
        }
        column += points;
      }
    }
  }
}
