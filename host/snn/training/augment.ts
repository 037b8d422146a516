/** Small random affine changes of grey-scale images, so that a classifier learns digits and not pixels. */
import type { SeededRandom } from '../../random.js';

export interface AugmentOptions {
  /** Largest rotation, degrees. */
  readonly rotate: number;
  /** Largest relative change of size in either direction. */
  readonly scale: number;
  /** Largest horizontal shear (offset per row). */
  readonly shear: number;
  /** Largest shift in either direction, pixels. */
  readonly shift: number;
}

/** Draws one affine map and writes the bilinearly resampled image ([side][side], 0..255) to `out`. */
export function augmentImage(
  image: Uint8Array,
  out: Uint8Array,
  side: number,
  options: AugmentOptions,
  random: SeededRandom,
): void {
  const draw = (limit: number): number => (2 * random.uniform() - 1) * limit;
  const angle = (draw(options.rotate) * Math.PI) / 180;
  const [sizeX, sizeY] = [1 + draw(options.scale), 1 + draw(options.scale)];
  const shear = draw(options.shear);
  const middle = (side - 1) / 2;
  // Maps output coordinates to input coordinates.
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const xx = cos / sizeX;
  const xy = (sin + shear * cos) / sizeX;
  const yx = -sin / sizeY;
  const yy = (cos - shear * sin) / sizeY;
  const x0 = middle + draw(options.shift) - xx * middle - xy * middle;
  const y0 = middle + draw(options.shift) - yx * middle - yy * middle;
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const u = x0 + xx * x + xy * y;
      const v = y0 + yx * x + yy * y;
      const left = Math.floor(u);
      const top = Math.floor(v);
      if (left < 0 || top < 0 || left >= side - 1 || top >= side - 1) {
        out[y * side + x] = 0;
        continue;
      }
      const at = top * side + left;
      const fx = u - left;
      const upper = image[at]! + fx * (image[at + 1]! - image[at]!);
      const lower = image[at + side]! + fx * (image[at + side + 1]! - image[at + side]!);
      out[y * side + x] = upper + (v - top) * (lower - upper) + 0.5;
    }
  }
}
