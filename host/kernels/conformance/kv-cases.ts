/** Conformance cases of paged keys and values. */
import type { TypedView } from '../../device/device.js';
import { gridIn } from '../kv/half.js';
import * as kv from '../kv/index.js';
import { KV_FORMATS, kvBlockLayout, kvFormatKernels, type KvBlockShape, type KvFormat } from '../kv/index.js';
import { unpackers } from '../kv/unpack_blocks.js';
import type { KernelCase } from './case.js';
import { floats, words, type Dice } from './generate.js';

type Maker = (d: Dice) => KernelCase;

const f = Math.fround;
/** Shapes of which some have short vectors, heads that share scales, and blocks of odd sizes. */
function shapeOf(d: Dice, format: KvFormat, most: number): KvBlockShape {
  const step = format === 'int4' ? 8 : 4;
  const usual = d.chance(0.3) ? 32 * d.int(1, 4) : step * d.int(1, 12);
  return {
    kvHeads: d.int(1, 5),
    headSize: d.chance(0.1) ? 256 : usual,
    blockSize: d.chance(0.5) ? 16 : d.int(1, most),
  };
}

const blockFloats = ({ kvHeads, headSize, blockSize }: KvBlockShape): number => 2 * kvHeads * headSize * blockSize;

/** Keys and values: channels of different sizes, some constant, heads of zeros, values that f16 has to round up. */
function blocksOf(d: Dice, shape: KvBlockShape, count: number, most = 1000): Float32Array {
  const out = floats(d, count * blockFloats(shape));
  const { headSize, blockSize } = shape;
  for (let c = 0; c < headSize; c++) {
    const size = d.chance(0.1) ? f(Math.min(most, 10 ** d.int(-8, 3))) : 1;
    const shift = d.chance(0.3) ? f(d.float(-20, 20) * Math.min(1, most / 10)) : 0;
    for (let i = c; i < out.length; i += headSize) out[i] = f(f(out[i]! * size) + shift);
  }
  const group = blockSize * headSize;
  for (let g = 0; g < out.length; g += group) {
    if (d.chance(0.05)) out.fill(0, g, g + group);
    if (d.chance(0.05)) out.fill(d.float(-3, 3), g, g + group);
  }
  return out;
}

/** Pairs of blocks, each `to` once, some skipped. */
function pairsOf(d: Dice, from: number, to: number): Uint32Array {
  const count = d.int(1, to);
  const free = Array.from({ length: to }, (_, block) => block);
  const take = (): number => free.splice(d.int(0, free.length - 1), 1)[0]!;
  const skip = (block: number): number => (d.chance(0.1) ? kv.NO_BLOCK : block);
  return Uint32Array.from(Array.from({ length: count }, () => [skip(d.int(0, from - 1)), skip(take())]).flat());
}

/**
 * A WGSL body may divide and round to half less exactly. Scales must be the same to the bit; what packed values stand for may be a step away, in few
 * places. f16: at most the neighbouring half.
 */
function nearlyPacked(
  format: KvFormat,
  shape: KvBlockShape,
): (buffer: string, got: TypedView, want: TypedView) => boolean {
  const layout = kvBlockLayout(format, shape);
  const elements = blockFloats(shape) / 2;
  const isScale = (k: number): boolean => k % layout.words < layout.keys;
  // Of a grid the low half; its zero may be a step away, and counts in the values.
  const scaleOf = (word: number): number => (format === 'int4' ? word & 0xffff : word);
  return (buffer, got, want) => {
    if (buffer !== 'pool' || format === 'f32') return false;
    if (want.some((word, k) => isScale(k) && scaleOf(word) !== scaleOf(got[k]!))) return false;
    let apart = 0;
    for (let start = 0; start < want.length; start += layout.words) {
      const [a, b] = [got, want].map((view) =>
        unpackers[format](view.subarray(start, start + layout.words) as Uint32Array, layout, shape),
      );
      for (let i = 0; i < 2 * elements; i++) {
        const [part, at] = [i < elements ? 0 : 1, i % elements];
        const difference = Math.abs(a!(part, at) - b!(part, at));
        if (difference === 0) continue;
        if (difference > 1.001 * stepAt(format, shape, want.subarray(start) as Uint32Array, part, at)) return false;
        apart++;
      }
    }
    return format === 'f16' || apart <= 2 + (want.length / layout.words) * elements * 0.02;
  };
}

/** How far apart the numbers are that a value may stand for. */
function stepAt(format: KvFormat, shape: KvBlockShape, words: Uint32Array, part: number, i: number): number {
  const { kvHeads, headSize, blockSize } = shape;
  const layout = kvBlockLayout(format, shape);
  const head = Math.floor(i / (blockSize * headSize));
  if (format === 'f16') return Math.abs(unpackers.f16(words, layout, shape)(part, i)) / 1024 + 2 ** -24;
  if (format === 'int8') return new Float32Array(words.buffer, words.byteOffset)[part * kvHeads + head]!;
  const token = Math.floor(i / headSize) % blockSize;
  const group = Math.floor(head / layout.headsPerGroup);
  const at = part ? layout.valueScales + group * blockSize + token : head * headSize + (i % headSize);
  return gridIn(words[at]!).scale;
}

const pack =
  (format: KvFormat): Maker =>
  (d) => {
    const shape = shapeOf(d, format, 40);
    const [blocks, tailBlocks] = [d.int(1, 4), d.int(1, 3)];
    const pairs = pairsOf(d, tailBlocks, blocks);
    const { pack } = kvFormatKernels[format];
    return {
      name: pack.body.name,
      kernel: pack.body,
      scalars: [pairs.length / 2, shape.kvHeads, shape.headSize, shape.blockSize],
      buffers: [blocksOf(d, shape, tailBlocks), pairs, words(d, blocks * kvBlockLayout(format, shape).words, 0, 99)],
      near: nearlyPacked(format, shape),
    };
  };

/** A pool of `blocks` blocks as the oracle packs them. */
function poolOf(d: Dice, format: KvFormat, shape: KvBlockShape, blocks: number, most?: number): Uint32Array {
  const pool = new Uint32Array(blocks * kvBlockLayout(format, shape).words);
  const pairs = Uint32Array.from(Array.from({ length: blocks }, (_, b) => [b, b]).flat());
  const scalars = [blocks, shape.kvHeads, shape.headSize, shape.blockSize];
  kvFormatKernels[format].pack.body.oracle([blocksOf(d, shape, blocks, most), pairs, pool], scalars, 0);
  return pool;
}

const unpack =
  (format: KvFormat): Maker =>
  (d) => {
    const shape = shapeOf(d, format, 40);
    const [blocks, outBlocks] = [d.int(1, 3), d.int(1, 3)];
    const pairs = pairsOf(d, blocks, outBlocks);
    const { unpack } = kvFormatKernels[format];
    return {
      name: unpack.body.name,
      kernel: unpack.body,
      scalars: [pairs.length / 2, shape.kvHeads, shape.headSize, shape.blockSize],
      buffers: [poolOf(d, format, shape, blocks), pairs, floats(d, outBlocks * blockFloats(shape))],
      tolerance: 1e-5,
    };
  };

const attend =
  (format: KvFormat): Maker =>
  (d) => {
    const { kvHeads, headSize, blockSize } = shapeOf(d, format, 24);
    const shape = { kvHeads, headSize, blockSize };
    const [heads, tableWidth, sequences] = [kvHeads * d.int(1, 3), d.int(1, 8), d.int(1, 3)];
    const [blocks, tailBlocks] = [d.int(1, 6), d.int(1, 3)];
    // Runs of neighbouring tokens of a sequence, as chunks of a prompt are, and single ones.
    const sequenceOf: number[] = [];
    const positionOf: number[] = [];
    for (let run = d.int(1, 3); run > 0; run--) {
      const sequence = d.int(0, sequences - 1);
      const start = d.int(0, blockSize * tableWidth - 1);
      const end = Math.min(start + (d.chance(0.5) ? 1 : d.int(1, 6)), blockSize * tableWidth);
      for (let position = start; position < end; position++) {
        sequenceOf.push(sequence);
        positionOf.push(position);
      }
    }
    const rows = positionOf.length;
    const slots = positionOf.map((position) => d.int(0, tailBlocks - 1) * blockSize + (position % blockSize));
    const window = d.chance(0.4) ? d.int(1, blockSize * tableWidth) : 0;
    const cap = d.chance(0.3) ? d.float(5, 50) : 0;
    const { attend } = kvFormatKernels[format];
    return {
      name: attend.body.name,
      kernel: attend.body,
      scalars: [
        ...[rows, heads, kvHeads, headSize, blockSize, tableWidth, window],
        ...[f(1 / Math.sqrt(headSize)), cap],
      ],
      buffers: [
        floats(d, rows * heads * headSize, -1, 1),
        // Scores are sums over a head: larger keys would make them differ by more than what is tested.
        blocksOf(d, shape, tailBlocks, 1),
        poolOf(d, format, shape, blocks, 1),
        words(d, sequences * tableWidth, 0, blocks - 1),
        Uint32Array.from(sequenceOf),
        Uint32Array.from(positionOf),
        Uint32Array.from(slots),
        floats(d, rows * heads * headSize),
      ],
      tolerance: 1e-3,
    };
  };

const kvAppend: Maker = (d) => {
  const [kvHeads, headSize, blockSize, tailBlocks] = [d.int(1, 4), 4 * d.int(1, 16), d.int(1, 9), d.int(2, 6)];
  // Each slot once, some of them outside of the tail.
  const free = Array.from({ length: tailBlocks * blockSize + 4 }, (_, slot) => slot);
  const slots = Uint32Array.from({ length: d.int(1, 7) }, () => free.splice(d.int(0, free.length - 1), 1)[0]!);
  const tokens = slots.length * kvHeads * headSize;
  return {
    name: 'kvAppend',
    kernel: kv.kvAppend.body,
    scalars: [slots.length, kvHeads, headSize, blockSize, tailBlocks],
    buffers: [
      ...[floats(d, tokens), floats(d, tokens), slots],
      floats(d, 2 * tailBlocks * kvHeads * blockSize * headSize),
    ],
  };
};

const kvMoveBlocks: Maker = (d) => {
  const [blockWords, from, to] = [d.int(1, 300), d.int(1, 4), d.int(1, 6)];
  const pairs = pairsOf(d, from, to);
  const [source, into] = [from, to].map((blocks) => words(d, blocks * blockWords, 0, 0xffffffff));
  return {
    name: 'kvMoveBlocks',
    kernel: kv.kvMoveBlocks.body,
    scalars: [pairs.length / 2, blockWords],
    buffers: [source!, into!, pairs],
  };
};

const kvMoveWithin: Maker = (d) => {
  const [blockWords, blocks] = [d.int(1, 300), d.int(2, 9)];
  const free = Array.from({ length: blocks }, (_, block) => block);
  const take = (): number => free.splice(d.int(0, free.length - 1), 1)[0]!;
  const count = d.int(1, blocks >> 1);
  const pairs = Uint32Array.from({ length: 2 * count }, () => (d.chance(0.1) ? kv.NO_BLOCK : take()));
  return {
    name: 'kvMoveWithin',
    kernel: kv.kvMoveWithin.body,
    scalars: [count, blockWords],
    buffers: [words(d, blocks * blockWords, 0, 0xffffffff), pairs],
  };
};

const ofFormats = KV_FORMATS.flatMap((format) => {
  const kernels = kvFormatKernels[format];
  return [
    [kernels.pack.body.name, pack(format)],
    [kernels.unpack.body.name, unpack(format)],
    [kernels.attend.body.name, attend(format)],
  ] as const;
});

export const kvCases: Readonly<Record<string, Maker>> = {
  ...Object.fromEntries(ofFormats),
  ...{ kvAppend, kvMoveBlocks, kvMoveWithin },
};
