/**
 * A model of the energy that a run takes on a 28 nm FPGA. It is a model: nothing here was measured on a board. A run is counted into
 * events (cycles, memory accesses, additions, words), and each event has an energy that published figures give:
 *
 *   E = static power x time + flip-flops x cycles x e_clock + accesses x e_memory + additions x e_add + words x e_word
 *
 * Published: Horowitz's energies and Kuon and Rose's ratio. Estimates of ours: a flip-flop's 3 fJ, a register file's 0.01 pJ a bit, the
 * static power; `sensitivity` says how much of a result hangs on each.
 */
import { spusPerPort, type MachineConfig } from '../snn/machine/config.js';
import { memoryCost, memoriesOf } from './memory-map.js';
import { estimateResources } from './resources.js';

/** Watts and joules. */
export interface EnergyConstants {
  /**
   * Programmable logic of an XC7Z020 without a clock, typical silicon. Vivado's reports of small designs on that part say 0.10 to 0.14 W
   * at 25 degrees ambient; DS187's typical quiescent currents (85 degrees at the junction) come to about 0.16 W.
   */
  readonly staticPower: number;
  /**
   * One flip-flop and its share of the clock network, one cycle. A flip-flop of an ASIC in 45 nm takes about 3 fJ; Kuon and Rose
   * (IEEE TCAD 26(2), 2007) measured that an FPGA takes 14 times the dynamic power of an ASIC for the same logic.
   */
  readonly clock: number;
  /**
   * One access of a block RAM, whatever its width. Horowitz (ISSCC 2014, "Computing's energy problem"): 10 pJ for 64 bits from 8 kB in
   * 45 nm, 0.9 V. A RAMB36 is half as large and as wide and of a newer process, but has an FPGA's wires around it: taken as it is.
   */
  readonly blockRam: number;
  /** One access of a memory in LUTs, per 4 LUTs: 14 times (Kuon and Rose) about 0.01 pJ a bit for a register file of that size. */
  readonly lutMemory: number;
  /** One bit of an addition. Horowitz: 0.1 pJ for 32 bits in 45 nm; 14 times that in an FPGA. */
  readonly addBit: number;
  /** One 32-bit word over AXI-Stream inside the chip: a FIFO's block RAM, written and read. DRAM and processor are not counted. */
  readonly word: number;
}

export const ENERGY_28NM: EnergyConstants = {
  staticPower: 0.12,
  clock: 42e-15,
  blockRam: 10e-12,
  lutMemory: 0.6e-12,
  addBit: 0.044e-12,
  word: 20e-12,
};

/** What happened in a run. */
export interface EnergyEvents {
  readonly cycles: number;
  /** Of the clock, in hertz. */
  readonly frequency: number;
  readonly flipFlops: number;
  readonly blockRamAccesses: number;
  /** In units of 4 LUTs. */
  readonly lutMemoryAccesses: number;
  readonly addedBits: number;
  readonly words: number;
}

export type EnergyPart = 'static' | 'clock' | 'block RAM' | 'LUT memory' | 'additions' | 'words';

export interface Energy {
  readonly millijoules: number;
  readonly seconds: number;
  /** Joules. */
  readonly parts: Readonly<Record<EnergyPart, number>>;
}

export function energyOfEvents(events: EnergyEvents, constants: EnergyConstants = ENERGY_28NM): Energy {
  const seconds = events.cycles / events.frequency;
  const parts: Record<EnergyPart, number> = {
    static: constants.staticPower * seconds,
    clock: constants.clock * events.flipFlops * events.cycles,
    'block RAM': constants.blockRam * events.blockRamAccesses,
    'LUT memory': constants.lutMemory * events.lutMemoryAccesses,
    additions: constants.addBit * events.addedBits,
    words: constants.word * events.words,
  };
  return { millijoules: 1e3 * Object.values(parts).reduce((sum, part) => sum + part, 0), seconds, parts };
}

/** What our machine did in a run. Counts that are left out are taken at their most. */
export interface MachineRun {
  readonly machine: MachineConfig;
  /** Of the clock. */
  readonly megahertz: number;
  readonly cycles: number;
  /** Synaptic operations. */
  readonly operations: number;
  /** Axons issued, those of inputs included. */
  readonly axons: number;
  /** Neurons swept by all merges together. */
  readonly neuronUpdates: number;
  /** Rows executed: an axon is one at each SPU that it reaches. Default: at all SPUs of its port. */
  readonly rows?: number;
  /** Spikes that neurons fired. Default: as many as axons. */
  readonly spikes?: number;
  /** Words on both streams. Default: as many as axons. */
  readonly words?: number;
  /** Default: the resource model's. */
  readonly flipFlops?: number;
}

/** Energy of a run of our machine, by the model. */
export function energyOf(run: MachineRun, constants: EnergyConstants = ENERGY_28NM): Energy {
  return energyOfEvents(machineEvents(run), constants);
}

/** How often a run reads or writes a memory, by the memory's name in memory-map.ts. Those of class_activity, a few a step, are left out. */
function accesses(run: MachineRun): Readonly<Record<string, number>> {
  const { machine, axons, operations, neuronUpdates, spikes = axons, words = axons } = run;
  const { spus, lanes } = machine;
  const rows = run.rows ?? axons * spusPerPort(machine);
  const sweeps = neuronUpdates / lanes;
  return {
    'spu.axons': 2 * rows,
    'spu.row_starts': rows,
    'spu.row_rests': rows,
    'spu.operation_memory': operations,
    'spu.weight_memory': operations,
    'spu.emission_memory': sweeps * spus,
    // A synapse reads and writes one of them; the merge reads and clears those of all lanes, if every SPU had sums for every group.
    'accumulators.memory': 2 * operations + 2 * sweeps * spus * (lanes > 1 ? lanes / 2 : 1),
    'injector.routing_memory': axons,
    'injector.inputs': 2 * axons,
    'axon_queue.delays': axons,
    'axon_queue.levels': 2 * axons,
    'axon_queue.ring': 2 * axons,
    'neuron_lane.neuron_memory': neuronUpdates,
    'neuron_lane.states': 2 * neuronUpdates,
    'neuron_lane.thresholds': neuronUpdates,
    'neuron_lane.reset_values': 2 * neuronUpdates,
    'neuron_lane.flags': neuronUpdates,
    'neuron_lane.refractory_times': neuronUpdates,
    'spike_delivery.spikes': 2 * spikes,
    'spike_delivery.fan_out': spikes,
    'output_arbiter.words': 2 * words,
  };
}

export function machineEvents(run: MachineRun): EnergyEvents {
  const { machine, megahertz, cycles, operations, axons, neuronUpdates, words = axons } = run;
  const times = accesses(run);
  let [blockRamAccesses, lutMemoryAccesses] = [0, 0];
  for (const { name, ...memory } of memoriesOf(machine)) {
    const cost = memoryCost(memory);
    const each = times[name] ?? 0;
    // Of a memory that is deeper than a block, all blocks are enabled.
    blockRamAccesses += each * Math.ceil(cost.blockRams);
    lutMemoryAccesses += (each * cost.luts) / 4;
  }
  const { spus, accumulatorBits, potentialBits } = machine;
  const merged = accumulatorBits + Math.log2(spus);
  return {
    cycles,
    frequency: megahertz * 1e6,
    flipFlops: run.flipFlops ?? estimateResources(machine).flipFlops,
    blockRamAccesses,
    lutMemoryAccesses,
    // An addition a synapse, one in every node of the merge tree for each lane, four in the update of a neuron.
    addedBits: operations * accumulatorBits + neuronUpdates * ((spus - 1) * merged + 4 * potentialBits),
    words,
  };
}

export interface Published {
  readonly name: string;
  readonly events: EnergyEvents;
  readonly constants: EnergyConstants;
  /** Joules. */
  readonly published: number;
  /** What the events were made from. */
  readonly assumed: string;
}

/**
 * Published FPGA figures, as far as their designs are known, to hold the model against.
 *
 * SupraSNN (arXiv 2606.13354) on an XC7Z020: 149 us and 0.025 mJ per MNIST image. Its SPU count, steps and clock are not known: 64 SPUs, 10
 * steps and 100 MHz are what its latency suggests. A step walks the table of all 90.6 k synapses: an operation reads an
 * operation word (block RAM), a spike bit and a weight (LUTs), and adds to a register.
 *
 * Spiker+ (Carpegna, Savino, Di Carlo, 2024) on an XC7Z020: 180 mW, 780 us, 7,612 logic cells and 18 block RAMs at 100 MHz; taken as if it
 * read all its block RAMs and added 128 weights of 6 bits in every cycle.
 *
 * SupraSNN on the Spiking Heidelberg Digits, XC7Z030: 1.41 ms and 0.77 mJ. Nothing is known of the network, so this is the most that
 * the model can give 64 SPUs.
 */
export const PUBLISHED: readonly Published[] = [
  {
    name: 'SupraSNN, MNIST',
    constants: ENERGY_28NM,
    published: 0.025e-3,
    assumed: '64 SPUs, 10 steps of 90,600 synapses, 100 MHz, 4,700 flip-flops',
    events: {
      cycles: 14_900,
      frequency: 100e6,
      flipFlops: 4_700,
      blockRamAccesses: 10 * (90_600 + 2 * 124),
      lutMemoryAccesses: 10 * 2 * 90_600,
      addedBits: 10 * (16 * 90_600 + 124 * (63 * 16 + 64)),
      words: 10 * 100,
    },
  },
  {
    name: 'Spiker+, MNIST',
    constants: ENERGY_28NM,
    published: 0.18 * 780e-6,
    assumed: 'all 18 block RAMs and 128 adders in every cycle, a flip-flop for each logic cell',
    events: {
      cycles: 78_000,
      frequency: 100e6,
      flipFlops: 7_612,
      blockRamAccesses: 18 * 78_000,
      lutMemoryAccesses: 0,
      addedBits: 78_000 * 128 * 6,
      words: 100 * 25,
    },
  },
  {
    name: 'SupraSNN, SHD (XC7Z030)',
    constants: { ...ENERGY_28NM, staticPower: (ENERGY_28NM.staticPower * 125) / 85 },
    published: 0.77e-3,
    assumed:
      'every one of 64 SPUs busy in every cycle of 1.41 ms at 100 MHz; static power by the logic cells of the larger part',
    events: {
      cycles: 141_000,
      frequency: 100e6,
      flipFlops: 4_700,
      blockRamAccesses: 64 * 141_000,
      lutMemoryAccesses: 2 * 64 * 141_000,
      addedBits: 16 * 64 * 141_000,
      words: 100 * 700,
    },
  },
];

/** How much of the total moves when each constant moves by `by` (0.5: half of it), as a fraction of the total. */
export function sensitivity(
  events: EnergyEvents,
  by = 0.5,
  constants: EnergyConstants = ENERGY_28NM,
): Readonly<Record<keyof EnergyConstants, number>> {
  const base = energyOfEvents(events, constants).millijoules;
  const names = Object.keys(constants) as (keyof EnergyConstants)[];
  const moved = names.map((name): [keyof EnergyConstants, number] => {
    const larger = energyOfEvents(events, { ...constants, [name]: constants[name] * (1 + by) }).millijoules;
    return [name, (larger - base) / base];
  });
  return Object.fromEntries(moved) as Record<keyof EnergyConstants, number>;
}
