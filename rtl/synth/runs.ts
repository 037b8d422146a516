/** Machines that the resource model is fitted to, and the Yosys runs of them. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { checkMachine, DEFAULT_MACHINE, type MachineConfig } from '../../host/snn/machine/config.js';
import { sourceHash } from '../sim/sources.js';
import type { Resources } from '../../host/fpga/resources.js';
import { synthesise } from './xc7.js';

export interface Run extends Resources {
  readonly machine: MachineConfig;
}

interface RunsFile {
  /** Of the RTL and nothing else. */
  readonly sources: string;
  readonly runs: readonly Run[];
}

const FILE = 'rtl/synth/runs.json';

const machine = (changes: Partial<MachineConfig>): MachineConfig => checkMachine({ ...DEFAULT_MACHINE, ...changes });
const few = (changes: Partial<MachineConfig>): MachineConfig => machine({ spus: 4, ...changes });

/** The default, each number changed by itself on a machine of four SPUs, and some whose all numbers differ. */
export const FITTED: readonly MachineConfig[] = [
  machine({}),
  few({}),
  ...[1, 8].map((lanes) => few({ lanes })),
  few({ ports: 1 }),
  few({ ports: 4 }),
  few({ weightBits: 4, weights: 16 }),
  few({ operations: 512 }),
  few({ operations: 16_384 }),
  few({ accumulators: 64 }),
  few({ axons: 256 }),
  few({ neurons: 2048 }),
  few({ classes: 4 }),
  few({ classes: 64 }),
  few({ fifo: 64 }),
  few({ delaySlots: 64, queue: 128 }),
  few({ accumulatorBits: 12 }),
  few({ potentialBits: 16 }),
  machine({ spus: 1, ports: 1, lanes: 1, operations: 1024 }),
  machine({ spus: 8, ports: 4, lanes: 2, axons: 512, neurons: 256, accumulatorBits: 16, potentialBits: 20 }),
  machine({ spus: 16, ports: 1, lanes: 8, accumulators: 256, classes: 8 }),
  machine({ spus: 32, ports: 4, operations: 2048, accumulators: 256, neurons: 1024 }),
];

export function readRuns(): RunsFile {
  return JSON.parse(readFileSync(FILE, 'utf8')) as RunsFile;
}

export function rtlHash(): string {
  return sourceHash([], 'xc7');
}

/** Runs Yosys for what is missing, and writes the file after each. */
export async function updateRuns(say: (line: string) => void): Promise<readonly Run[]> {
  const sources = rtlHash();
  const known = existsSync(FILE) ? readRuns() : undefined;
  const runs: Run[] = known?.sources === sources ? [...known.runs] : [];
  const write = (): void => writeFileSync(FILE, `${JSON.stringify({ sources, runs }, null, 1)}\n`);
  for (const [index, each] of FITTED.entries()) {
    if (runs.some((run) => JSON.stringify(run.machine) === JSON.stringify(each))) continue;
    const { luts, lutMemory, flipFlops, blockRams, dsps, seconds } = await synthesise(each);
    runs.push({ machine: each, luts, lutMemory, flipFlops, blockRams, dsps });
    say(
      `${index + 1} of ${FITTED.length}: ${luts} LUTs, ${flipFlops} flip-flops, ${blockRams} block RAMs, ${seconds.toFixed(0)} s`,
    );
    write();
  }
  return runs;
}
