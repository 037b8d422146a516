/**
 * One iteration of a decoder: new tokens of any number of sequences, prefill and decode mixed, through all layers, their keys and
 * values into paged memory, and logits of the rows that are asked for. A list of kernel calls; nothing is read back but the logits.
 */
import type { Device, DeviceBuffer, KernelCall } from '../../device/device.js';
import { TuttiError } from '../../errors.js';
import { NO_BLOCK } from '../../kernels/kv/index.js';
import {
  addRows,
  argmaxRows,
  capRows,
  gatedRows,
  gatherRows,
  matmulBf16,
  matmulF16,
  matmulF32,
  matmulQ4,
  matmulQ4K,
  matmulQ6K,
  matmulQ8,
  quantiseRows,
  rmsNormF32,
  ropeRows,
  WEIGHT_FORMATS,
} from '../../kernels/tensor/index.js';
import type { KvMemory } from '../kv/kv-memory.js';
import { rotationTable, type DecoderConfig } from './decoder-config.js';
import type { DecoderWeights, Matrix } from './decoder-weights.js';

export interface DecoderSize {
  /** Most new tokens in an iteration. */
  readonly rows: number;
  /** Most sequences in an iteration. */
  readonly sequences: number;
  /** Most tokens of a sequence. */
  readonly context: number;
}

/** New tokens, sequence by sequence. */
export interface DecoderBatch {
  /** [rows] */
  readonly tokens: Uint32Array;
  /** [rows]: place in the sequence. */
  readonly positions: Uint32Array;
  /** [rows]: which row of `tables`. */
  readonly sequences: Uint32Array;
  /** [rows]: tail block * blockSize + place in the block. */
  readonly slots: Uint32Array;
  /** Packed blocks of each sequence, those that become full in this iteration included. */
  readonly tables: readonly (readonly number[])[];
  /** Blocks that become full: tail block, packed block. */
  readonly packs: readonly (readonly [number, number])[];
  /** Rows whose logits are wanted; at most one a sequence. */
  readonly outputs: Uint32Array;
}

export interface Decoder {
  readonly config: DecoderConfig;
  readonly size: DecoderSize;
  /** Logits [outputs][vocabulary]. */
  run(batch: DecoderBatch): Promise<Float32Array>;
  /** The likeliest token after each of `outputs` instead: nothing else is read back. */
  best(batch: DecoderBatch): Promise<Uint32Array>;
  /** Normalised final hidden states [rows][width] instead. */
  embed(batch: DecoderBatch): Promise<Float32Array>;
  warmup(): Promise<void>;
  release(): void;
}

const FLOAT_PRODUCTS = { f32: matmulF32, f16: matmulF16, bf16: matmulBf16 } as const;
const BLOCK_PRODUCTS = { q8: matmulQ8, q4: matmulQ4, q4k: matmulQ4K, q6k: matmulQ6K } as const;

/** Lists of calls that are kept. */
const MOST_LISTS = 64;

/** @throws TuttiError OPTION_INVALID, FILE_INVALID, MemoryRefusedError */
export function createDecoder(
  device: Device,
  config: DecoderConfig,
  weights: DecoderWeights,
  kv: KvMemory,
  size: DecoderSize,
): Decoder {
  const { width, heads, kvHeads, headSize, feedForward, vocabulary, epsilon, rope, window } = config;
  const { rows: mostRows, sequences: mostSequences, context } = size;
  for (const [what, value] of Object.entries({ width, headSize, feedForward })) {
    if (value % 4 !== 0)
      throw new TuttiError('FILE_INVALID', `${config.name} has a ${what} of ${value}; multiples of 4 can be run`, {
        where: what,
      });
  }
  const tableWidth = Math.max(1, Math.floor(context / kv.blockSize));
  const queries = heads * headSize;
  const keys = kvHeads * headSize;
  const widest = Math.max(width, queries, feedForward);
  const mostPacks = Math.ceil(mostRows / kv.blockSize) + mostSequences;
  const held: DeviceBuffer[] = [];
  const floats = (count: number, label: string): DeviceBuffer => {
    const buffer = device.allocate(4 * count, `${config.name} ${label}`);
    held.push(buffer);
    return buffer;
  };
  try {
    const x = floats(mostRows * width, 'x');
    const normed = floats(Math.max(mostRows, mostSequences) * width, 'normed');
    const q = floats(mostRows * queries, 'q');
    const k = floats(mostRows * keys, 'k');
    const v = floats(mostRows * keys, 'v');
    // No device reads and writes one buffer in a kernel.
    const [normedQ, normedK] = config.headNorms
      ? [floats(mostRows * queries, 'normed q'), floats(mostRows * keys, 'normed k')]
      : [q, k];
    const attended = floats(mostRows * queries, 'attended');
    const gate = floats(mostRows * feedForward, 'gate');
    const up = floats(mostRows * feedForward, 'up');
    const added = config.outputNorms ? floats(mostRows * width, 'added') : x;
    const wanted = floats(mostSequences * width, 'wanted rows');
    const logits = floats(mostSequences * vocabulary, 'logits');
    const rotation = floats(context * rope.rotated, 'rotation');
    device.write(rotation, rotationTable(rope, context));
    const nearRope = window?.rope;
    const nearRotation = nearRope ? floats(context * nearRope.rotated, 'rotation of limited layers') : rotation;
    if (nearRope) device.write(nearRotation, rotationTable(nearRope, context));
    // Activations as whole numbers, for products with quantised weights.
    const whole = {
      q: floats((Math.max(mostRows, mostSequences) * widest) / 2, 'quantised rows'),
      scales: floats(Math.max(mostRows, mostSequences), 'scales of rows'),
      sums: floats(Math.ceil((Math.max(mostRows, mostSequences) * widest) / 32), 'sums of rows'),
    };
    const tokens = floats(mostRows, 'tokens');
    const positions = floats(mostRows, 'positions');
    const sequences = floats(mostRows, 'sequences');
    const slots = floats(mostRows, 'slots');
    const packs = floats(2 * mostPacks, 'full blocks');
    const tables = floats(mostSequences * tableWidth, 'block tables');
    const outputs = floats(mostSequences, 'outputs');
    const best = floats(mostSequences, 'likeliest tokens');

    // Lists are kept: a device recognises them, and a decoder has few different sizes of batch.
    const lists = new Map<string, readonly KernelCall[]>();
    let listsOf = kv.generation;

    /** Products of the same rows with one or more matrices. */
    const products = (
      from: DeviceBuffer,
      rows: number,
      into: readonly (readonly [Matrix, DeviceBuffer])[],
      accumulate = 0,
    ): KernelCall[] => {
      const calls: KernelCall[] = [];
      const { inner } = into[0]![0];
      for (const [{ buffer, format, outer }, y] of into) {
        const shape = { weights: buffer, y, rows, inner, outer, accumulate };
        if (format === 'f32' || format === 'f16' || format === 'bf16')
          calls.push(FLOAT_PRODUCTS[format]({ x: from, ...shape }));
        else calls.push(BLOCK_PRODUCTS[format]({ ...whole, ...shape }));
      }
      const quantised = into.some(([{ format }]) => format in BLOCK_PRODUCTS);
      return quantised ? [quantiseRows({ x: from, ...whole, rows, inner }), ...calls] : calls;
    };
    const gather = (matrix: Matrix, ids: DeviceBuffer, out: DeviceBuffer, rows: number, scale: number): KernelCall =>
      gatherRows({
        ...{ ids, table: matrix.buffer, out, rows, width, tableRows: matrix.outer, scale },
        format: WEIGHT_FORMATS[matrix.format],
      });
    const norm = (from: DeviceBuffer, weight: DeviceBuffer, y: DeviceBuffer, rows: number, of = width): KernelCall =>
      rmsNormF32({ x: from, weight, y, rows, width: of, epsilon });

    function layerCalls(at: number, rows: number, packCount: number): KernelCall[] {
      const layer = weights.layers[at]!;
      const limited = nearRope && window && !(window.every > 0 && (at + 1) % window.every === 0);
      const angles = limited ? nearRope : rope;
      const rotate = (what: DeviceBuffer, of: number): KernelCall =>
        ropeRows({
          ...{ x: what, positions, rotation: limited ? nearRotation : rotation, rows, heads: of, headSize },
          ...{ rotated: angles.rotated, halves: Number(angles.halves), maxPositions: context },
        });
      /** Into x, or through a norm first. */
      const add = (from: DeviceBuffer, matrix: Matrix, weight: DeviceBuffer | undefined): KernelCall[] =>
        weight
          ? [
              ...products(from, rows, [[matrix, added]]),
              norm(added, weight, normed, rows),
              addRows({ x: normed, y: x, count: rows * width, period: rows * width }),
            ]
          : products(from, rows, [[matrix, x]], 1);
      const [biasQ, biasK, biasV] = layer.biases ?? [];
      const bias = (weight: DeviceBuffer | undefined, y: DeviceBuffer, period: number): KernelCall[] =>
        weight ? [addRows({ x: weight, y, count: rows * period, period })] : [];
      return [
        norm(x, layer.attentionNorm, normed, rows),
        ...products(normed, rows, [
          [layer.query, q],
          [layer.key, k],
          [layer.value, v],
        ]),
        ...bias(biasQ, q, queries),
        ...bias(biasK, k, keys),
        ...bias(biasV, v, keys),
        ...(layer.headNorms
          ? [
              norm(q, layer.headNorms[0], normedQ, rows * heads, headSize),
              norm(k, layer.headNorms[1], normedK, rows * kvHeads, headSize),
            ]
          : []),
        rotate(normedQ, heads),
        rotate(normedK, kvHeads),
        ...kv.calls(at, {
          ...{
            q: normedQ,
            k: normedK,
            v,
            out: attended,
            slots,
            packs,
            tables,
            sequences,
            positions,
            rows,
            packCount,
            tableWidth,
          },
        }),
        ...add(attended, layer.attentionOut, layer.outputNorms?.[0]),
        norm(x, layer.feedForwardNorm, normed, rows),
        ...products(normed, rows, [
          [layer.gate, gate],
          [layer.up, up],
        ]),
        gatedRows({ gate, up, count: rows * feedForward, gelu: Number(config.activation === 'gelu') }),
        ...add(gate, layer.down, layer.outputNorms?.[1]),
      ];
    }

    /** `outputRows` undefined: normalised hidden states of all rows. `greedy`: the likeliest tokens, too. */
    function listOf(
      rows: number,
      outputRows: number | undefined,
      packCount: number,
      greedy = false,
    ): readonly KernelCall[] {
      if (listsOf !== kv.generation) lists.clear();
      listsOf = kv.generation;
      const key = `${rows} ${outputRows} ${packCount} ${greedy}`;
      let list = lists.get(key);
      if (list) return list;
      const calls = [gather(weights.embedding, tokens, x, rows, config.embeddingScale)];
      weights.layers.forEach((_, at) => calls.push(...layerCalls(at, rows, packCount)));
      if (outputRows === undefined) calls.push(norm(x, weights.outputNorm, normed, rows));
      else if (outputRows > 0) {
        const rowsOfX: Matrix = { buffer: x, format: 'f32', inner: width, outer: rows };
        calls.push(
          gather(rowsOfX, outputs, wanted, outputRows, 1),
          norm(wanted, weights.outputNorm, normed, outputRows),
          ...products(normed, outputRows, [[weights.output, logits]]),
          ...(config.logitCap > 0
            ? [capRows({ x: logits, count: outputRows * vocabulary, cap: config.logitCap })]
            : []),
          ...(greedy ? [argmaxRows({ x: logits, out: best, rows: outputRows, width: vocabulary })] : []),
        );
      }
      if (lists.size >= MOST_LISTS) lists.delete(lists.keys().next().value!);
      lists.set(key, (list = calls));
      return list;
    }

    const tableWords = new Uint32Array(mostSequences * tableWidth);
    /** Writes a batch, and says how many packs its list has: rounded up, so that there are few lists. */
    function write(batch: DecoderBatch): number {
      const rows = batch.tokens.length;
      if (
        rows > mostRows ||
        batch.tables.length > mostSequences ||
        batch.outputs.length > mostSequences ||
        batch.packs.length > mostPacks
      ) {
        throw new TuttiError(
          'LIMIT_EXCEEDED',
          `${rows} tokens of ${batch.tables.length} sequences; this decoder takes ${mostRows} of ${mostSequences}`,
          { where: 'batch' },
        );
      }
      batch.tables.forEach((table, s) => tableWords.set(table, s * tableWidth));
      device.write(tables, tableWords.subarray(0, batch.tables.length * tableWidth));
      const packCount = batch.packs.length && Math.min(mostPacks, 2 ** Math.ceil(Math.log2(batch.packs.length)));
      const pairs = new Uint32Array(2 * packCount).fill(NO_BLOCK);
      batch.packs.forEach((pair, k) => pairs.set(pair, 2 * k));
      const inputs: readonly (readonly [DeviceBuffer, Uint32Array])[] = [
        [tokens, batch.tokens],
        [positions, batch.positions],
        [sequences, batch.sequences],
        [slots, batch.slots],
        [outputs, batch.outputs],
        [packs, pairs],
      ];
      for (const [buffer, data] of inputs) if (data.length > 0) device.write(buffer, data);
      return packCount;
    }

    return {
      config,
      size,
      async run(batch) {
        const packCount = write(batch);
        const outputRows = batch.outputs.length;
        const done = device.run(listOf(batch.tokens.length, outputRows, packCount));
        if (outputRows === 0) {
          await done;
          return new Float32Array(0);
        }
        const [data] = await Promise.all([device.read(logits, 0, 4 * outputRows * vocabulary), done]);
        return new Float32Array(data);
      },
      async best(batch) {
        const packCount = write(batch);
        const outputRows = batch.outputs.length;
        const done = device.run(listOf(batch.tokens.length, outputRows, packCount, true));
        if (outputRows === 0) {
          await done;
          return new Uint32Array(0);
        }
        const [data] = await Promise.all([device.read(best, 0, 4 * outputRows), done]);
        return new Uint32Array(data);
      },
      async embed(batch) {
        const packCount = write(batch);
        const rows = batch.tokens.length;
        const done = device.run(listOf(rows, undefined, packCount));
        const [data] = await Promise.all([device.read(normed, 0, 4 * rows * width), done]);
        return new Float32Array(data);
      },
      // Of the kernels that this decoder uses.
      warmup: () => device.warmup([...new Set(listOf(1, 1, 1, true).map(({ kernel }) => kernel))]),
      release: () => held.forEach((buffer) => buffer.release()),
    };
  } catch (error) {
    held.forEach((buffer) => buffer.release());
    throw error;
  }
}
