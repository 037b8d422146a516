/**
 * One iteration of a decoder: new tokens of any number of sequences, prefill and decode mixed, through all layers, their keys and
 * values into the paged pool, and logits of the rows that are asked for. A list of kernel calls; nothing is read back but the logits.
 */
import type { Device, DeviceBuffer, KernelBody, KernelCall } from '../../device/device.js';
import { TuttiError } from '../../errors.js';
import { kvAppendF32, kvKernels, MOST_HEAD_SIZE, pagedAttentionF32 } from '../../kernels/kv/index.js';
import {
  gatedRows,
  gatherRowsF32,
  matmulF32,
  rmsNormF32,
  ropeRows,
  tensorKernels,
} from '../../kernels/tensor/index.js';
import { rotationTable, type DecoderConfig } from './decoder-config.js';
import type { DecoderWeights } from './decoder-weights.js';

export interface DecoderSize {
  /** Most new tokens in an iteration. */
  readonly rows: number;
  /** Most sequences in an iteration. */
  readonly sequences: number;
  /** Blocks in the pool, and tokens in a block. */
  readonly blocks: number;
  readonly blockSize: number;
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
  /** [rows]: block * blockSize + place. */
  readonly slots: Uint32Array;
  /** Blocks of each sequence. */
  readonly tables: readonly (readonly number[])[];
  /** Rows whose logits are wanted; at most one a sequence. */
  readonly outputs: Uint32Array;
}

export interface Decoder {
  readonly config: DecoderConfig;
  readonly size: DecoderSize;
  /** Bytes of keys and values of one block, all layers. */
  readonly blockBytes: number;
  /** Logits [outputs][vocabulary]. */
  run(batch: DecoderBatch): Promise<Float32Array>;
  warmup(): Promise<void>;
  release(): void;
}

export function kvBlockBytes({ layers, kvHeads, headSize }: DecoderConfig, blockSize: number): number {
  return 2 * layers * kvHeads * headSize * blockSize * 4;
}

/** @throws TuttiError OPTION_INVALID, MemoryRefusedError */
export function createDecoder(
  device: Device,
  config: DecoderConfig,
  weights: DecoderWeights,
  size: DecoderSize,
): Decoder {
  const { width, heads, kvHeads, headSize, feedForward, vocabulary, epsilon, rope } = config;
  const { rows: mostRows, sequences: mostSequences, blocks, blockSize, context } = size;
  for (const [what, value] of Object.entries({ width, headSize, feedForward })) {
    if (value % 4 !== 0)
      throw new TuttiError('FILE_INVALID', `${config.name} has a ${what} of ${value}; multiples of 4 can be run`, {
        where: what,
      });
  }
  if (headSize > MOST_HEAD_SIZE) {
    throw new TuttiError(
      'FILE_INVALID',
      `${config.name} has heads of ${headSize}; at most ${MOST_HEAD_SIZE} can be run`,
      {
        where: 'headSize',
      },
    );
  }
  const tableWidth = Math.ceil(context / blockSize);
  const held: DeviceBuffer[] = [];
  const floats = (count: number, label: string): DeviceBuffer => {
    const buffer = device.allocate(4 * count, `${config.name} ${label}`);
    held.push(buffer);
    return buffer;
  };
  try {
    const poolWidth = blocks * kvHeads * blockSize * headSize;
    const keys = weights.layers.map((_, k) => floats(poolWidth, `keys ${k}`));
    const values = weights.layers.map((_, k) => floats(poolWidth, `values ${k}`));
    const x = floats(mostRows * width, 'x');
    const normed = floats(mostRows * width, 'normed');
    const q = floats(mostRows * heads * headSize, 'q');
    const k = floats(mostRows * kvHeads * headSize, 'k');
    const v = floats(mostRows * kvHeads * headSize, 'v');
    const attended = floats(mostRows * heads * headSize, 'attended');
    const gate = floats(mostRows * feedForward, 'gate');
    const up = floats(mostRows * feedForward, 'up');
    const wanted = floats(mostSequences * width, 'wanted rows');
    const logits = floats(mostSequences * vocabulary, 'logits');
    const rotation = floats(context * rope.rotated, 'rotation');
    device.write(rotation, rotationTable(rope, context));
    const tokens = floats(mostRows, 'tokens');
    const positions = floats(mostRows, 'positions');
    const sequences = floats(mostRows, 'sequences');
    const slots = floats(mostRows, 'slots');
    const tables = floats(mostSequences * tableWidth, 'block tables');
    const outputs = floats(mostSequences, 'outputs');

    // Lists are kept: a device recognises them, and a decoder has few different sizes of batch.
    const lists = new Map<string, readonly KernelCall[]>();
    const scale = Math.fround(1 / Math.sqrt(headSize));
    const listOf = (rows: number, outputRows: number): readonly KernelCall[] => {
      const key = `${rows} ${outputRows}`;
      let list = lists.get(key);
      if (list) return list;
      const times = (
        from: DeviceBuffer,
        by: DeviceBuffer,
        to: DeviceBuffer,
        inner: number,
        outer: number,
        accumulate = 0,
      ) => matmulF32({ x: from, weights: by, y: to, rows, inner, outer, accumulate });
      const rotate = (what: DeviceBuffer, of: number): KernelCall =>
        ropeRows({
          ...{ x: what, positions, rotation, rows, heads: of, headSize },
          ...{ rotated: rope.rotated, halves: Number(rope.halves), maxPositions: context },
        });
      const calls: KernelCall[] = [
        gatherRowsF32({ ids: tokens, table: weights.embedding, out: x, rows, width, tableRows: vocabulary }),
      ];
      weights.layers.forEach((layer, at) => {
        const pool = { keys: keys[at]!, values: values[at]! };
        calls.push(
          rmsNormF32({ x, weight: layer.attentionNorm, y: normed, rows, width, epsilon }),
          times(normed, layer.query, q, width, heads * headSize),
          times(normed, layer.key, k, width, kvHeads * headSize),
          times(normed, layer.value, v, width, kvHeads * headSize),
          rotate(q, heads),
          rotate(k, kvHeads),
          kvAppendF32({ k, v, slots, ...pool, rows, kvHeads, headSize, blockSize, blocks }),
          pagedAttentionF32({
            ...{ q, ...pool, tables, sequences, positions, out: attended },
            ...{ rows, heads, kvHeads, headSize, blockSize, tableWidth, scale },
          }),
          times(attended, layer.attentionOut, x, heads * headSize, width, 1),
          rmsNormF32({ x, weight: layer.feedForwardNorm, y: normed, rows, width, epsilon }),
          times(normed, layer.gate, gate, width, feedForward),
          times(normed, layer.up, up, width, feedForward),
          gatedRows({ gate, up, count: rows * feedForward }),
          times(gate, layer.down, x, feedForward, width, 1),
        );
      });
      if (outputRows > 0) {
        calls.push(
          gatherRowsF32({ ids: outputs, table: x, out: wanted, rows: outputRows, width, tableRows: rows }),
          rmsNormF32({ x: wanted, weight: weights.outputNorm, y: normed, rows: outputRows, width, epsilon }),
          matmulF32({
            ...{ x: normed, weights: weights.output, y: logits },
            ...{ rows: outputRows, inner: width, outer: vocabulary, accumulate: 0 },
          }),
        );
      }
      if (lists.size >= 64) lists.delete(lists.keys().next().value!);
      lists.set(key, (list = calls));
      return list;
    };

    const tableWords = new Uint32Array(mostSequences * tableWidth);
    return {
      config,
      size,
      blockBytes: kvBlockBytes(config, blockSize),
      async run(batch) {
        const rows = batch.tokens.length;
        const outputRows = batch.outputs.length;
        if (rows > mostRows || batch.tables.length > mostSequences || outputRows > mostSequences) {
          throw new TuttiError(
            'LIMIT_EXCEEDED',
            `${rows} tokens of ${batch.tables.length} sequences; this decoder takes ${mostRows} of ${mostSequences}`,
            { where: 'batch' },
          );
        }
        batch.tables.forEach((table, s) => tableWords.set(table, s * tableWidth));
        device.write(tables, tableWords.subarray(0, batch.tables.length * tableWidth));
        for (const [buffer, data] of [
          ...([
            [tokens, batch.tokens],
            [positions, batch.positions],
            [sequences, batch.sequences],
          ] as const),
          ...([
            [slots, batch.slots],
            [outputs, batch.outputs],
          ] as const),
        ] as const)
          if (data.length > 0) device.write(buffer, data);
        const done = device.run(listOf(rows, outputRows));
        if (outputRows === 0) {
          await done;
          return new Float32Array(0);
        }
        const [data] = await Promise.all([device.read(logits, 0, 4 * outputRows * vocabulary), done]);
        return new Float32Array(data);
      },
      warmup: () => device.warmup(decoderKernels()),
      release: () => held.forEach((buffer) => buffer.release()),
    };
  } catch (error) {
    held.forEach((buffer) => buffer.release());
    throw error;
  }
}

export const decoderKernels = (): readonly KernelBody[] => [...tensorKernels(), ...kvKernels()];
