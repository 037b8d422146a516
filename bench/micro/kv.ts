/**
 * `npm run bench:kv [-- --quick] [--json] [--only memory,pack,attention]`: packed keys and values against a copy of memory in the same run, on data that
 * no cache holds.
 */
import type { Device, DeviceBuffer, KernelCall } from '../../host/device/device.js';
import { createWasmDevice } from '../../host/device/wasm.js';
import { createWebGpuDevice } from '../../host/device/webgpu.js';
import {
  KV_FORMATS,
  kvBlockWords,
  kvFormatKernels,
  kvMoveBlocks,
  type KvBlockShape,
  type KvFormat,
} from '../../host/kernels/kv/index.js';
import { seededRandom } from '../../host/random.js';
import { interleaved, median, runBenchmark, type BenchContext, type Cell } from '../report.js';

/** Heads of a usual model of 110M parameters. */
const HEADS = 12;
const SHAPE: KvBlockShape = { kvHeads: HEADS, headSize: 64, blockSize: 16 };
const BLOCK_FLOATS = kvBlockWords('f32', SHAPE);

interface Subject {
  readonly name: string;
  readonly make: (threads?: number) => Promise<Device>;
  /** Bytes of f32 blocks that are packed, and rows and contexts of attention: a software GPU takes its time. */
  readonly bytes: number;
  readonly rows: number;
  readonly contexts: readonly number[];
}

const random = seededRandom(4);
const noise = Float32Array.from({ length: 1 << 20 }, () => random.uniform() * 4 - 2);

function filled(device: Device, label: string, bytes: number): DeviceBuffer {
  const buffer = device.allocate(bytes, label);
  for (let at = 0; at < bytes; at += noise.byteLength) {
    device.write(buffer, noise.subarray(0, Math.min(noise.length, (bytes - at) / 4)), at);
  }
  return buffer;
}
function words(device: Device, label: string, data: Uint32Array): DeviceBuffer {
  const buffer = device.allocate(data.byteLength, label);
  device.write(buffer, data);
  return buffer;
}
/** Every block once, in no order. */
function shuffled(blocks: number): Uint32Array {
  const order = Uint32Array.from({ length: blocks }, (_, b) => b);
  for (let b = blocks - 1; b > 0; b--) {
    const other = Math.floor(random.uniform() * (b + 1));
    [order[b], order[other]] = [order[other]!, order[b]!];
  }
  return order;
}

async function seconds(device: Device, list: readonly KernelCall[]): Promise<number> {
  const start = performance.now();
  await device.run(list);
  return (performance.now() - start) / 1000;
}

function benchMemory({ table, bar }: BenchContext): void {
  const shapes: readonly (readonly [string, KvBlockShape])[] = [
    ['12 heads of 64, blocks of 16', SHAPE],
    ['8 heads of 128, blocks of 16', { kvHeads: 8, headSize: 128, blockSize: 16 }],
    ['4 heads of 8, blocks of 32', { kvHeads: 4, headSize: 8, blockSize: 32 }],
  ];
  const share = (format: KvFormat, shape: KvBlockShape): number =>
    (100 * kvBlockWords(format, shape)) / kvBlockWords('f32', shape);
  table({
    title: 'Bytes per token and layer, scales included',
    columns: ['shape', ...KV_FORMATS, ...KV_FORMATS.slice(1).map((format) => `${format} of f32`)],
    rows: shapes.map(([name, shape]) => [
      name,
      ...KV_FORMATS.map((format) => (4 * kvBlockWords(format, shape)) / shape.blockSize),
      ...KV_FORMATS.slice(1).map((format) => `${share(format, shape).toFixed(1)} %`),
    ]),
  });
  for (const [format, limit] of [
    ['int8', 27],
    ['int4', 17],
  ] as const) {
    const worst = Math.max(...shapes.map(([, shape]) => share(format, shape)));
    bar(`${format}: bytes per token of f32's, worst of ${shapes.length} shapes`, '<=', limit, worst, '%');
  }
}

async function benchPack(context: BenchContext, subject: Subject, threads: number): Promise<void> {
  const device = await subject.make(threads);
  const blocks = Math.floor(subject.bytes / (4 * BLOCK_FLOATS));
  const bytes = blocks * 4 * BLOCK_FLOATS;
  const source = filled(device, 'f32 blocks', bytes);
  const out = device.allocate(bytes, 'unpacked');
  const pool = device.allocate(bytes, 'pool');
  const order = shuffled(blocks);
  const pairs = words(device, 'pairs', Uint32Array.from(Array.from(order, (block, k) => [k, block]).flat()));
  const back = words(device, 'pairs back', Uint32Array.from(Array.from(order, (block, k) => [block, k]).flat()));
  // Wasm: one memory.copy. WGSL: the kernel that copies, a block at a time, in order.
  const pieces = device.kind === 'wasm' ? 1 : blocks;
  const straight = words(
    device,
    'pairs in order',
    Uint32Array.from({ length: 2 * pieces }, (_, k) => k >> 1),
  );
  const args = { count: blocks, ...SHAPE };
  const lists: Record<string, readonly KernelCall[]> = {
    copy: [kvMoveBlocks({ source, into: out, pairs: straight, count: pieces, blockWords: bytes / 4 / pieces })],
  };
  for (const format of KV_FORMATS) {
    const { pack, unpack } = kvFormatKernels[format];
    const blockWords = kvBlockWords(format, SHAPE);
    lists[`pack ${format}`] = [pack({ tail: source, pairs, pool, ...args })];
    lists[`unpack ${format}`] = [unpack({ pool, pairs: back, out, ...args })];
    lists[`gather ${format}`] = [kvMoveBlocks({ source: pool, into: out, pairs: back, count: blocks, blockWords })];
  }
  // The first calls run what is compiled quickly; the optimised code comes meanwhile.
  for (let warm = 0; warm < 2; warm++) for (const list of Object.values(lists)) await device.run(list);
  const times = await interleaved(
    context.quick ? 5 : 15,
    Object.fromEntries(Object.entries(lists).map(([name, list]) => [name, () => seconds(device, list)])),
  );
  await device.close();
  const copy = bytes / median(times['copy']!);
  const rate = (name: string): number => bytes / median(times[name]!);
  context.table({
    title: `${subject.name}: ${(bytes / 2 ** 20).toFixed(0)} MiB of f32 blocks; copied at ${(copy / 1e9).toFixed(2)} GB/s`,
    columns: ['format', 'pack GB/s', 'of copy', 'unpack GB/s', 'of copy', 'gather GB/s of packed'],
    rows: KV_FORMATS.map((format): readonly Cell[] => {
      const packed = (bytes * kvBlockWords(format, SHAPE)) / BLOCK_FLOATS;
      return [
        format,
        rate(`pack ${format}`) / 1e9,
        `${Math.round((100 * rate(`pack ${format}`)) / copy)} %`,
        rate(`unpack ${format}`) / 1e9,
        `${Math.round((100 * rate(`unpack ${format}`)) / copy)} %`,
        packed / median(times[`gather ${format}`]!) / 1e9,
      ];
    }),
    note: 'pack: bytes of f32 read a second; unpack: bytes of f32 written; copy: bytes read. 12 heads of 64, blocks of 16 tokens, in no order',
  });
  if (subject.name === 'Wasm, 1 thread') {
    context.bar('int8 pack over copy, one Wasm thread', '>=', 80, (100 * rate('pack int8')) / copy, '%');
    context.bar('int4 pack over copy, one Wasm thread', '>=', 60, (100 * rate('pack int4')) / copy, '%');
  }
}

async function benchAttention(context: BenchContext, subject: Subject, threads: number): Promise<void> {
  const device = await subject.make(threads);
  const { rows } = subject;
  const { headSize, blockSize } = SHAPE;
  const results: Cell[][] = [];
  for (const length of subject.contexts) {
    const tableWidth = length / blockSize;
    const blocks = rows * tableWidth;
    const source = filled(device, 'f32 blocks', blocks * 4 * BLOCK_FLOATS);
    const order = shuffled(blocks);
    const held: DeviceBuffer[] = [source];
    const hold = (buffer: DeviceBuffer): DeviceBuffer => {
      held.push(buffer);
      return buffer;
    };
    const pairs = hold(words(device, 'pairs', Uint32Array.from(Array.from(order, (b, k) => [k, b]).flat())));
    const tables = hold(words(device, 'tables', order));
    const q = hold(filled(device, 'q', 4 * rows * HEADS * headSize));
    const out = hold(device.allocate(4 * rows * HEADS * headSize, 'out'));
    const vector = (label: string, at: (row: number) => number): DeviceBuffer =>
      hold(
        words(
          device,
          label,
          Uint32Array.from({ length: rows }, (_, row) => at(row)),
        ),
      );
    /** Every row the next token of a sequence of its own. */
    const decode = {
      sequences: vector('sequences', (row) => row),
      positions: vector('positions', () => length - 1),
      slots: vector('slots', (row) => row * blockSize + blockSize - 1),
    };
    /** All rows a chunk at the end of one prompt. */
    const prefill = {
      sequences: vector('sequence', () => 0),
      positions: vector('places', (row) => length - rows + row),
      slots: vector('tail slots', (row) => length - rows + row),
    };
    const lists: Record<string, readonly KernelCall[]> = {};
    for (const format of KV_FORMATS) {
      const { pack, attend } = kvFormatKernels[format];
      const pool = hold(device.allocate(4 * blocks * kvBlockWords(format, SHAPE), format));
      await device.run([pack({ tail: source, pairs, pool, count: blocks, ...SHAPE })]);
      const shared = {
        ...{ q, tail: source, pool, tables, out, rows, heads: HEADS, ...SHAPE, tableWidth },
        ...{ window: 0, scale: Math.fround(1 / Math.sqrt(headSize)), cap: 0 },
      };
      lists[`decode ${format}`] = [attend({ ...shared, ...decode })];
      lists[`prefill ${format}`] = [attend({ ...shared, ...prefill })];
    }
    for (const list of Object.values(lists)) await device.run(list);
    const times = await interleaved(
      context.quick ? 5 : 15,
      Object.fromEntries(Object.entries(lists).map(([name, list]) => [name, () => seconds(device, list)])),
    );
    held.forEach((buffer) => buffer.release());
    for (const kind of ['decode', 'prefill']) {
      const rate = (format: KvFormat): number => rows / median(times[`${kind} ${format}`]!);
      results.push([
        kind,
        length,
        ...KV_FORMATS.map(rate),
        ...KV_FORMATS.slice(1).map((format) => `${(rate(format) / rate('f32')).toFixed(2)} x`),
      ]);
    }
  }
  await device.close();
  context.table({
    title: `${subject.name}: attention, tokens/s of one layer, 12 heads of 64`,
    columns: ['', 'context', ...KV_FORMATS, ...KV_FORMATS.slice(1).map((format) => `${format} over f32`)],
    rows: results,
    note: `decode: ${rows} tokens of ${rows} sequences; prefill: a chunk of ${rows} tokens of one`,
  });
}

const MIB = 2 ** 20;
const wasm = (threads: number): Subject => ({
  name: `Wasm, ${threads} thread${threads > 1 ? 's' : ''}`,
  make: () => createWasmDevice({ threads, memoryBudget: 3 * 2 ** 30 }),
  bytes: 384 * MIB,
  rows: 16,
  contexts: [512, 1024, 2048, 4096],
});
const webgpu: Subject = {
  name: 'WebGPU',
  make: () => createWebGpuDevice(),
  bytes: 48 * MIB,
  rows: 4,
  contexts: [512, 2048],
};

const at = process.argv.indexOf('--only');
const chosen = at < 0 ? ['memory', 'pack', 'attention'] : (process.argv[at + 1] ?? '').split(',');
const onlyWasm = process.argv.includes('--wasm');
await runBenchmark('bench:kv', async (context) => {
  const subjects: [Subject, number][] = [
    [wasm(1), 1],
    ...(onlyWasm
      ? []
      : ([
          [wasm(2), 2],
          [webgpu, 1],
        ] as [Subject, number][])),
  ];
  if (chosen.includes('memory')) benchMemory(context);
  for (const [subject, threads] of subjects) {
    context.say(subject.name);
    if (chosen.includes('pack')) await benchPack(context, subject, threads);
    if (chosen.includes('attention')) await benchAttention(context, subject, threads);
  }
});
