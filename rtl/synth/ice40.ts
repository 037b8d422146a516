/**
 * A real timing figure, by place and route, where Debian has a free flow: Yosys and nextpnr on a Lattice iCE40 HX8K, with a machine
 * small enough for it. A proxy: the HX8K (40 nm, 4-input LUTs) is slower than an XC7Z020 (28 nm, 6-input LUTs), and the small machine has
 * shorter wires; what it shows is which paths are long.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { checkMachine, DEFAULT_MACHINE, type MachineConfig } from '../../host/snn/machine/config.js';
import { designFiles, machineParameters, runTool, TOP } from '../sim/sources.js';

/** Fills an HX8K: 7,680 LUTs and 32 block RAMs of 4 kbit. */
export const ICE40_MACHINE: MachineConfig = checkMachine({
  ...DEFAULT_MACHINE,
  ...{
    spus: 2,
    ports: 1,
    lanes: 1,
    weights: 16,
    weightBits: 4,
    operations: 256,
    accumulators: 32,
    axons: 64,
    neurons: 64,
  },
  ...{ classes: 2, fifo: 4, delaySlots: 2, queue: 64, accumulatorBits: 12, potentialBits: 16 },
});

export interface Ice40Timing {
  /** MHz of the clock, worst corner, by nextpnr's static timing analysis after routing. */
  readonly megahertz: number;
  readonly logicCells: number;
  readonly blockRams: number;
  readonly seed: number;
  /** Cells and nets of the longest path, from flip-flop to flip-flop, with its delay in ns. */
  readonly longestPath: readonly string[];
}

interface NextpnrReport {
  readonly fmax: Readonly<Record<string, { readonly achieved: number }>>;
  readonly utilization: Readonly<Record<string, { readonly used: number; readonly available: number }>>;
  readonly critical_paths: readonly {
    readonly from: string;
    readonly to: string;
    readonly path: readonly {
      readonly type: string;
      readonly delay: number;
      readonly net?: string;
      readonly from: { readonly cell: string; readonly port: string };
      readonly to: { readonly cell: string; readonly port: string };
    }[];
  }[];
}

/** @throws Error with the tools' output when the machine does not fit or does not route, or how to install them */
export async function placeOnIce40(
  machine: MachineConfig = ICE40_MACHINE,
  seeds: readonly number[] = [1, 2, 3],
): Promise<readonly Ice40Timing[]> {
  const folder = join('build', 'rtl', `ice40-${process.pid}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  try {
    const netlist = join(folder, 'netlist.json');
    await runTool('yosys', [
      '-q',
      '-p',
      [
        `read_verilog -sv -DSYNTHESIS -Irtl ${designFiles().join(' ')}`,
        ...machineParameters(machine).map(([name, value]) => `chparam -set ${name} ${value} ${TOP}`),
        `hierarchy -check -top ${TOP}`,
        `rename -top ${TOP}`,
        'proc',
        // This family has no memory in LUTs to ask for.
        'setattr -unset ram_style */m:*',
        `synth_ice40 -top ${TOP} -abc9 -device hx -json ${netlist}`,
      ].join('; '),
    ]);
    const timings: Ice40Timing[] = [];
    for (const seed of seeds) {
      const report = join(folder, `report-${seed}.json`);
      await runTool('nextpnr-ice40', [
        ...['--hx8k', '--package', 'ct256', '--json', netlist, '--pcf-allow-unconstrained', '--freq', '100'],
        ...['--timing-allow-fail', '--seed', String(seed), '--report', report, '--quiet'],
      ]);
      timings.push(readReport(JSON.parse(readFileSync(report, 'utf8')) as NextpnrReport, seed));
    }
    return timings;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readReport({ fmax, utilization, critical_paths }: NextpnrReport, seed: number): Ice40Timing {
  const clocks = Object.values(fmax);
  if (clocks.length !== 1) throw new Error(`nextpnr reports ${clocks.length} clocks; the machine has one`);
  const registers = critical_paths.find(({ from, to }) => from === to && from.startsWith('posedge'));
  return {
    megahertz: clocks[0]!.achieved,
    logicCells: utilization['ICESTORM_LC']!.used,
    blockRams: utilization['ICESTORM_RAM']!.used,
    seed,
    longestPath: (registers?.path ?? []).map(
      ({ type, delay, net, from, to }) =>
        `${delay.toFixed(2)} ns ${type.padEnd(9)} ${net ?? `${from.cell}.${from.port} -> ${to.cell}.${to.port}`}`,
    ),
  };
}
