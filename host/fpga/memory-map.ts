/**
 * The memories of the machine in rtl/, and what each takes of a Xilinx 7-series part: block RAM, or LUTs used as memory. Counting, no
 * fitting: it is held against Yosys' own counts by rtl/synth/resources.test.ts.
 */
import { spusPerPort, type MachineConfig } from '../snn/machine/config.js';

export interface Memory {
  /** Module and instance in rtl/. */
  readonly name: string;
  readonly width: number;
  readonly depth: number;
  /** How many of them. */
  readonly count: number;
  /**
   * `asynchronous`: read in the same cycle, so it lies in LUTs; `lut`: the RTL asks for LUTs; `free`: Yosys takes what is cheaper. What is
   * read synchronously from LUTs has a register of flip-flops behind it.
   */
  readonly kind: 'asynchronous' | 'lut' | 'free';
}

export interface MemoryCost {
  /** In units of RAMB36; a RAMB18 is half of one. */
  readonly blockRams: number;
  readonly luts: number;
  readonly flipFlops: number;
}

/** $clog2 of SystemVerilog, at least 1: the width of an address. */
export function addressBits(depth: number): number {
  return Math.max(1, Math.ceil(Math.log2(depth)));
}

/** Every memory of a machine. Constants are those of rtl/injector.sv, output_arbiter.sv, spike_delivery.sv. */
export function memoriesOf(machine: MachineConfig): readonly Memory[] {
  const { spus, ports, lanes, weights, operations, accumulators, axons, neurons, classes, fifo } = machine;
  const { weightBits, delaySlots, queue, accumulatorBits, potentialBits } = machine;
  const rows = axons / ports;
  const row = addressBits(rows);
  const groups = neurons / lanes;
  const address = addressBits(accumulators);
  const columns = lanes > 1 ? 2 : 1;
  const spuMemories: Memory[] = [
    { name: 'spu.axons', width: row, depth: fifo, count: spus, kind: 'asynchronous' },
    { name: 'spu.row_starts', width: addressBits(operations), depth: rows, count: spus, kind: 'free' },
    { name: 'spu.row_rests', width: 12 + address + 5, depth: rows, count: spus, kind: 'free' },
    {
      name: 'spu.operation_memory',
      width: addressBits(weights) + address,
      depth: operations,
      count: spus,
      kind: 'free',
    },
    { name: 'spu.weight_memory', width: weightBits, depth: weights, count: spus, kind: 'lut' },
    { name: 'spu.emission_memory', width: 32, depth: Math.ceil(groups / 32), count: spus, kind: 'lut' },
    {
      name: 'accumulators.memory',
      ...{ width: columns * accumulatorBits, depth: accumulators / lanes },
      ...{ count: (spus * 2 * lanes) / columns, kind: 'free' },
    },
  ];
  const leaves = spusPerPort(machine);
  const routing = Array.from({ length: Math.ceil(leaves / 32) }, (_, half): Memory => {
    return {
      name: 'injector.routing_memory',
      width: Math.min(32, leaves - 32 * half),
      depth: rows,
      count: ports,
      kind: 'free',
    };
  });
  const portMemories: Memory[] = [
    ...routing,
    { name: 'injector.inputs', width: row + 2, depth: 64, count: ports, kind: 'asynchronous' },
    { name: 'axon_queue.delays', width: Math.ceil(Math.log2(delaySlots)), depth: rows, count: ports, kind: 'free' },
    {
      name: 'axon_queue.levels',
      width: Math.ceil(Math.log2(queue + 1)),
      depth: delaySlots,
      count: 2 * ports,
      kind: 'asynchronous',
    },
    { name: 'axon_queue.ring', width: row, depth: delaySlots * 2 ** addressBits(queue), count: ports, kind: 'free' },
  ];
  const neuronMemories: Memory[] = [
    // Its unused class bits are stored in a block RAM and left out in LUTs; neither changes a count.
    { name: 'neuron_lane.neuron_memory', width: 26 + addressBits(classes), depth: groups, count: lanes, kind: 'free' },
    { name: 'neuron_lane.states', width: potentialBits + 14, depth: groups, count: lanes, kind: 'free' },
    { name: 'neuron_lane.thresholds', width: 32, depth: classes, count: lanes, kind: 'lut' },
    { name: 'neuron_lane.reset_values', width: potentialBits, depth: classes, count: 2 * lanes, kind: 'lut' },
    { name: 'neuron_lane.flags', width: 8, depth: classes, count: lanes, kind: 'lut' },
    { name: 'neuron_lane.refractory_times', width: 14, depth: classes, count: lanes, kind: 'lut' },
  ];
  return [
    ...spuMemories,
    ...portMemories,
    ...neuronMemories,
    { name: 'class_activity.skews', width: 14, depth: classes, count: 1, kind: 'asynchronous' },
    { name: 'class_activity.progress', width: 28, depth: classes, count: 1, kind: 'asynchronous' },
    {
      name: 'spike_delivery.spikes',
      width: addressBits(groups) + 2 * lanes,
      depth: 64,
      count: 1,
      kind: 'asynchronous',
    },
    {
      name: 'spike_delivery.fan_out',
      ...{ width: row + Math.log2(ports) + 12, depth: neurons, count: 1, kind: 'free' },
    },
    { name: 'output_arbiter.words', width: 33, depth: 32, count: 1, kind: 'asynchronous' },
  ];
}

/** Width and depth of a RAMB18 and a RAMB36, by the way they are used (UG473, "7 Series FPGAs Memory Resources", tables 1-7 and 1-8). */
const RAMB18 = [
  [36, 512],
  [18, 1024],
  [9, 2048],
  [4, 4096],
  [2, 8192],
  [1, 16384],
] as const;
const RAMB36 = [[72, 512], ...RAMB18.map(([width, depth]) => [width, 2 * depth] as const)] as const;

/** Words and bits of a RAM32M and a RAM64M, both four LUTs. */
const LUT_MEMORIES = [
  [32, 6],
  [64, 3],
] as const;

/**
 * What Yosys weighs them with (share/xilinx/brams_xc4v.txt, lutrams_xc5v.txt): seven eighths of a memory in LUTs by the bits that are used,
 * and half a point for each bit of the multiplexer, and each line of the decoder, that several of them need.
 */
const WEIGHT = { ramb18: 129, ramb36: 257, lutBase: 1, lutUsed: 7, joint: 0.5 } as const;

/** Of one memory. */
export function memoryCost({ width, depth, kind }: Pick<Memory, 'width' | 'depth' | 'kind'>): MemoryCost {
  if (width === 0) return { blockRams: 0, luts: 0, flipFlops: 0 };
  let inLuts = { weight: Infinity, cells: 0 };
  for (const [words, bits] of LUT_MEMORIES) {
    const [rows, columns] = [Math.ceil(depth / words), Math.ceil(width / bits)];
    const weight =
      rows * (columns * WEIGHT.lutBase + (WEIGHT.lutUsed * width) / bits) +
      (rows > 1 ? WEIGHT.joint * (width * (rows - 1) + rows) : 0);
    if (weight < inLuts.weight) inLuts = { weight, cells: rows * columns };
  }
  const blocks = (sizes: readonly (readonly [number, number])[]): number =>
    Math.min(...sizes.map(([bits, words]) => Math.ceil(width / bits) * Math.ceil(depth / words)));
  const [small, large] = [blocks(RAMB18), blocks(RAMB36)];
  const [smallWeight, largeWeight] = [small * WEIGHT.ramb18, large * WEIGHT.ramb36];
  if (kind !== 'free' || inLuts.weight < Math.min(smallWeight, largeWeight)) {
    return { blockRams: 0, luts: 4 * inLuts.cells, flipFlops: kind === 'asynchronous' ? 0 : width };
  }
  return { blockRams: smallWeight < largeWeight ? small / 2 : large, luts: 0, flipFlops: 0 };
}

/** Of all memories of a machine. */
export function memoryCosts(machine: MachineConfig): MemoryCost {
  const sum = { blockRams: 0, luts: 0, flipFlops: 0 };
  for (const memory of memoriesOf(machine)) {
    const cost = memoryCost(memory);
    sum.blockRams += memory.count * cost.blockRams;
    sum.luts += memory.count * cost.luts;
    sum.flipFlops += memory.count * cost.flipFlops;
  }
  return sum;
}
