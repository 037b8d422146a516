/**
 * Pictures [height][width][channels] to rows of patches and back. A row is a patch of `side` x `side` points, `[y][x][channel]`; patches go line by line. Of each
 * picture the patches `first` to `first + rows - 1` are taken, so that a device cuts out, or puts back, its shard.
 */
import patchSource from '../../../gpu-kernels/dit/patch_rows.wgsl';
import unpatchSource from '../../../gpu-kernels/dit/unpatch_rows.wgsl';
import { defineKernel, type ScalarDeclarations, type Scalars } from '../kernel.js';
import { spread } from '../tensor/spread.js';
import { ditModule } from './module.js';

const scalars = {
  ...({ images: 'u32', rows: 'u32', first: 'u32' } as const),
  ...({ height: 'u32', width: 'u32', channels: 'u32', side: 'u32' } as const),
} satisfies ScalarDeclarations;

type Shape = Scalars<typeof scalars>;

/** For every element of every row, its place among pictures and among rows. */
function eachPoint(s: Shape, visit: (picture: number, row: number) => void): void {
  const { images, rows, first, height, width, channels, side } = s;
  const across = Math.floor(width / side);
  const size = side * side * channels;
  for (let k = 0; k < images * rows * size; k++) {
    const row = Math.floor(k / size);
    const [image, token] = [Math.floor(row / rows), first + (row % rows)];
    const within = k % size;
    const y = Math.floor(token / across) * side + Math.floor(within / (side * channels));
    const x = (token % across) * side + (Math.floor(within / channels) % side);
    visit(((image * height + y) * width + x) * channels + (within % channels), k);
  }
}

const pointsOf = (s: Shape): number => s.images * s.height * s.width * s.channels;
const elementsOf = (s: Shape): number => s.images * s.rows * s.side * s.side * s.channels;
const workgroups = (s: Shape, size: number): readonly [number, number, number] =>
  spread(Math.ceil(elementsOf(s) / size));

export const patchRows = defineKernel({
  name: 'patchRows',
  buffers: {
    /** [images][height][width][channels] */
    pictures: ['f32', 'read'],
    /** [images][rows][side * side * channels] */
    patches: ['f32', 'read-write'],
  },
  scalars,
  elements: (s) => ({ pictures: pointsOf(s), patches: elementsOf(s) }),
  oracle: ({ pictures, patches, ...s }) => eachPoint(s, (picture, row) => (patches[row] = pictures[picture]!)),
  wasm: ditModule,
  wgsl: [{ requires: [], source: patchSource }],
  workgroups,
});

export const unpatchRows = defineKernel({
  name: 'unpatchRows',
  buffers: {
    /** [images][rows][side * side * channels] */
    patches: ['f32', 'read'],
    /** [images][height][width][channels] */
    pictures: ['f32', 'read-write'],
  },
  scalars,
  elements: (s) => ({ patches: elementsOf(s), pictures: pointsOf(s) }),
  oracle: ({ patches, pictures, ...s }) => eachPoint(s, (picture, row) => (pictures[picture] = patches[row]!)),
  wasm: ditModule,
  wgsl: [{ requires: [], source: unpatchSource }],
  workgroups,
});
