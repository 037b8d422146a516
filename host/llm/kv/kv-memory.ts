/**
 * Keys and values of a decoder on its device. Every layer has a pool of packed blocks, in the layer's own format, and a tail: f32 blocks that are being
 * filled. A block that is full is packed in the iteration that fills it, before anything attends, so that what a token sees of the past is packed up to its own
 * block and exact from there on, however its sequence was cut into iterations.
 */
import type { Device, DeviceBuffer, KernelCall } from '../../device/device.js';
import { TuttiError } from '../../errors.js';
import {
  kvAppend,
  kvBlockWords,
  kvFormatKernels,
  kvMoveBlocks,
  kvMoveWithin,
  type KvFormat,
} from '../../kernels/kv/index.js';
import type { DecoderConfig } from '../model/decoder-config.js';

/** One format for all layers, or one for each. */
export type KvPlan = KvFormat | readonly KvFormat[];

export interface KvMemoryOptions {
  readonly plan: KvPlan;
  /** Tokens in a block. */
  readonly blockSize: number;
  /** Packed blocks, and blocks in the tail. */
  readonly blocks: number;
  readonly tailBlocks: number;
}

/** Where an iteration finds what it needs, on the device. */
export interface KvBatch {
  /** [rows][heads or kvHeads][headSize] */
  readonly q: DeviceBuffer;
  readonly k: DeviceBuffer;
  readonly v: DeviceBuffer;
  readonly out: DeviceBuffer;
  /** [rows]: tail block * blockSize + place. */
  readonly slots: DeviceBuffer;
  /** [packs][2]: tail block, pool block. */
  readonly packs: DeviceBuffer;
  readonly tables: DeviceBuffer;
  readonly sequences: DeviceBuffer;
  readonly positions: DeviceBuffer;
  readonly rows: number;
  readonly packCount: number;
  readonly tableWidth: number;
}

/** Blocks that were taken off a device: what another one of the same shape can adopt. */
export interface KvWire {
  /** How its layers are packed. */
  readonly plan: readonly KvFormat[];
  /** Layer by layer: packed blocks, then tail blocks. */
  readonly data: Uint8Array;
  readonly blocks: number;
  readonly tails: number;
}

export interface KvMemory {
  readonly plan: readonly KvFormat[];
  readonly blocks: number;
  readonly tailBlocks: number;
  readonly blockSize: number;
  /** Of one packed block and of one tail block, all layers. */
  readonly blockBytes: number;
  readonly tailBytes: number;
  /** Changes whenever buffers were replaced: lists of calls made before are stale. */
  readonly generation: number;
  /** New tokens of a layer into the tail, full blocks into the pool, attention over both. */
  calls(layer: number, batch: KvBatch): readonly KernelCall[];
  /** Reads blocks in one go. */
  take(blocks: readonly number[], tails: readonly number[]): Promise<KvWire>;
  /**
   * Writes what `take` gave into other blocks; layers that were packed in another way are packed again, on the device.
   * @throws TuttiError INPUT_INVALID when the data does not have the size of so many blocks
   */
  put(wire: KvWire, blocks: readonly number[], tails: readonly number[]): Promise<void>;
  /** Copies packed blocks, [from, to] pairs in which no block comes twice. */
  move(pairs: readonly (readonly [number, number])[]): Promise<void>;
  /** Copies one tail block to another. */
  copyTail(from: number, to: number): Promise<void>;
  /**
   * More or fewer packed blocks; what is in the first `blocks` stays. Layer by layer, so that no more than one layer's pool exists twice.
   * @throws MemoryRefusedError when the device's budget has no room; the pool then has no more blocks than before, and no fewer than were asked for
   */
  resize(blocks: number): Promise<void>;
  release(): void;
}

/** @throws TuttiError OPTION_INVALID for a plan of another number of layers */
export function planOfLayers(plan: KvPlan, layers: number): readonly KvFormat[] {
  const formats = typeof plan === 'string' ? Array.from({ length: layers }, () => plan) : plan;
  const unknown = formats.findIndex((format) => !(format in kvFormatKernels));
  if (formats.length !== layers || unknown >= 0) {
    throw new TuttiError(
      'OPTION_INVALID',
      unknown >= 0
        ? `kv names a format ${JSON.stringify(formats[unknown])}; ${Object.keys(kvFormatKernels).join(', ')} exist`
        : `kv has ${formats.length} formats; the model has ${layers} layers`,
      { where: 'kv' },
    );
  }
  return formats;
}

/** Bytes of one block of keys and values, all layers. */
export function kvBlockBytes(config: DecoderConfig, plan: KvPlan, blockSize: number): number {
  const shape = { kvHeads: config.kvHeads, headSize: config.headSize, blockSize };
  return planOfLayers(plan, config.layers).reduce((sum, format) => sum + 4 * kvBlockWords(format, shape), 0);
}

/** @throws TuttiError OPTION_INVALID, MemoryRefusedError */
export function createKvMemory(device: Device, config: DecoderConfig, options: KvMemoryOptions): KvMemory {
  const { layers, heads, kvHeads, headSize } = config;
  const { blockSize, tailBlocks } = options;
  const plan = planOfLayers(options.plan, layers);
  const shape = { kvHeads, headSize, blockSize };
  const words = plan.map((format) => kvBlockWords(format, shape));
  const tailWords = 2 * kvHeads * headSize * blockSize;
  const held = new Set<DeviceBuffer>();
  const allocate = (count: number, what: string): DeviceBuffer => {
    const buffer = device.allocate(4 * count, `${config.name} ${what}`);
    held.add(buffer);
    return buffer;
  };
  const drop = (buffer: DeviceBuffer): void => {
    held.delete(buffer);
    buffer.release();
  };
  let blocks = options.blocks;
  let generation = 0;
  const pools: DeviceBuffer[] = [];
  const sizes: number[] = [];
  const tails: DeviceBuffer[] = [];
  try {
    for (let k = 0; k < layers; k++) {
      pools.push(allocate(blocks * words[k]!, `keys and values ${k}`));
      sizes.push(blocks);
      tails.push(allocate(tailBlocks * tailWords, `tail ${k}`));
    }
  } catch (error) {
    held.forEach((buffer) => buffer.release());
    throw error;
  }
  const scale = Math.fround(config.attentionScale);
  const windowOf = (layer: number): number => {
    const { window } = config;
    return !window || (window.every > 0 && (layer + 1) % window.every === 0) ? 0 : window.positions;
  };
  const pairsBuffer = (pairs: readonly (readonly [number, number])[]): DeviceBuffer => {
    const buffer = allocate(2 * pairs.length, 'pairs of blocks');
    device.write(buffer, Uint32Array.from(pairs.flat()));
    return buffer;
  };
  const sizeOf = (packed: number, tail: number, of: readonly number[] = words): number =>
    4 * (of.reduce((sum, n) => sum + n * packed, 0) + layers * tail * tailWords);

  /** Blocks of another format into a layer's pool: unpacked to f32 and packed, without leaving the device. */
  async function repack(layer: number, from: KvFormat, packed: Uint8Array, to: readonly number[]): Promise<void> {
    const count = to.length;
    const own: DeviceBuffer[] = [];
    const temporary = (buffer: DeviceBuffer): DeviceBuffer => {
      own.push(buffer);
      return buffer;
    };
    try {
      const source = temporary(allocate(packed.byteLength / 4, 'blocks of another format'));
      const unpacked = temporary(allocate(count * tailWords, 'unpacked blocks'));
      const straight = temporary(pairsBuffer(to.map((_, k) => [k, k] as const)));
      const placed = temporary(pairsBuffer(to.map((id, k) => [k, id] as const)));
      device.write(source, packed);
      await device.run([
        kvFormatKernels[from].unpack({ pool: source, pairs: straight, out: unpacked, count, ...shape }),
        kvFormatKernels[plan[layer]!].pack({ tail: unpacked, pairs: placed, pool: pools[layer]!, count, ...shape }),
      ]);
    } finally {
      own.forEach(drop);
    }
  }

  return {
    plan,
    get blocks() {
      return blocks;
    },
    ...{ tailBlocks, blockSize },
    blockBytes: 4 * words.reduce((sum, n) => sum + n, 0),
    tailBytes: 4 * layers * tailWords,
    get generation() {
      return generation;
    },
    calls(layer, batch) {
      const format = plan[layer]!;
      const [pool, tail] = [pools[layer]!, tails[layer]!];
      const { k, v, q, out, slots, packs, packCount, tables, sequences, positions, tableWidth } = batch;
      const of = { kvHeads, headSize, blockSize };
      return [
        kvAppend({ k, v, slots, tail, rows: batch.rows, ...of, tailBlocks }),
        ...(packCount > 0 ? [kvFormatKernels[format].pack({ tail, pairs: packs, pool, count: packCount, ...of })] : []),
        kvFormatKernels[format].attend({
          ...{ q, tail, pool, tables, sequences, positions, slots, out, rows: batch.rows, heads, ...of, tableWidth },
          ...{ window: windowOf(layer), scale, cap: config.scoreCap },
        }),
      ];
    },
    async take(wanted, wantedTails) {
      const [n, m] = [wanted.length, wantedTails.length];
      const bytes = sizeOf(n, m);
      if (bytes === 0) return { plan, data: new Uint8Array(0), blocks: 0, tails: 0 };
      // Gathered on the device, so that only what is wanted crosses over.
      const parts: DeviceBuffer[] = [];
      const lists: DeviceBuffer[] = [];
      try {
        const calls: KernelCall[] = [];
        const gather = (
          source: DeviceBuffer,
          ids: readonly number[],
          blockWords: number,
          pairs?: DeviceBuffer,
        ): void => {
          if (!pairs) return;
          const target = allocate(ids.length * blockWords, 'blocks to take');
          parts.push(target);
          calls.push(kvMoveBlocks({ source, into: target, pairs, count: ids.length, blockWords }));
        };
        const list = (ids: readonly number[]): DeviceBuffer | undefined => {
          if (ids.length === 0) return undefined;
          lists.push(pairsBuffer(ids.map((id, k) => [id, k] as const)));
          return lists.at(-1)!;
        };
        const [packedList, tailList] = [list(wanted), list(wantedTails)];
        for (let layer = 0; layer < layers; layer++) {
          gather(pools[layer]!, wanted, words[layer]!, packedList);
          gather(tails[layer]!, wantedTails, tailWords, tailList);
        }
        const done = device.run(calls);
        const read = await Promise.all(parts.map((part) => device.read(part, 0, part.bytes)));
        await done;
        const data = new Uint8Array(bytes);
        let at = 0;
        for (const part of read) {
          data.set(new Uint8Array(part), at);
          at += part.byteLength;
        }
        return { plan, data, blocks: n, tails: m };
      } finally {
        [...parts, ...lists].forEach(drop);
      }
    },
    async put({ data, plan: packedAs }, given, givenTails) {
      const theirs = planOfLayers(packedAs, layers).map((format) => kvBlockWords(format, shape));
      const need = sizeOf(given.length, givenTails.length, theirs);
      if (data.byteLength !== need) {
        throw new TuttiError(
          'INPUT_INVALID',
          `${data.byteLength} B of keys and values for ${given.length} blocks and ${givenTails.length} tail blocks, which take ${need} B; they are of another model or block size`,
          { where: 'wire', facts: { bytes: data.byteLength, need } },
        );
      }
      let at = 0;
      const bytesOf = (count: number): Uint8Array => data.subarray(at, (at += 4 * count));
      for (let layer = 0; layer < layers; layer++) {
        const packed = bytesOf(given.length * theirs[layer]!);
        if (packedAs[layer] !== plan[layer] && given.length > 0) await repack(layer, packedAs[layer]!, packed, given);
        else
          given.forEach((id, k) => {
            const size = 4 * words[layer]!;
            device.write(pools[layer]!, packed.subarray(k * size, (k + 1) * size), id * size);
          });
        for (const id of givenTails) device.write(tails[layer]!, bytesOf(tailWords), 4 * id * tailWords);
      }
    },
    async move(pairs) {
      if (pairs.length === 0) return;
      const list = pairsBuffer(pairs);
      try {
        await device.run(
          pools.map((pool, layer) =>
            kvMoveWithin({ pool, pairs: list, count: pairs.length, blockWords: words[layer]! }),
          ),
        );
      } finally {
        drop(list);
      }
    },
    async copyTail(from, to) {
      const list = pairsBuffer([[from, to]]);
      try {
        await device.run(tails.map((pool) => kvMoveWithin({ pool, pairs: list, count: 1, blockWords: tailWords })));
      } finally {
        drop(list);
      }
    },
    async resize(next) {
      const kept = Math.min(blocks, next);
      const list = pairsBuffer(Array.from({ length: kept }, (_, k) => [k, k] as const));
      try {
        for (let layer = 0; layer < layers; layer++) {
          if (sizes[layer] === next) continue;
          const pool = allocate(next * words[layer]!, `keys and values ${layer}`);
          await device.run([
            kvMoveBlocks({ source: pools[layer]!, into: pool, pairs: list, count: kept, blockWords: words[layer]! }),
          ]);
          drop(pools[layer]!);
          pools[layer] = pool;
          sizes[layer] = next;
        }
      } finally {
        drop(list);
        generation++;
        // Where it failed half way, what every layer has is what there is.
        blocks = Math.min(...sizes);
      }
    },
    release: () => held.forEach((buffer) => buffer.release()),
  };
}
