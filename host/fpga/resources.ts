/**
 * What a machine takes of an FPGA, estimated without synthesis: its memories by counting (memory-map.ts), LUTs and flip-flops of its
 * logic by a model that is linear in what the units repeat, fitted to Yosys runs (rtl/synth/runs.json; `npm run rtl:synth -- --fit`).
 */
import type { MachineConfig } from '../snn/machine/config.js';
import { addressBits, memoryCosts } from './memory-map.js';
import { FLIP_FLOP_COEFFICIENTS, LUT_COEFFICIENTS } from './resource-coefficients.js';

export interface Resources {
  /** All of them, memory included. */
  readonly luts: number;
  /** Those that are used as memory. */
  readonly lutMemory: number;
  readonly flipFlops: number;
  /** In units of RAMB36; a RAMB18 is half of one. */
  readonly blockRams: number;
  readonly dsps: number;
}

/** The XC7Z020 of PYNQ-Z1, PYNQ-Z2 and ZedBoard (DS190, "Zynq-7000 SoC Data Sheet: Overview", table 1). */
export const XC7Z020 = {
  luts: 53_200,
  lutMemory: 17_400,
  flipFlops: 106_400,
  blockRams: 140,
  dsps: 220,
} as const satisfies Resources;

/** What the logic of the units is made of; a machine's LUTs and flip-flops are linear in these. */
export function resourceFeatures(machine: MachineConfig): Readonly<Record<string, number>> {
  const { spus, ports, lanes, operations, accumulators, axons, neurons, classes } = machine;
  const { weightBits, accumulatorBits, potentialBits, queue } = machine;
  const merged = accumulatorBits + Math.log2(spus);
  return {
    one: 1,
    ports,
    'ports x row address': ports * addressBits(axons / ports) + ports * addressBits(queue),
    spus,
    'spus x addresses': spus * (addressBits(operations) + addressBits(accumulators) + addressBits(axons / ports)),
    'spus x accumulator bits': spus * accumulatorBits,
    'spus x lanes x accumulator bits': spus * lanes * accumulatorBits,
    'spus x weight bits': spus * weightBits,
    lanes,
    'lanes x potential bits': lanes * potentialBits,
    'lanes x merged bits': lanes * merged,
    'lanes x classes': lanes * classes,
    classes,
    'neuron address': addressBits(neurons),
  };
}

/** LUTs that Yosys makes shift registers of. */
const SHIFT_REGISTERS = 18;

/** Estimates from the model alone. Its error against Yosys is printed by `npm run bench:suprasnn -- --only rtl`. */
export function estimateResources(machine: MachineConfig): Resources {
  const memory = memoryCosts(machine);
  const features = resourceFeatures(machine);
  return {
    luts: Math.round(memory.luts + weighted(features, LUT_COEFFICIENTS)),
    lutMemory: memory.luts + SHIFT_REGISTERS,
    flipFlops: Math.round(memory.flipFlops + weighted(features, FLIP_FLOP_COEFFICIENTS)),
    blockRams: memory.blockRams,
    dsps: 0,
  };
}

export interface Fit {
  readonly fits: boolean;
  /** Where it does not: "block RAM 180 of 140". */
  readonly over: readonly string[];
}

const NAMES = {
  luts: 'LUTs',
  lutMemory: 'LUTs as memory',
  flipFlops: 'flip-flops',
  blockRams: 'block RAMs',
  dsps: 'DSPs',
} as const;

/** Whether `need` fits `part`. Place and route needs room to spare: nine tenths of the LUTs and flip-flops count as all of them. */
export function fitsPart(need: Resources, part: Resources = XC7Z020): Fit {
  const usable: Resources = { ...part, luts: 0.9 * part.luts, flipFlops: 0.9 * part.flipFlops };
  const over = (Object.keys(NAMES) as (keyof Resources)[])
    .filter((kind) => need[kind] > usable[kind])
    .map((kind) => `${NAMES[kind]} ${Math.ceil(need[kind])} of ${Math.floor(usable[kind])}`);
  return { fits: over.length === 0, over };
}

function weighted(features: Readonly<Record<string, number>>, coefficients: Readonly<Record<string, number>>): number {
  return Object.entries(coefficients).reduce((sum, [name, each]) => sum + each * features[name]!, 0);
}
